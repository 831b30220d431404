//! Observes: asks PagerDuty and strongDM for what a pass needs to know, and puts the [`World`] together. Writes
//! nothing, and has no store: what our own records say is read before (`recorded.rs`) and passed in.

pub(super) mod cache;
pub(super) mod freshness;
mod on_calls;
pub(super) mod recorded;
mod remedy;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};

use self::{cache::Cache, on_calls::Question};
use super::{
    plan::{Plan, Released, Settings, plan},
    scope::Scope,
    world::{AccountMatch, Recorded, ResourceMatch, World},
};
use crate::{
    clock,
    model::{Email, Observed, OnCall, ResourceSelector, Rule, Source, UserId, Window},
    pagerduty, strongdm,
};

/// Reads of strongDM in flight at once; its documented budget is thousands a minute.
const LOOK_UPS: usize = 8;

/// A pass may decide by what it saw so long after it asked; by then the horizon has moved on.
const DECIDED_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// Asks both upstreams for what the rules depend on.
#[derive(Debug)]
pub(crate) struct Observer {
    settings: Settings,
    pagerduty: pagerduty::Client,
    strongdm: strongdm::Client,
    /// Shared with whoever writes: a refused write shows that an answer was wrong.
    cache: Arc<Cache>,
}

/// What was observed without consequences.
#[derive(Debug)]
pub(crate) struct Survey {
    /// For which instant it was planned.
    pub(crate) at: DateTime<Utc>,
    /// What was seen.
    pub(crate) world: World,
    /// What would be done if nothing had been done before.
    pub(crate) plan: Plan,
}

impl Observer {
    /// An observer that has not asked anything yet.
    pub(crate) fn new(settings: Settings, pagerduty: pagerduty::Client, strongdm: strongdm::Client) -> Self {
        Self { settings, pagerduty, strongdm, cache: Arc::default() }
    }

    /// An observer for whoever only wants to know: it has answers of its own, and asks PagerDuty between passes.
    pub(super) fn patient(&self) -> Self {
        let Self { settings, pagerduty, strongdm, cache: _ } = self;
        Self::new(settings.clone(), pagerduty.patient(), strongdm.clone())
    }

    /// Makes patient observers wait, until what is returned is dropped.
    pub(super) fn hurry(&self) -> pagerduty::Hurry {
        self.pagerduty.hurry()
    }

    /// The operator's part of the decision.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The client for strongDM.
    pub(super) fn strongdm(&self) -> &strongdm::Client {
        &self.strongdm
    }

    /// The answers of earlier observations.
    pub(super) fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Everything the planner needs to know for `scope`. What upstreams do not answer is part of the world.
    pub(super) async fn observe(&self, now: DateTime<Utc>, scope: &Scope, recorded: Recorded) -> World {
        self.observe_window(now, scope, self.asked_window(now), recorded).await
    }

    /// The same, asking PagerDuty about another stretch of time. People and accounts come last, because only the
    /// on-calls say who they are.
    pub(super) async fn observe_window(
        &self,
        now: DateTime<Utc>,
        scope: &Scope,
        asked: Window,
        recorded: Recorded,
    ) -> World {
        let mut world = World { recorded, asked: Some(asked), asked_at: now, ..World::default() };
        world.resources = self.resources(now).await;
        let rules = in_scope(&self.settings.rules, scope, &world.resources);
        let sources: BTreeSet<Source> = rules.iter().flat_map(|rule| rule.sources()).collect();
        let question = Question {
            client: &self.pagerduty,
            cache: &self.cache,
            rules: &self.settings.rules,
            now,
            window: asked,
        };
        (world.on_calls, world.doubts) = question.ask(&sources).await;
        let on_calls: Vec<&OnCall> = world.seen_on_calls().collect();
        world.people = self.people(now, &on_calls).await;
        world.accounts = self.accounts(now, &world.people).await;
        world.seen_at = clock::now();
        world
    }

    /// Observes everything and plans as if nothing had been done before, for somebody who wants to know what the rules
    /// mean.
    pub(crate) async fn survey(&self) -> Survey {
        let at = clock::now();
        let world = self.observe(at, &Scope::All, Recorded::default()).await;
        let plan = plan(at, &self.settings, &world, Released::Nothing);
        Survey { at, world, plan }
    }

    /// The window PagerDuty is asked about: wide enough for shifts that the rules' margins bring into view.
    pub(super) fn asked_window(&self, now: DateTime<Utc>) -> Window {
        let margin =
            |of: fn(&Rule) -> TimeDelta| self.settings.rules.iter().map(of).max().unwrap_or_default();
        let since = now - margin(|rule| rule.end_late);
        // PagerDuty computes shifts for 90 days ahead at most.
        let ahead = self.settings.horizon + margin(|rule| rule.start_early) + DECIDED_WITHIN;
        let ahead = ahead.min(TimeDelta::days(90));
        Window::new(since, now + ahead).expect("the horizon is longer than a second")
    }

    async fn resources(&self, now: DateTime<Utc>) -> BTreeMap<ResourceSelector, Observed<ResourceMatch>> {
        let selectors: BTreeSet<ResourceSelector> =
            self.settings.rules.iter().flat_map(|rule| rule.resources.iter().cloned()).collect();
        stream::iter(selectors)
            .map(async |selector| {
                let answer = self.resource(now, &selector).await;
                (selector, answer)
            })
            .buffer_unordered(LOOK_UPS)
            .collect()
            .await
    }

    async fn resource(&self, now: DateTime<Utc>, selector: &ResourceSelector) -> Observed<ResourceMatch> {
        if let Some(answer) = self.cache.resources.get(selector, now) {
            return Observed::Known(answer);
        }
        let answer = match selector {
            ResourceSelector::Name(name) => {
                self.strongdm.resources_by_name(name).await.map(|found| match found.len() {
                    0 => ResourceMatch::None,
                    1 => ResourceMatch::Found(found),
                    _ => ResourceMatch::Many,
                })
            }
            ResourceSelector::Filter(filter) => {
                self.strongdm.resources_by_filter(filter).await.map(ResourceMatch::Found)
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error @ (strongdm::Error::InvalidArgument(_) | strongdm::Error::Refused(_))) => {
                ResourceMatch::Refused(error.to_string())
            }
            Err(error) => return Observed::Unknown((&error).into()),
        };
        self.cache.resources.put(selector.clone(), answer.clone(), now);
        Observed::Known(answer)
    }

    async fn people(
        &self,
        now: DateTime<Utc>,
        on_calls: &[&OnCall],
    ) -> BTreeMap<UserId, Observed<Option<String>>> {
        let mut people: BTreeMap<UserId, Observed<Option<String>>> = BTreeMap::new();
        for on_call in on_calls {
            if let Some(email) = &on_call.email {
                people.insert(on_call.user.clone(), Observed::Known(Some(email.clone())));
            }
        }
        let others: BTreeSet<&UserId> =
            on_calls.iter().map(|on_call| &on_call.user).filter(|user| !people.contains_key(user)).collect();
        let mut looked_up = Vec::new();
        for user in others {
            let answer = if let Some(email) = self.cache.people.get(user, now) {
                Observed::Known(email)
            } else {
                match self.pagerduty.user(user).await {
                    Ok(found) => {
                        let email = found.and_then(|user| user.email);
                        self.cache.people.put(user.clone(), email.clone(), now);
                        Observed::Known(email)
                    }
                    Err(error) => Observed::Unknown(remedy::user(&error)),
                }
            };
            looked_up.push((user.clone(), answer));
        }
        people.extend(looked_up);
        people
    }

    async fn accounts(
        &self,
        now: DateTime<Utc>,
        people: &BTreeMap<UserId, Observed<Option<String>>>,
    ) -> BTreeMap<Email, Observed<AccountMatch>> {
        let emails: BTreeSet<Email> = people
            .values()
            .filter_map(|person| match person {
                Observed::Known(Some(raw)) => self.settings.aliases.account_email(raw).ok(),
                Observed::Known(None) | Observed::Unknown(_) => None,
            })
            .collect();
        stream::iter(emails)
            .map(async |email| {
                let answer = self.account(now, &email).await;
                (email, answer)
            })
            .buffer_unordered(LOOK_UPS)
            .collect()
            .await
    }

    /// The strongDM account with this address.
    pub(super) async fn account(&self, now: DateTime<Utc>, email: &Email) -> Observed<AccountMatch> {
        if let Some(answer) = self.cache.accounts.get(email, now) {
            return Observed::Known(answer);
        }
        let answer = match self.strongdm.accounts_by_email(email).await {
            Ok(mut found) => match (found.pop(), found.is_empty()) {
                (None, _) => AccountMatch::None,
                (Some(one), true) => AccountMatch::One(one),
                (Some(_), false) => AccountMatch::Many,
            },
            Err(error) => return Observed::Unknown((&error).into()),
        };
        self.cache.accounts.put(email.clone(), answer.clone(), now);
        Observed::Known(answer)
    }
}

/// The rules that `scope` names and those that could justify the same grants, because they share a resource with
/// them: without these, no revocation could be decided.
fn in_scope<'a>(
    rules: &'a [Rule],
    scope: &Scope,
    resources: &BTreeMap<ResourceSelector, Observed<ResourceMatch>>,
) -> Vec<&'a Rule> {
    if *scope == Scope::All {
        return rules.iter().collect();
    }
    let of = |rule: &Rule| -> BTreeSet<String> {
        let found = rule.resources.iter().flat_map(|selector| match resources.get(selector) {
            Some(Observed::Known(ResourceMatch::Found(found))) => {
                found.iter().map(|resource| resource.id.to_string()).collect()
            }
            _ => vec![selector.to_string()],
        });
        found.collect()
    };
    let named: BTreeSet<String> = rules.iter().filter(|rule| scope.names(rule)).flat_map(of).collect();
    rules.iter().filter(|rule| scope.names(rule) || !of(rule).is_disjoint(&named)).collect()
}
