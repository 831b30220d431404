//! Removing what is older than anybody wants to read, a few rows at a time.

use chrono::{DateTime, Utc};

use super::{
    decision_log::{MARK_PRUNED, PRUNE_AUDIT, PRUNE_CHECKPOINTS},
    inbox::{PRUNE_DELIVERIES, PRUNE_EVENT_KEYS, PRUNE_LOOKS},
    incident_parts::PRUNE_INCIDENT_PARTS,
    journal::PRUNE_PASSES,
    knowledge::{PRUNE_ALTERED, PRUNE_REFUSALS},
    ledger::PRUNE_GRANTS,
    names::PRUNE_NAMES,
    notices::PRUNE_NOTICES,
};

/// How many rows of a table one step removes at most; the statements name the same number.
pub(super) const STEP: u64 = 500;

/// One step: statements, each with the instant before which rows go. None looks at more rows than it may remove: they take
/// the lowest entries of an index. Of refusals and altered windows there are few.
pub(super) fn step(before: DateTime<Utc>, keys_before: DateTime<Utc>) -> [(&'static str, i64); 13] {
    let ms = before.timestamp_millis();
    [
        (PRUNE_EVENT_KEYS, keys_before.timestamp_millis()),
        (PRUNE_DELIVERIES, ms),
        (PRUNE_LOOKS, ms),
        (MARK_PRUNED, ms),
        (PRUNE_AUDIT, ms),
        (PRUNE_CHECKPOINTS, ms),
        (PRUNE_PASSES, ms),
        (PRUNE_GRANTS, before.timestamp()),
        (PRUNE_REFUSALS, before.timestamp()),
        (PRUNE_ALTERED, before.timestamp()),
        (PRUNE_INCIDENT_PARTS, ms),
        // They are sent for a day, however little is kept.
        (PRUNE_NOTICES, keys_before.timestamp_millis()),
        // No earlier, since who sees one writes that down once a day only.
        (PRUNE_NAMES, keys_before.timestamp_millis()),
    ]
}
