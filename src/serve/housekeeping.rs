//! Removes what the store need not keep any longer.
//!
//! A clock that is wrong by months would make it forget grants in force, and nobody would take them back. So the upstreams'
//! clocks, which every answer shows, must agree that the time has passed.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    metrics::Metrics,
    store::{self, Duty, SharedStore},
};

/// How often the store is pruned.
const EVERY: Duration = Duration::from_hours(1);
/// How often it is looked whether an upstream has told the time by now.
const UNTIL_TOLD: Duration = Duration::from_secs(5);
/// A replica that dies while it removes old rows keeps the others from it for this long.
const LEASE: Duration = Duration::from_mins(2);
/// Between two steps, webhooks get at the store's one writer.
const PAUSE: Duration = Duration::from_millis(100);
/// Event IDs are remembered at least this long: PagerDuty repeats deliveries for 48 hours.
const KEEP_EVENT_KEYS: TimeDelta = TimeDelta::hours(72);

/// Removes rows older than `keep` every hour, first as soon as an upstream has told the time, until `shutdown`.
pub(super) async fn keep_house(
    store: SharedStore,
    metrics: Arc<Metrics>,
    keep: TimeDelta,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        let pause = match agreed_time(&metrics, clock::now()) {
            None => UNTIL_TOLD,
            Some(now) => {
                if let Err(error) = prune(&store, now, keep, &shutdown).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not prune the store");
                }
                EVERY
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// The latest moment that has passed by our clock and by those of the upstreams that have told theirs; none if none has.
fn agreed_time(metrics: &Metrics, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let told = [metrics.pagerduty.clocks(), metrics.strongdm.clocks()].into_iter().flatten();
    Some(told.map(|clocks| clocks.theirs).min()?.min(now))
}

/// Removes rows that are old at `now`, unless another replica is at it.
async fn prune(
    store: &SharedStore,
    now: DateTime<Utc>,
    keep: TimeDelta,
    shutdown: &CancellationToken,
) -> Result<(), store::Error> {
    let Some(lease) = store.try_lease(Duty::Housekeeping, LEASE, "").await? else { return Ok(()) };
    while store.prune(now - keep, now - keep.max(KEEP_EVENT_KEYS)).await? && !shutdown.is_cancelled() {
        sleep(PAUSE).await;
        if !store.renew(&lease, LEASE).await? {
            return Ok(());
        }
    }
    store.release(&lease).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_passed_only_if_all_clocks_say_so() {
        let metrics = Metrics::new();
        let now = clock::now();
        let days = TimeDelta::days;
        assert_eq!(agreed_time(&metrics, now), None, "ours alone may be wrong");
        metrics.strongdm.record_clock(now + days(1));
        assert_eq!(agreed_time(&metrics, now), Some(now));
        metrics.pagerduty.record_clock(now - days(100));
        assert_eq!(agreed_time(&metrics, now), Some(now - days(100)));
    }
}
