//! How often, how long and after which pause a request is tried.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The bounds of one call. Tests make them short.
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    /// How often a request is sent at most.
    pub(super) attempts: usize,
    /// The pause after the first failure; it doubles, plus up to as much at random.
    pub(super) first_delay: Duration,
    /// How long one attempt may take, answer included.
    pub(super) attempt: Duration,
    /// How long the call may take with its attempts, pauses and waiting for its turn.
    pub(super) call: Duration,
    /// How long nothing is sent at most because PagerDuty said that its quota is used up. Its windows last a minute.
    pub(super) longest_pause: Duration,
    /// The same while some of the quota is left: short enough for the waiting call to be made all the same.
    pub(super) longest_slowdown: Duration,
    /// How long PagerDuty's seconds last.
    pub(super) second: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_delay: Duration::from_millis(500),
            attempt: Duration::from_secs(10),
            // The promise is 30 seconds; the rest is for the machine to be busy.
            call: Duration::from_secs(28),
            longest_pause: Duration::from_mins(1),
            longest_slowdown: Duration::from_secs(15),
            second: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// The pauses between the attempts, one fewer than those.
    pub(super) fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_delay)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
            .build()
    }
}
