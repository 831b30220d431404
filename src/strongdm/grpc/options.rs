//! What the caller of strongDM chooses: timeouts, retries, the user agent, and who observes each request.

use std::{fmt, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};

use crate::strongdm::error::Error;

/// What is not a matter of the account: names, patience and who listens.
#[derive(Clone)]
pub struct Options {
    /// How this program introduces itself.
    pub user_agent: String,
    /// How long things may take.
    pub timing: Timing,
    /// Hears of every request that was sent.
    pub on_call: Observer,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("oncall-grants/", env!("CARGO_PKG_VERSION")).to_owned(),
            timing: Timing::default(),
            on_call: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user_agent, timing, on_call: _ } = self;
        f.debug_struct("Options")
            .field("user_agent", user_agent)
            .field("timing", timing)
            .finish_non_exhaustive()
    }
}

/// Bounds on how long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For a connection with its TLS handshake.
    pub connect: Duration,
    /// For one request and its answer.
    pub attempt: Duration,
    /// For a call with all its attempts; a page of a list is a call. Waiting for a turn to write comes before.
    pub call: Duration,
    /// For all pages of a list.
    pub list: Duration,
    /// For the rate limit.
    pub longest_wait: Duration,
    /// Before the second attempt; doubles from there, with jitter.
    pub first_pause: Duration,
    /// Attempts of one call.
    pub attempts: usize,
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
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
            .build()
    }

    /// With less time than this an attempt has no fair chance, and cutting it off would leave a write unclear.
    fn fair_chance(&self) -> Duration {
        self.attempt / 5
    }
}

/// Is told of every request that was sent, retries included. Must not block.
pub type Observer = Arc<dyn Fn(&CallOutcome<'_>) + Send + Sync>;

/// How one request to strongDM went.
#[derive(Clone, Debug)]
pub struct CallOutcome<'a> {
    /// What was asked, `AccountGrants.Create` for example.
    pub operation: &'static str,
    /// Whether it was done. `NotFound`, `AlreadyExists` and `InvalidArgument` are answers of a healthy strongDM.
    pub result: Result<(), &'a Error>,
    /// gRPC's name of the code, or `CONNECT`, `TRANSPORT`, `TIMEOUT`, `DECODE` where there was none.
    pub code: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// What is left of the rate limit, if the answer said so.
    pub ratelimit_remaining: Option<i64>,
    /// What strongDM's clock showed, if the answer said so: signatures fail if ours shows another day.
    pub server_date: Option<DateTime<Utc>>,
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
