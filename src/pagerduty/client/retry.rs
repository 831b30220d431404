//! How often a request is sent, after which pauses, and the time limits.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The limits of one call. Tests shorten them.
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    /// How often one request is sent at most.
    pub(super) attempts: usize,
    /// The pause after the first failure; it doubles, with jitter of up to as much again.
    pub(super) first_delay: Duration,
    /// Limit of one attempt, answer included.
    pub(super) attempt: Duration,
    /// Limit of one call with its attempts, pauses and the wait for its slot.
    pub(super) call: Duration,
    /// How long a call may wait for its first slot beside that limit: no time for whoever waits for nothing else.
    pub(super) queue: Duration,
    /// The longest pause after PagerDuty said that its quota is used up. Its windows last a minute.
    pub(super) longest_pause: Duration,
    /// The longest pause that `Retry-After` is granted. Longer than a window, for it is asked for by whoever is
    /// overloaded or under repair; not longer, since that may be over early, and people wait for access.
    pub(super) longest_retry_after: Duration,
    /// The longest pause while some of the quota is left: short enough for the waiting call to be made all the same.
    pub(super) longest_slowdown: Duration,
    /// How long a second of PagerDuty's answers lasts.
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
            queue: Duration::ZERO,
            longest_pause: Duration::from_mins(1),
            longest_retry_after: Duration::from_mins(5),
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
