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
    /// How many requests PagerDuty still allows in its current window.
    pub(crate) ratelimit_remaining: Option<u64>,
    /// The time on PagerDuty's clock.
    pub(crate) server_date: Option<DateTime<Utc>>,
}

/// Is told of every request, retries included. Must not block.
pub(crate) type CallObserver = Arc<dyn Fn(&CallOutcome<'_>) + Send + Sync>;
