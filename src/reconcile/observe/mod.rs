//! Gathers the [`World`] of a pass. Reads our ledger first and the on-calls after it, so that the decision is made
//! with the freshest wish; looks up people and accounts last, because only the on-calls say who they are.

pub(crate) mod cache;
mod freshness;
mod remedy;
pub(super) mod survey;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};

use super::{
    Reconciler,
    facts::SECOND_GRANT,
    scope::Scope,
    world::{AccountMatch, ResourceMatch, World},
};
use crate::{
    model::{Email, Fault, Links, Observed, OnCall, ResourceSelector, Rule, Source, UserId, Window},
    pagerduty,
    store::{self, State},
    strongdm,
};

/// Reads of strongDM in flight at once; its documented budget is thousands a minute.
const LOOK_UPS: usize = 8;

impl Reconciler {
    /// Everything the planner needs to know for `scope`. Only the store's failure is an error: what upstreams do
    /// not answer is part of the world.
    pub(in crate::reconcile) async fn observe(
        &self,
        now: DateTime<Utc>,
        scope: &Scope,
    ) -> Result<World, store::Error> {
        self.observe_in(now, scope, self.asked_window(now)).await
    }

    /// The same, asking PagerDuty about another stretch of time.
    pub(in crate::reconcile) async fn observe_in(
        &self,
        now: DateTime<Utc>,
        scope: &Scope,
        asked: Window,
    ) -> Result<World, store::Error> {
        let mut world = World::default();
        // At once, since somebody may be waiting for access.
        let (ledger, foreign, second_grant, refusals) = tokio::try_join!(
            self.store.ledger(now),
            self.store.foreign_grants(),
            SECOND_GRANT.read(&self.store, now),
            self.store.refusals(now),
        )?;
        for entry in ledger {
            let grant = &entry.own.grant;
            if matches!(entry.state, State::Creating | State::Revoking) {
                world.unsettled.push(grant.pair());
            }
            if grant.id.is_some() {
                world.ledger.push(entry.own);
            }
        }
        world.foreign = foreign.into_iter().map(|(foreign, _)| foreign).collect();
        world.second_grant = second_grant.unwrap_or_default();
        world.refusals = refusals;

        world.resources = self.resources(now).await;
        let rules = in_scope(&self.settings.rules, scope, &world.resources);
        let sources: BTreeSet<Source> = rules.iter().flat_map(|rule| rule.sources()).collect();
        world.on_calls = self.on_calls(asked, &sources).await;
        let on_calls: Vec<&OnCall> = known(&world.on_calls).collect();
        world.people = self.people(now, &on_calls).await;
        world.accounts = self.accounts(now, &world.people).await;
        Ok(world)
    }

    /// Remembers which schedule was seen under which escalation policy, for events that name only one of them.
    pub(in crate::reconcile) async fn note_links(&self, world: &World) -> Result<(), store::Error> {
        let seen =
            known(&world.on_calls).filter_map(|on_call| on_call.schedule.clone().zip(on_call.policy.clone()));
        let seen = Links::from_iter(seen);
        let before = self.links();
        if seen != *before {
            self.store.set_links(&seen).await?;
            self.set_links(seen);
        }
        Ok(())
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

    async fn on_calls(
        &self,
        window: Window,
        sources: &BTreeSet<Source>,
    ) -> BTreeMap<Source, Observed<Vec<OnCall>>> {
        let (schedules, policies): (Vec<Source>, Vec<Source>) =
            sources.iter().cloned().partition(|source| matches!(source, Source::Schedule(_)));
        let mut answers = BTreeMap::new();
        for of in [schedules, policies] {
            if of.is_empty() {
                continue;
            }
            match self.pagerduty.on_calls(&of, window).await {
                Ok(on_calls) => answers.extend(self.sorted(&of, on_calls, window).await),
                // One schedule that may not be asked about, or whose entries make no sense, must not hide the others.
                Err(error) if (error.is_client_error() || error.is_invalid()) && of.len() > 1 => {
                    for source in of {
                        let one = std::slice::from_ref(&source);
                        match self.pagerduty.on_calls(one, window).await {
                            Ok(on_calls) => answers.extend(self.sorted(one, on_calls, window).await),
                            Err(error) => {
                                let unseen = self.why_not(&error, &source);
                                answers.insert(source, Observed::Unknown(unseen));
                            }
                        }
                    }
                }
                Err(error) => {
                    answers.extend(of.into_iter().map(|source| {
                        let unseen = self.why_not(&error, &source);
                        (source, Observed::Unknown(unseen))
                    }));
                }
            }
        }
        answers
    }

    /// Deals the entries of one answer out to what was asked. `/oncalls` answers nothing both for a schedule without
    /// anyone and for one that it cannot see, so nothing is believed only after asking for the thing itself.
    async fn sorted(
        &self,
        of: &[Source],
        on_calls: Vec<OnCall>,
        window: Window,
    ) -> BTreeMap<Source, Observed<Vec<OnCall>>> {
        let mut by_source: BTreeMap<Source, Vec<OnCall>> =
            of.iter().map(|source| (source.clone(), Vec::new())).collect();
        for on_call in on_calls {
            for source in of {
                let belongs = match source {
                    Source::Schedule(id) => on_call.schedule.as_ref() == Some(id),
                    Source::Policy(id) => on_call.policy.as_ref() == Some(id),
                };
                if belongs {
                    by_source.entry(source.clone()).or_default().push(on_call.clone());
                }
            }
        }
        let mut answers = BTreeMap::new();
        for (source, on_calls) in by_source {
            let answer = match (&source, on_calls.is_empty()) {
                (_, false) => Ok(on_calls),
                (Source::Schedule(id), true) => self.pagerduty.schedule(id, window).await,
                (Source::Policy(id), true) => self.pagerduty.policy(id).await.map(|_| on_calls),
            };
            let answer = match answer {
                Ok(on_calls) => {
                    Observed::Known(on_calls.into_iter().map(|on_call| uncut(on_call, window)).collect())
                }
                Err(error) => Observed::Unknown(remedy::source(&error, &source, &self.settings.rules)),
            };
            answers.insert(source, answer);
        }
        answers
    }

    /// Why `/oncalls` did not tell about `source`.
    fn why_not(&self, error: &pagerduty::Error, source: &Source) -> Fault {
        match error {
            pagerduty::Error::NotFound(_) => remedy::source(error, source, &self.settings.rules),
            _ => remedy::on_calls(error),
        }
    }

    /// The window PagerDuty is asked about: wide enough for shifts that the rules' margins bring into view.
    pub(in crate::reconcile) fn asked_window(&self, now: DateTime<Utc>) -> Window {
        let margin =
            |of: fn(&Rule) -> TimeDelta| self.settings.rules.iter().map(of).max().unwrap_or_default();
        let since = now - margin(|rule| rule.end_late);
        // PagerDuty computes shifts for 90 days ahead at most.
        let ahead = (self.settings.horizon + margin(|rule| rule.start_early)).min(TimeDelta::days(90));
        Window::new(since, now + ahead).expect("the horizon is longer than a second")
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

    pub(in crate::reconcile) async fn account(
        &self,
        now: DateTime<Utc>,
        email: &Email,
    ) -> Observed<AccountMatch> {
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

fn known(on_calls: &BTreeMap<Source, Observed<Vec<OnCall>>>) -> impl Iterator<Item = &OnCall> {
    on_calls.values().flat_map(|answer| match answer {
        Observed::Known(on_calls) => on_calls.as_slice(),
        Observed::Unknown(_) => &[],
    })
}

/// An end that lies exactly where the question ended is no shift's end but the answer's: it counts as open, so that
/// a moving window does not look like a shift that grows.
fn uncut(mut on_call: OnCall, asked: Window) -> OnCall {
    if on_call.start.is_some() && on_call.end == Some(asked.end()) {
        on_call.end = None;
    }
    on_call
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
