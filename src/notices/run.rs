//! Sends notices for as long as the service runs, on one replica at a time; or once, for a command.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, join_all};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    deliver::{Next, Sender, When},
    fold::fold,
};
use crate::{
    clock,
    model::Names,
    store::{Duty, Error, SharedStore},
};

/// How often it is looked whether there is something to tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after the store failed, and between two tries to become the one that sends.
const PAUSE: Duration = Duration::from_secs(5);
/// A replica that dies leaves sending to another one after this long.
const LEASE: Duration = Duration::from_secs(30);
/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A command sends for so long: less than its lease.
const LONGEST: Duration = Duration::from_secs(25);

/// What things are called now.
pub(crate) type NameSource = Arc<dyn Fn() -> BoxFuture<'static, Arc<Names>> + Send + Sync>;

/// Makes the endpoints known before anything happens that they are to be told of.
pub(crate) async fn begin(store: &SharedStore, senders: &[Sender]) -> Result<(), Error> {
    if !senders.is_empty() {
        store.begin_endpoints().await?;
    }
    for sender in senders {
        store.endpoint(&sender.endpoint.name).await?;
    }
    Ok(())
}

/// Sends until `shutdown`.
pub(crate) async fn run(
    store: SharedStore,
    senders: Arc<Vec<Sender>>,
    names: NameSource,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        if let Err(error) = work(&store, &senders, &names, &shutdown).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "notices wait for the store");
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Sends for as long as no other replica does.
async fn work(
    store: &SharedStore,
    senders: &[Sender],
    names: &NameSource,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let Some(lease) = store.try_lease(Duty::Notices, LEASE, "").await? else { return Ok(()) };
    let store_id = store.log_head().await?.store_id;
    let folding = async {
        let mut renewed = Instant::now();
        loop {
            if renewed.elapsed() >= RENEW_EVERY {
                if !store.renew(&lease, LEASE).await? {
                    return Ok(());
                }
                renewed = Instant::now();
            }
            if store.log_head().await?.size > store.folded().await? {
                fold(store, &*names().await, clock::now()).await?;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    // Each by itself: a slow one delays no other.
    let sending = join_all(senders.iter().map(|sender| keep_sending(store, sender, &store_id)));
    tokio::select! {
        ended = folding => ended,
        _ = sending => Ok(()),
        // Another one need not wait until the lease runs out.
        () = shutdown.cancelled() => store.release(&lease).await,
    }
}

async fn keep_sending(store: &SharedStore, sender: &Sender, store_id: &str) {
    loop {
        let pause = match sender.step(store, store_id, When::Due).await {
            Ok(Next::More) => continue,
            Ok(Next::Idle) => LOOK_EVERY,
            Ok(Next::Wait(until)) => (until - clock::now()).to_std().unwrap_or_default().min(PAUSE),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a notice waits for the store");
                PAUSE
            }
        };
        sleep(pause).await;
    }
}

/// Sends what there is, each endpoint until one attempt fails; what fails is left to the service, or to the next time.
pub(crate) async fn once(store: &SharedStore, senders: &[Sender], names: &Names) -> Result<(), Error> {
    if senders.is_empty() {
        return Ok(());
    }
    let Some(lease) = store.try_lease(Duty::Notices, LEASE, "").await? else { return Ok(()) };
    fold(store, names, clock::now()).await?;
    let store_id = store.log_head().await?.store_id;
    let store_id = &store_id;
    let sending = senders.iter().map(async |sender| {
        while sender.step(store, store_id, When::Now).await? == Next::More {}
        Ok::<(), Error>(())
    });
    // A command must end: what takes longer is left as well.
    let sent = timeout(LONGEST, join_all(sending)).await.unwrap_or_default();
    store.release(&lease).await?;
    sent.into_iter().collect()
}
