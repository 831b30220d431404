//! Removes what the store need not keep any longer.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    store::{self, Duty, SharedStore},
};

/// How often the store is pruned.
const EVERY: Duration = Duration::from_hours(1);
/// A replica that dies while it removes old rows keeps the others from it for this long.
const LEASE: Duration = Duration::from_mins(2);
/// Between two steps, webhooks get at the store's one writer.
const PAUSE: Duration = Duration::from_millis(100);
/// Event IDs are remembered at least this long: PagerDuty repeats deliveries for 48 hours.
const KEEP_EVENT_KEYS: TimeDelta = TimeDelta::hours(72);

/// Removes rows older than `keep` at once and every hour, until `shutdown`.
pub(super) async fn keep_house(store: SharedStore, keep: TimeDelta, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = prune(&store, keep, &shutdown).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not prune the store");
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Removes old rows, unless another replica is at it.
async fn prune(
    store: &SharedStore,
    keep: TimeDelta,
    shutdown: &CancellationToken,
) -> Result<(), store::Error> {
    let Some(lease) = store.try_lease(Duty::Housekeeping, LEASE, "").await? else { return Ok(()) };
    let now = clock::now();
    while store.prune(now - keep, now - keep.max(KEEP_EVENT_KEYS)).await? && !shutdown.is_cancelled() {
        sleep(PAUSE).await;
        if !store.renew(&lease, LEASE).await? {
            return Ok(());
        }
    }
    store.release(&lease).await
}
