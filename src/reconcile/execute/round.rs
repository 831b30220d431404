//! One plan of a pass with the terms on which it is carried out.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::{
    model::{AccountId, Grant, ResourceId, SecondGrant, Window},
    reconcile::{
        plan::{Action, Plan},
        report::{Failure, PassReport},
    },
};

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
    /// Somebody else wants the turn; what is left is urgent, and planned again in the next one.
    TurnIsOver,
    /// Only windows to come are left: somebody else wants the turn, or strongDM takes hardly a write more until then.
    OnlyComing(Option<DateTime<Utc>>),
}

impl Round {
    /// The writes that neither happened nor failed, because the pass was cut off.
    pub(crate) fn cut_off(&self, report: &PassReport) -> Vec<Failure> {
        let [created, revoked] =
            [&report.created, &report.revoked].map(|done| done.iter().map(which).collect());
        let failed: HashSet<_> = report.failed.iter().map(|failure| which(&failure.grant)).collect();
        let is_over = |step: &&Action| {
            let done: &HashSet<_> = match step {
                Action::Create(_) => &created,
                Action::Revoke(_) => &revoked,
            };
            let this = which(step.grant());
            done.contains(&this) || failed.contains(&this)
        };
        self.plan.actions().filter(|step| !is_over(step)).map(Failure::out_of_time).collect()
    }
}

fn which(grant: &Grant) -> (&AccountId, &ResourceId, Window) {
    (&grant.account_id, &grant.resource_id, grant.window)
}
