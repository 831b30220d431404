//! Each upstream's last success, last error and clock.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;

use crate::clock;

/// An upstream's last success and last error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    view: Arc<Mutex<HealthView>>,
    clocks: Arc<Mutex<Option<Clocks>>>,
    calls: Arc<AtomicU64>,
}

/// What two clocks showed at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// The upstream's, which tells whole seconds.
    pub(crate) theirs: DateTime<Utc>,
    /// Ours.
    pub(crate) ours: DateTime<Utc>,
}

/// An upstream's health as `/readyz` shows it.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct HealthView {
    /// When a request last succeeded, in UTC.
    pub(crate) last_success: Option<DateTime<Utc>>,
    /// The last failure.
    pub(crate) last_error: Option<LastError>,
}

/// A failure of an upstream.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LastError {
    /// When, in UTC.
    pub(crate) at: DateTime<Utc>,
    /// What went wrong, without secrets.
    pub(crate) message: String,
}

impl Health {
    /// Records the outcome of a request.
    pub(crate) fn record(&self, outcome: Result<(), String>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut health = self.view.lock();
        match outcome {
            Ok(()) => health.last_success = Some(clock::now()),
            Err(message) => health.last_error = Some(LastError { at: clock::now(), message }),
        }
    }

    /// Records what the upstream's clock showed just now. Returns how far it is ahead of ours, in seconds.
    pub(crate) fn record_clock(&self, theirs: DateTime<Utc>) -> i64 {
        let clocks = Clocks { theirs, ours: clock::now() };
        *self.clocks.lock() = Some(clocks);
        (clocks.theirs - clocks.ours).num_seconds()
    }

    /// What both clocks showed when the upstream last answered.
    pub(crate) fn clocks(&self) -> Option<Clocks> {
        *self.clocks.lock()
    }

    /// How many requests it was sent.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Its last success and its last error.
    pub(crate) fn view(&self) -> HealthView {
        self.view.lock().clone()
    }
}
