//! Observes: asks PagerDuty and strongDM for what a pass needs to know, and puts the [`World`] together. Writes
//! nothing, and has no store: what our own records say is read before (`recorded.rs`) and passed in.

pub(super) mod cache;
pub(super) mod freshness;
pub(super) mod look;
pub(super) mod recorded;

mod acquaintances;
mod aside;
mod division;
mod failures;
mod gather;
mod incidents;
mod listing;
mod question;
mod remedy;
mod sight;
mod sources;
mod standby;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use self::{
    cache::{Cache, Demand},
    gather::Gatherer,
    look::Look,
    question::Question,
};
use super::{
    names::NameDirectory,
    plan::{Plan, Released, Settings, plan},
    scope::Scope,
    world::{AccountMatch, Recorded, World},
};
use crate::{
    clock,
    metrics::{Purpose, Work},
    model::{Email, Observed, Rule, UserId, Window},
    pagerduty::{self, Precedence},
    strongdm,
};

/// A look for whoever wants to see everything takes so long at most.
const LONGEST: Duration = Duration::from_mins(1);

/// More of one kind than this in one look are not asked for one by one, but listed.
const FEW: usize = 12;

/// A pass may decide by what it saw so long after it asked; by then the horizon has moved on.
const DECIDED_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// Asks both upstreams for what the rules depend on. Clones share what they learned.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    settings: Arc<Settings>,
    pagerduty: pagerduty::Client,
    strongdm: strongdm::Client,
    /// Shared with whoever writes: a refused write shows that an answer was wrong.
    cache: Arc<Cache>,
    /// What things are called, as answers carry it beside what they are asked for.
    names: Arc<NameDirectory>,
    for_whom: For,
}

/// For whom it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// A pass: somebody's access depends on it.
    Pass,
    /// Somebody who only wants to know.
    Onlooker,
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
        let names = Arc::new(NameDirectory::new(settings.aliases.clone()));
        let observer = Arc::clone(&names);
        let pagerduty = pagerduty.with_names(Arc::new(move |seen| observer.observe(seen)));
        let (settings, cache) = (Arc::new(settings), Arc::default());
        Self { settings, pagerduty, strongdm, cache, names, for_whom: For::Pass }
    }

    /// An observer for whoever only wants to know: it has answers of its own, and PagerDuty is asked for it one thing at a
    /// time, when no pass waits.
    pub(super) fn patient(&self) -> Self {
        Self { cache: Arc::default(), for_whom: For::Onlooker, ..self.clone() }
    }

    /// The operator's part of the decision.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The client for PagerDuty, which also tells what things are called.
    pub(crate) fn pagerduty(&self) -> &pagerduty::Client {
        &self.pagerduty
    }

    /// The client for strongDM.
    pub(super) fn strongdm(&self) -> &strongdm::Client {
        &self.strongdm
    }

    /// What things are called.
    pub(crate) fn names(&self) -> &Arc<NameDirectory> {
        &self.names
    }

    /// The answers of earlier observations.
    pub(super) fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Begins to look at everything that the planner needs to know for `scope`, and shows it as it comes in. What is not
    /// seen `until` then is unknown. A look that may confirm what is due to be revoked believes no earlier answer.
    pub(super) fn look(&self, now: DateTime<Utc>, scope: &Scope, recorded: Recorded, until: Instant) -> Look {
        self.look_at(now, scope, self.asked_window(now), recorded, until)
    }

    /// Everything the planner needs to know for `scope`. What upstreams do not answer is part of the world.
    pub(super) async fn observe(&self, now: DateTime<Utc>, scope: &Scope, recorded: Recorded) -> World {
        self.observe_window(now, scope, self.asked_window(now), recorded).await
    }

    /// The same, asking PagerDuty about another stretch of time.
    pub(super) async fn observe_window(
        &self,
        now: DateTime<Utc>,
        scope: &Scope,
        asked: Window,
        recorded: Recorded,
    ) -> World {
        self.look_at(now, scope, asked, recorded, Instant::now() + LONGEST).whole().await
    }

    fn look_at(
        &self,
        now: DateTime<Utc>,
        scope: &Scope,
        window: Window,
        recorded: Recorded,
        until: Instant,
    ) -> Look {
        let demand = match scope {
            // Not before: whoever comes on call meanwhile does not wait for what goes later.
            _ if recorded.due.may_be_confirmed_at(now) => Demand::Since(now),
            Scope::All => Demand::Lasting,
            Scope::Sources(_) => Demand::Trusted,
        };
        self.cache.prune(now);
        if (self.for_whom, scope) == (For::Pass, &Scope::All) {
            self.prepare_beside(now, window);
        }
        let question = self.question(now, scope, window, demand);
        let gatherer = Gatherer::new(question, scope.clone(), recorded.parts.clone());
        Look::start(gatherer, recorded, until)
    }

    fn question(&self, now: DateTime<Utc>, scope: &Scope, window: Window, demand: Demand) -> Question {
        let precedence = match (self.for_whom, scope) {
            (For::Onlooker, _) => Precedence::Aside,
            (For::Pass, Scope::Sources(_)) => Precedence::Event,
            (For::Pass, Scope::All) => Precedence::Pass,
        };
        Question {
            pagerduty: self.pagerduty.with_precedence(precedence),
            strongdm: self.strongdm.clone(),
            settings: Arc::clone(&self.settings),
            cache: Arc::clone(&self.cache),
            now,
            window,
            demand,
        }
    }

    /// Begins to look up whom incidents may pull in, unless that is under way. No look waits for it.
    fn prepare_beside(&self, now: DateTime<Utc>, window: Window) {
        let question = Self { for_whom: For::Onlooker, ..self.clone() }.question(
            now,
            &Scope::All,
            window,
            Demand::Lasting,
        );
        tokio::spawn(Work::new(Purpose::Standby).run(async move {
            let cache = Arc::clone(&question.cache);
            if let Ok(_under_way) = cache.preparing.try_lock() {
                standby::prepare(&question).await;
            }
        }));
    }

    /// Observes everything and plans as if nothing had been done before, for somebody who wants to know what the rules
    /// mean.
    pub(crate) async fn survey(&self) -> Survey {
        let at = clock::now();
        standby::prepare(&self.question(at, &Scope::All, self.asked_window(at), Demand::Lasting)).await;
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

    /// The address of a user; none for a deleted one, or one without.
    pub(super) async fn address(&self, now: DateTime<Utc>, user: &UserId) -> Observed<Option<String>> {
        let question = self.question(now, &Scope::All, self.asked_window(now), Demand::Trusted);
        question.address(user).await.map_or_else(Observed::Unknown, Observed::Known)
    }

    /// The strongDM account with this address.
    pub(super) async fn account(&self, now: DateTime<Utc>, email: &Email) -> Observed<AccountMatch> {
        if let Some(account) = self.cache.accounts.get(email, now, Demand::Trusted) {
            return Observed::Known(account);
        }
        let question = self.question(now, &Scope::All, self.asked_window(now), Demand::Trusted);
        question.account(email).await.map_or_else(Observed::Unknown, Observed::Known)
    }
}
