//! Which failures are in the audit already: a retry that fails the same way adds nothing.

use std::{
    collections::HashSet,
    mem::{Discriminant, discriminant},
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::{model::Pair, store::AuditEntry, strongdm::Error};

/// The failures that are in the audit already. Several pairs are written to at once.
#[derive(Debug, Default)]
pub(super) struct AuditedFailures(Mutex<HashSet<Failed>>);

/// What makes a failure the same failure: what was tried, and in which way it failed. The words do not count, for they may
/// differ each time.
type Failed = (&'static str, Pair, DateTime<Utc>, Discriminant<Error>);

impl AuditedFailures {
    /// Whether this failure is not in the audit yet; from now on it counts as being there.
    pub(super) fn is_news(&self, audit: &AuditEntry, error: &Error) -> bool {
        let AuditEntry { action, grant, .. } = audit;
        self.0.lock().insert((action.as_str(), grant.pair(), grant.window.end(), discriminant(error)))
    }

    /// Lets a failure that comes back be audited again.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}
