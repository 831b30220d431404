//! One plan of a pass with the terms on which it is carried out.

use tokio::time::Instant;

use crate::{
    model::{Grant, SecondGrant},
    reconcile::{
        plan::{Action, Plan},
        report::{Attempt, Failure, PassReport},
    },
};

/// Why a write was not begun: the pass has no time left.
pub(super) const OUT_OF_TIME: &str = "the pass ran out of time";

/// One plan of a pass, and what holds for its writes.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) plan: Plan,
    /// What the plan knew about strongDM's way with a second grant.
    pub(crate) planned_with: SecondGrant,
    /// No write is begun after it.
    pub(crate) deadline: Instant,
    /// What is learned now is too late for this pass.
    pub(crate) is_last: bool,
}

/// What came of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executed {
    Done,
    /// Something was learned that may change the plan.
    PlanAgain,
}

impl Round {
    /// The writes that neither happened nor failed, because the pass was cut off.
    pub(crate) fn cut_off(&self, report: &PassReport) -> Vec<Failure> {
        let mut failures = Vec::new();
        for step in self.plan.actions() {
            let done = match step {
                Action::Create(_) => &report.created,
                Action::Revoke(_) => &report.revoked,
            };
            let grant = step.grant();
            let is_this = |other: &Grant| other.pair() == grant.pair() && other.window == grant.window;
            if !done.iter().any(is_this) && !report.failed.iter().any(|failure| is_this(&failure.grant)) {
                let (action, grant) = (Attempt::from(step), grant.clone());
                failures.push(Failure { action, grant, error: OUT_OF_TIME.into() });
            }
        }
        failures
    }
}
