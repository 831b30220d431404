//! `[sync]`: when this service looks, how far ahead, and what it does not dare.

use super::{Sync, reader::Section};

const DEFAULT_MAX_REVOCATIONS: u32 = 20;

/// More than most organisations have of one kind; a filter that finds more is likelier mistyped than meant.
const DEFAULT_MAX_FILTER_MATCHES: u32 = 1000;

pub(super) fn read(section: &Section<'_>) -> Sync {
    let interval = section.time_delta("interval", "1m", "1s"..="1d");
    let horizon = section.time_delta("horizon", "7d", "1s"..="90d");
    if let Some(value) = section.get("horizon").filter(|_| horizon < interval) {
        value.mistake("is shorter than sync.interval: shifts could begin unseen between two passes");
    }
    let number = |key, least, default| {
        let given = section.get(key).and_then(|value| value.number(least));
        usize::try_from(given.unwrap_or(default)).unwrap_or(usize::MAX)
    };
    Sync {
        interval,
        horizon,
        verify_interval: section.time_delta("verify_interval", "15m", "1s"..="7d"),
        max_revocations: number("max_revocations", 0, DEFAULT_MAX_REVOCATIONS),
        max_filter_matches: number("max_filter_matches", 1, DEFAULT_MAX_FILTER_MATCHES),
    }
}
