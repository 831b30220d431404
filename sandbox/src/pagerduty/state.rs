//! What the handle, the REST API and the control API share.

use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, SubsecRound, Utc};

use super::account::Account;
use super::identity::AccessToken;
use super::incident::model::Incident;
use super::render;
use super::request::Request;
use super::schedule::{Generation, Override, Shift};
use super::settings::Settings;
use super::webhook::endpoint::{self, Endpoint};
use super::webhook::subscription::{Delivery, Subscription};
use crate::budget::Budget;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;

/// One stand-in.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) log: CallLog<Request>,
    /// Sends all webhooks.
    pub(crate) client: reqwest::Client,
    state: Mutex<State>,
}

/// What changes with requests, tests and people.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) account: Account,
    pub(crate) settings: Settings,
    pub(crate) budget: Budget,
    pub(crate) oncalls_budget: Budget,
    pub(crate) subscriptions: Vec<Subscription>,
    /// The tokens that the OAuth app got.
    pub(crate) access_tokens: Vec<AccessToken>,
    /// Every attempt to deliver to a subscription.
    pub(crate) deliveries: Vec<Delivery>,
    /// The receiver of single deliveries, which need no subscription.
    pub(crate) endpoint: Option<Endpoint>,
    /// The incidents that REST shows instead of the account's, while it lags behind.
    lag: Option<Lag>,
    last_id: u32,
}

/// Incidents as they were.
#[derive(Debug)]
struct Lag {
    incidents: Vec<Incident>,
    /// When REST catches up; without a time, when it is told to.
    until: Option<DateTime<Utc>>,
}

impl Shared {
    /// An empty account.
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            faults: Faults::default(),
            log: CallLog::default(),
            client: endpoint::client(),
            state: Mutex::default(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the state is held")
    }
}

impl State {
    /// An ID of seven characters, like the account's own.
    pub(crate) fn next_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}{:0width$}", self.last_id, width = 7 - prefix.len())
    }

    /// Makes REST show the incidents as they are now until this time, or until [`catch_up`](Self::catch_up).
    pub(crate) fn lag_until(&mut self, until: Option<DateTime<Utc>>) {
        self.lag = Some(Lag { incidents: self.account.incidents.clone(), until });
    }

    /// Makes REST show the incidents as they are.
    pub(crate) fn catch_up(&mut self) {
        self.lag = None;
    }

    /// The incidents that REST shows at this time.
    pub(crate) fn rest_incidents(&self, now: DateTime<Utc>) -> &[Incident] {
        match &self.lag {
            Some(lag) if lag.until.is_none_or(|until| now < until) => &lag.incidents,
            _ => &self.account.incidents,
        }
    }

    pub(crate) fn subscription_mut(&mut self, id: &str) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.id == id)
    }

    /// Gives what is left of the shift that runs at `at` to another user; returns the new shift.
    ///
    /// Nothing if there is no such schedule, or nobody is on call in it.
    pub(crate) fn swap_shift(&mut self, schedule: &str, user: &str, at: DateTime<Utc>) -> Option<Shift> {
        let override_id = self.next_id("PO");
        let at = at.trunc_subsecs(0);
        let schedule = self.account.schedule_mut(schedule)?;
        let running = render::final_entries(schedule)
            .into_iter()
            .find(|shift| shift.user.is_some() && shift.covers(at))?;
        let swapped = Shift { user: Some(user.into()), start: at, end: running.end };
        match (schedule.generation, running.end) {
            (Generation::Layers, Some(end)) => {
                schedule.overrides.push(Override { id: override_id, user: user.into(), start: at, end });
            }
            // An override must end, so an endless shift is changed itself.
            (Generation::Layers | Generation::Shifts, _) => {
                if let Some(shift) = schedule.shifts.iter_mut().find(|shift| **shift == running) {
                    shift.end = Some(at);
                }
                schedule.shifts.push(swapped.clone());
            }
        }
        Some(swapped)
    }
}
