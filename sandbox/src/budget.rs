//! A rate limit: so many calls in each minute of the clock.

use chrono::{DateTime, Utc};

/// Counts the calls of the running minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {
    minute: i64,
    used: u32,
}

/// What is left after one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_at: DateTime<Utc>,
    pub(crate) exceeded: bool,
}

impl Budget {
    /// Counts one call, unless the limit is reached already.
    pub(crate) fn take(&mut self, now: DateTime<Utc>, limit: u32) -> Left {
        let minute = now.timestamp().div_euclid(60);
        if minute != self.minute {
            *self = Self { minute, used: 0 };
        }
        let exceeded = self.used >= limit;
        if !exceeded {
            self.used += 1;
        }
        let reset_at = DateTime::from_timestamp((minute + 1) * 60, 0).unwrap_or(now);
        Left { limit, remaining: limit.saturating_sub(self.used), reset_at, exceeded }
    }
}
