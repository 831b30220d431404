//! `[sync]`: when this service looks, how far ahead, and what it does not dare.

use super::{Sync, reader::Section};

const DEFAULT_MAX_REVOCATIONS: usize = 20;

pub(super) fn read(section: &Section<'_>) -> Sync {
    let interval = section.time_delta("interval", "1m", "1s"..="1d");
    let horizon = section.time_delta("horizon", "7d", "1s"..="90d");
    if let Some(value) = section.get("horizon").filter(|_| horizon < interval) {
        value.mistake("is shorter than sync.interval: shifts could begin unseen between two passes");
    }
    let max_revocations = section.get("max_revocations").and_then(|value| value.number(0));
    Sync {
        interval,
        horizon,
        verify_interval: section.time_delta("verify_interval", "15m", "1s"..="7d"),
        max_revocations: max_revocations
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(DEFAULT_MAX_REVOCATIONS),
    }
}
