//! What passes found, in numbers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What the last passes found, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassCounts {
    /// Revocations that the guard holds.
    pub held: usize,
    /// Windows that wait for a grant in their way.
    pub deferred: usize,
    /// Skipped records.
    pub skipped: usize,
    /// What could not be observed.
    pub unknown: usize,
    /// Grants of ours that are in force or to come.
    pub grants: usize,
    /// Open incidents that rules are about.
    pub incidents: usize,
    /// People who have access because of one of them.
    pub people_in_incidents: usize,
    /// When everything was last observed and done.
    pub last_complete: Option<DateTime<Utc>>,
}
