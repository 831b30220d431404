//! What a stretch of time costs: passes, calls and grants, and the share of the upstreams' limits.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Event, Write, saved::Calls};
use crate::model::Window;

/// PagerDuty's limit for a key or an app, as its documentation tells: so many requests a minute.
const PAGERDUTY_A_MINUTE: u64 = 960;
/// strongDM's limit for one user or key, as its documentation tells: so many writes a minute. Answers tell it only to
/// whoever writes.
const STRONGDM_WRITES_A_MINUTE: u64 = 500;

/// How often the service looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// A full pass comes at least this often.
    pub(crate) interval: TimeDelta,
    /// The ledger is compared with strongDM's list this often.
    pub(crate) verify_interval: TimeDelta,
}

/// What it would cost, where no event arrives and nothing fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Forecast {
    /// Grants made.
    pub(crate) grants_created: usize,
    /// Grants taken back.
    pub(crate) grants_revoked: usize,
    /// Full passes.
    pub(crate) passes: i64,
    /// Comparisons with strongDM's list.
    pub(crate) comparisons: i64,
    /// Requests to PagerDuty, if every pass asked for as much as the first: at most so many.
    pub(crate) pagerduty_calls: u64,
    /// The share of PagerDuty's limit that the passes use.
    pub(crate) pagerduty_share: f64,
    /// That limit.
    pub(crate) pagerduty_limit: Limit,
    /// The most grants written within a minute.
    pub(crate) writes_in_a_minute: usize,
    /// The share of strongDM's limit for writes that this is.
    pub(crate) strongdm_share: f64,
    /// That limit.
    pub(crate) strongdm_limit: Limit,
}

/// How many requests an upstream allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Limit {
    /// Within a minute.
    pub(crate) a_minute: u64,
    /// How that is known.
    pub(crate) told_by: ToldBy,
}

/// How a limit is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToldBy {
    /// Answers told it.
    Answers,
    /// No answer told it, and what holds for this account may be another one.
    Documentation,
}

impl Forecast {
    #[expect(clippy::cast_precision_loss, reason = "a share needs few digits")]
    pub(super) fn new(window: Window, events: &[Event], look: Calls, pace: Pace) -> Self {
        let length = window.end() - window.start();
        let times = |each: TimeDelta| length.num_seconds() / each.num_seconds().max(1) + 1;
        let count = |action| events.iter().filter(|event| event.action == action).count();
        let passes = times(pace.interval);
        let pagerduty_limit = match look.pagerduty_limit.filter(|limit| *limit > 0) {
            Some(a_minute) => Limit { a_minute, told_by: ToldBy::Answers },
            None => Limit { a_minute: PAGERDUTY_A_MINUTE, told_by: ToldBy::Documentation },
        };
        let strongdm_limit = Limit { a_minute: STRONGDM_WRITES_A_MINUTE, told_by: ToldBy::Documentation };
        let a_minute = 60.0 / pace.interval.num_seconds().max(1) as f64 * look.pagerduty as f64;
        let busiest = busiest_minute(events);
        Self {
            grants_created: count(Write::Create),
            grants_revoked: count(Write::Revoke),
            passes,
            comparisons: times(pace.verify_interval),
            pagerduty_calls: look.pagerduty.saturating_mul(u64::try_from(passes).unwrap_or_default()),
            pagerduty_share: rounded(a_minute / pagerduty_limit.a_minute as f64),
            pagerduty_limit,
            writes_in_a_minute: busiest,
            strongdm_share: rounded(busiest as f64 / strongdm_limit.a_minute as f64),
            strongdm_limit,
        }
    }
}

fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

/// The most writes within a minute; events are in the order of time.
fn busiest_minute(events: &[Event]) -> usize {
    let starts_of_minute = |end: DateTime<Utc>| end - TimeDelta::minutes(1);
    let mut first = 0;
    let most = events.iter().enumerate().map(|(last, event)| {
        while events[first].at <= starts_of_minute(event.at) {
            first += 1;
        }
        last - first + 1
    });
    most.max().unwrap_or_default()
}
