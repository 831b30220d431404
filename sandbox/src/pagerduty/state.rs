//! What the handle, the REST API and the control API share.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::budget::Budget;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;

use super::Request;
use super::account::World;
use super::settings::Settings;
use super::webhook::subscription::{Delivery, Subscription};
use super::webhook::{self, Endpoint};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) log: CallLog<Request>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) world: World,
    pub(crate) settings: Settings,
    pub(crate) budget: Budget,
    pub(crate) oncalls_budget: Budget,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Where single deliveries go that no subscription asks for.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) client: reqwest::Client,
    last_id: u32,
}

impl Shared {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            faults: Faults::default(),
            log: CallLog::default(),
            inner: Mutex::new(Inner {
                world: World::default(),
                settings: Settings::default(),
                budget: Budget::default(),
                oncalls_budget: Budget::default(),
                subscriptions: Vec::new(),
                deliveries: Vec::new(),
                endpoint: None,
                client: webhook::client(),
                last_id: 0,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while the state is held")
    }
}

impl Inner {
    /// Seven characters, like the account's own.
    pub(crate) fn next_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}{:0width$}", self.last_id, width = 7 - prefix.len())
    }
}
