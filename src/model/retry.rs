//! What is looked at again because of what happened before, each by a clock of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ServiceId, Source};

/// What is tried again, by what it is about in words.
pub type Retries = BTreeMap<String, Retry>;

/// When services are looked at once more, earliest first.
pub type FollowUps = BTreeMap<ServiceId, Vec<DateTime<Utc>>>;

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often in a row.
    pub failures: u32,
    /// When it is tried again.
    pub at: DateTime<Utc>,
    /// Where the pass looks that tries it again; everywhere if nothing is named.
    pub sources: BTreeSet<Source>,
}
