//! Whether this machine's clock agrees with the upstreams'.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    metrics::{Health, Metrics},
    model::{Finding, FindingKind},
};

/// Clocks that differ by more than this are wrong; answers take a while, and tell whole seconds.
const MAY_DIFFER: TimeDelta = TimeDelta::seconds(30);

/// Compares with the times in the newest answers of both upstreams.
pub(super) fn findings(metrics: &Metrics) -> Vec<Finding> {
    let upstreams = [("PagerDuty", &metrics.pagerduty), ("strongDM", &metrics.strongdm)];
    upstreams.into_iter().filter_map(|(name, health)| difference(name, health)).collect()
}

fn difference(upstream: &str, health: &Health) -> Option<Finding> {
    let clocks = health.clocks()?;
    let ahead = clocks.ours - clocks.theirs;
    if ahead.abs() <= MAY_DIFFER {
        return None;
    }
    let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    let amount = humantime::format_duration(Duration::from_secs(ahead.num_seconds().unsigned_abs()));
    let message =
        format!("is {amount} {direction} {upstream}'s, so access starts and ends at the wrong time");
    let subject = "this machine's clock";
    let finding = if clocks.ours.date_naive() == clocks.theirs.date_naive() {
        Finding::warning(FindingKind::ClockSkew, subject, message)
    } else {
        let message =
            format!("{message}; the UTC day differs, and strongDM refuses signatures of another day");
        Finding::problem(FindingKind::ClockSkew, subject, message)
    };
    Some(finding.mended_by("set the clock, and keep it right with NTP"))
}
