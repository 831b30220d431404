//! The pass in whose name something is written.

use chrono::{DateTime, Utc};

use crate::{
    clock,
    model::{AuditAction, AuditOutcome, Grant},
    reconcile::{lease::PassLease, names::NameDirectory, report::Trigger},
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
    /// What the audit and the log put beside IDs.
    pub(crate) names: &'p NameDirectory,
}

impl Context<'_> {
    /// The proof that no other replica runs a pass.
    pub(crate) fn proof(&self) -> &Lease {
        self.lease.proof()
    }

    /// The text as people read it, with names beside IDs.
    pub(crate) fn tell(&self, text: &str) -> String {
        self.names.book().tell(text)
    }

    /// An entry of the audit, with the names as they are now.
    pub(crate) fn audit(
        &self,
        action: AuditAction,
        outcome: AuditOutcome,
        grant: &Grant,
        reason: &str,
    ) -> AuditEntry {
        let names = self.names.book();
        AuditEntry {
            at: clock::now(),
            action,
            outcome,
            grant: grant.clone().named(&names),
            reason: names.tell(reason),
            trigger: self.trigger.to_string(),
            pass_id: self.pass_id.clone(),
        }
    }
}
