//! Says each hour how far the decision log has come, if something was added to it: in the log of the service, which
//! leaves the machine where logs are collected.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    evidence::{self, Evidence},
    store::{Duty, SharedStore},
};

/// How often it is looked whether a checkpoint is due, or an earlier version beside us wrote entries.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The least time between two checkpoints.
const EVERY: TimeDelta = TimeDelta::hours(1);
/// A replica that dies while it makes one keeps the others from it for this long.
const LEASE: Duration = Duration::from_mins(2);

/// Makes checkpoints until `shutdown`.
pub(super) async fn make_checkpoints(store: SharedStore, evidence: Evidence, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = make(&store, &evidence).await {
            tracing::error!(error = &error as &dyn std::error::Error, "could not make a checkpoint");
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Makes one if it is due and no other replica is at it.
async fn make(store: &SharedStore, evidence: &Evidence) -> Result<(), evidence::Error> {
    let now = clock::now();
    if !evidence.is_due(now, EVERY).await? {
        return Ok(());
    }
    let Some(lease) = store.try_lease(Duty::Evidence, LEASE, "").await? else { return Ok(()) };
    let made = evidence.add_if_due(now, EVERY).await;
    store.release(&lease).await?;
    if let Some(made) = made? {
        tracing::info!(checkpoint = made.note, "the decision log has {} entries", made.size);
    }
    Ok(())
}
