//! What the caller of the API chooses: user agent, time limits, number of attempts, and the observer of each request.

use std::{fmt, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use hyper_util::client::proxy::matcher::Intercept;

use super::rate_limit::RateLimit;
use crate::strongdm::{error::Error, operation::Operation};

/// How to call the API, whichever the API key is.
#[derive(Clone)]
pub(crate) struct Options {
    /// How this program introduces itself.
    pub(crate) user_agent: String,
    /// Time limits and retries.
    pub(crate) timing: Timing,
    /// Is told of every request.
    pub(crate) observer: CallObserver,
    /// The proxy that leads to the API, if it is not reached directly.
    pub(crate) proxy: Option<Intercept>,
    /// How many resources an operator's filter may find, so that a mistyped one neither fills the memory nor opens
    /// everything.
    pub(crate) max_filter_matches: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("oncall-grants/", env!("CARGO_PKG_VERSION")).to_owned(),
            timing: Timing::default(),
            observer: Arc::new(|_| {}),
            proxy: None,
            max_filter_matches: usize::MAX,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user_agent, timing, observer: _, proxy, max_filter_matches } = self;
        f.debug_struct("Options")
            .field("user_agent", user_agent)
            .field("timing", timing)
            .field("proxy", proxy)
            .field("max_filter_matches", max_filter_matches)
            .finish_non_exhaustive()
    }
}

/// Time limits and retries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Limit of one connection attempt, TLS handshake included.
    pub(crate) connect: Duration,
    /// Limit of one request and its answer.
    pub(crate) attempt: Duration,
    /// Limit of one call with all its attempts; each page of a list is a call. A write waits for its turn before this
    /// begins.
    pub(crate) call: Duration,
    /// Limit of all pages of a list.
    pub(crate) list: Duration,
    /// The longest wait for the rate limit.
    pub(crate) longest_wait: Duration,
    /// The pause before the second attempt; it doubles from there, with jitter.
    pub(crate) first_pause: Duration,
    /// How often one call is attempted at most.
    pub(crate) attempts: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            call: Duration::from_secs(30),
            list: Duration::from_secs(90),
            longest_wait: Duration::from_secs(15),
            first_pause: Duration::from_millis(300),
            attempts: 3,
        }
    }
}

impl Timing {
    /// The pauses between the attempts, one fewer than those.
    pub(super) fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
            .build()
    }

    /// With less time than this an attempt has no fair chance, and cutting it off would leave a write unclear.
    pub(super) fn shortest_attempt(&self) -> Duration {
        self.attempt / 5
    }
}

/// Is told of every request, retries included. Must not block.
pub(crate) type CallObserver = Arc<dyn Fn(&CallOutcome<'_>) + Send + Sync>;

/// How one request to strongDM went.
#[derive(Clone, Debug)]
pub(crate) struct CallOutcome<'a> {
    /// The method that was called.
    pub(crate) operation: Operation,
    /// Whether it succeeded. `NotFound`, `AlreadyExists` and `InvalidArgument` are answers of a healthy strongDM.
    pub(crate) result: Result<(), &'a Error>,
    /// gRPC's name of the status code, or `CONNECT`, `TRANSPORT`, `TIMEOUT`, `DECODE` where there was none.
    pub(crate) code: &'static str,
    /// How long it took.
    pub(crate) seconds: f64,
    /// The state of a budget of requests, if the answer told it.
    pub(crate) rate_limit: Option<RateLimit>,
    /// The time on strongDM's clock, if the answer said so: it refuses signatures of another day than its own.
    pub(crate) server_date: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<Duration> = Timing::default().pauses().collect();
        assert_eq!(pauses.len(), 2);
        assert!(pauses[0] >= Duration::from_millis(300) && pauses[1] >= Duration::from_millis(600));
    }
}
