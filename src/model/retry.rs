//! What could not be seen or done and is tried again, each by a clock of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Source;

/// What is tried again, by what it is about in words.
pub type Retries = BTreeMap<String, Retry>;

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
