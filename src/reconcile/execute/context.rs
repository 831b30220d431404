//! The pass in whose name something is written.

use chrono::{DateTime, Utc};

use crate::{
    clock,
    model::{AuditAction, AuditOutcome, Grant},
    reconcile::{lease::PassLease, report::Trigger},
    store::{AuditEntry, Lease},
};

/// A pass, as far as writes and the audit need to know it.
#[derive(Debug)]
pub(crate) struct Context<'p> {
    pub(crate) pass_id: String,
    pub(crate) trigger: Trigger,
    /// The instant for which the pass decides.
    pub(crate) now: DateTime<Utc>,
    /// Without it no write is begun: another replica may run passes by then.
    pub(crate) lease: &'p PassLease,
}

impl Context<'_> {
    /// The proof that no other replica runs a pass.
    pub(crate) fn proof(&self) -> &Lease {
        self.lease.proof()
    }

    pub(crate) fn audit(
        &self,
        action: AuditAction,
        outcome: AuditOutcome,
        grant: &Grant,
        reason: &str,
    ) -> AuditEntry {
        AuditEntry {
            at: clock::now(),
            action,
            outcome,
            grant: grant.clone(),
            reason: reason.to_owned(),
            trigger: self.trigger.to_string(),
            pass_id: self.pass_id.clone(),
        }
    }
}
