//! What passes of this process put into the log: held revocations once, failures ever more rarely, findings ahead once,
//! and a line for each pass that did something.

use std::time::Duration;

use super::{PassReport, Trigger, failure_log::FailureLog, finding_log::FindingLog};
use crate::{
    metrics::Metrics,
    model::{Finding, Names, Unknown},
    reconcile::scope::Scope,
};

/// What was told so far.
#[derive(Debug, Default)]
pub(crate) struct PassLog {
    revocations_are_held: bool,
    failures: FailureLog,
    findings: FindingLog,
}

impl PassLog {
    /// Counts what a full pass found ahead, and tells what is new.
    pub(crate) fn record_ahead(
        &mut self,
        metrics: &Metrics,
        found: Vec<Finding>,
        unknown: &[Unknown],
        names: &Names,
    ) {
        self.findings.record(metrics, found, unknown, names);
    }

    /// Tells what an operator must know of a pass.
    pub(crate) fn tell(&mut self, report: &PassReport, scope: &Scope, names: &Names) {
        let held = report.held.len();
        if held > 0 && !self.revocations_are_held {
            tracing::error!(
                revocations.held = held,
                "{} held, more than max_revocations allows within a minute; check the rules and PagerDuty, then confirm with \
                 POST /sync and allow_mass_revocation",
                if held == 1 { "1 revocation is".to_owned() } else { format!("{held} revocations are") },
            );
        }
        // A narrow pass that holds nothing says nothing about the rest.
        if *scope == Scope::All || held > 0 {
            self.revocations_are_held = held > 0;
        }
        self.failures.tell(report, scope, names);
    }
}

/// Whether a pass did something, or nobody expected it; the usual one that changed nothing is not worth a line.
pub(crate) fn is_eventful(report: &PassReport) -> bool {
    let is_routine = matches!(
        report.trigger,
        Trigger::Interval | Trigger::Boundary | Trigger::Retry | Trigger::SecondLook | Trigger::FollowUp
    );
    !(is_routine && report.is_quiet())
}

/// Tells what a pass did.
pub(crate) fn summarize(report: &PassReport, result: &str, took: Duration) {
    let held = match report.held.len() {
        0 => String::new(),
        held => format!(", {held} revocations held"),
    };
    tracing::info!(
        grants.created = report.created.len(),
        grants.revoked = report.revoked.len(),
        grants.unchanged = report.unchanged,
        duration_ms = took.as_millis(),
        "pass {result}: {} granted, {} revoked, {} unchanged{held}",
        report.created.len(),
        report.revoked.len(),
        report.unchanged,
    );
}
