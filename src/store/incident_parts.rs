//! What rules remember of people's parts in incidents.

use super::row::row;
use crate::model::RememberedPart;

/// The parts that are not over at `$1`, and all those in some incidents, which a backend names in its own way.
pub(super) const INCIDENT_PARTS: &str = "SELECT part FROM incident_parts WHERE over_ms > $1 OR incident_id";

pub(super) const SET_INCIDENT_PART: &str = "
    INSERT INTO incident_parts (rule, incident_id, user_id, over_ms, part) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (incident_id, user_id, rule)
    DO UPDATE SET over_ms = excluded.over_ms, part = excluded.part";

/// Removes the parts that were over before `$1`.
pub(super) const PRUNE_INCIDENT_PARTS: &str = "
    DELETE FROM incident_parts
    WHERE (incident_id, user_id, rule) IN
      (SELECT incident_id, user_id, rule FROM incident_parts WHERE over_ms < $1 ORDER BY over_ms LIMIT 500)";

row! {
    /// A part as it is stored.
    pub(super) struct IncidentPartRow {
        part: String,
    }
}

impl IncidentPartRow {
    /// The part; one that only another version can read is as good as none.
    pub(super) fn read(self) -> Option<RememberedPart> {
        serde_json::from_str(&self.part).ok()
    }
}
