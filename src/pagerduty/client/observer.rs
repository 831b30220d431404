//! Who is told of every request.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::operation::Operation;
use crate::pagerduty::Error;

/// How one request to PagerDuty went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOutcome<'a> {
    /// What it was for.
    pub(crate) operation: Operation,
    /// The status of the answer; none if there was none.
    pub(crate) status: Option<u16>,
    /// Why it failed. Failures that are retried are included; so is the refusal that tells a schedule's kind.
    pub(crate) error: Option<&'a Error>,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What it told of the limit that is nearest to its end; none if it told nothing.
    pub(crate) rate_limit: Option<RateLimit>,
    /// The time on PagerDuty's clock.
    pub(crate) server_date: Option<DateTime<Utc>>,
}

/// How many requests PagerDuty allows within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// In all; none if it did not say.
    pub(crate) limit: Option<u64>,
    /// How many are left.
    pub(crate) remaining: u64,
}

/// Is told of every request, retries included. Must not block.
pub(crate) type CallObserver = Arc<dyn Fn(&CallOutcome<'_>) + Send + Sync>;
