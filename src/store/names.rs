//! The names of things as they were last seen.

use chrono::{DateTime, Utc};

use super::{column::from_ms, row::row};
use crate::model::{Name, SeenName, Thing};

/// A name in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredName {
    /// The name.
    pub seen: SeenName,
    /// When it was seen, as far as somebody wrote that down.
    pub seen_at: DateTime<Utc>,
    /// Grows with each change of the names.
    pub change: i64,
}

pub(super) const NAMES_SINCE: &str =
    "SELECT kind, id, name, address, seen_ms, change FROM names WHERE change > $1 ORDER BY change";

pub(super) const NEXT_CHANGE: &str = "SELECT COALESCE(MAX(change), 0) + 1 FROM names";

pub(super) const SET_NAME: &str = "
    INSERT INTO names (kind, id, name, address, seen_ms, change) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (kind, id) DO UPDATE
    SET name = excluded.name, address = excluded.address, seen_ms = excluded.seen_ms, change = excluded.change";

/// Removes the names that were last seen before `$1`.
pub(super) const PRUNE_NAMES: &str = "
    DELETE FROM names
    WHERE (kind, id) IN (SELECT kind, id FROM names WHERE seen_ms < $1 ORDER BY seen_ms LIMIT 500)";

row! {
    /// A name as it is stored.
    pub(super) struct NameRow {
        kind: String,
        id: String,
        name: String,
        address: Option<String>,
        seen_ms: i64,
        change: i64,
    }
}

impl NameRow {
    /// The name; none for what only another version has names for.
    pub(super) fn read(self) -> Option<StoredName> {
        let Self { kind, id, name, address, seen_ms, change } = self;
        let seen = SeenName { thing: Thing::of_kind(&kind, &id)?, name: Name::new(&name)?, address };
        Some(StoredName { seen, seen_at: from_ms(seen_ms), change })
    }
}
