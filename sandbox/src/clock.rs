//! The time that a stand-in believes in: real time plus an offset that tests may move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// Real time plus an offset; clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that shows real time until it is moved.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time by this clock.
    pub fn now(&self) -> DateTime<Utc> {
        real_now() + TimeDelta::milliseconds(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Sets how far this clock is ahead of real time (behind, when negative).
    pub fn set_offset(&self, offset: TimeDelta) {
        self.offset_ms.store(offset.num_milliseconds(), Ordering::SeqCst);
    }

    /// Moves this clock forward (back, when negative).
    pub fn advance(&self, by: TimeDelta) {
        self.offset_ms.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

/// The time by the machine's clock, which no test moves.
#[expect(clippy::disallowed_methods, reason = "the one place of the sandbox that may read the clock")]
pub fn real_now() -> DateTime<Utc> {
    Utc::now()
}
