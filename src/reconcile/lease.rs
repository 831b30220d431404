//! The right to write: one pass at a time over all replicas. Whoever has it can prove it, keeps it while the pass
//! runs, and notices when it is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use crate::store::{self, Duty, Lease, SharedStore};

/// A replica that dies in the middle of a pass keeps the others waiting for this long; we promise a minute.
const LASTS: Duration = Duration::from_secs(30);
/// Two renewals may fail before the lease ends.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// The pause after a renewal that the store did not answer.
const RENEW_AGAIN: Duration = Duration::from_secs(1);

/// The lease on passes, kept until it is released, dropped or lost.
#[derive(Debug)]
pub(super) struct PassLease {
    store: SharedStore,
    lease: Lease,
    /// Until when it lasts by our own clock. It may last longer by the database's, never shorter: the time runs from
    /// before the question.
    until: watch::Receiver<Instant>,
    forsaken: AtomicBool,
    _keeper: Option<AbortOnDropHandle<()>>,
}

impl PassLease {
    /// Takes the lease, unless another replica has it; `note` tells the others what for.
    pub(super) async fn take(store: &SharedStore, note: &str) -> Result<Option<Arc<Self>>, store::Error> {
        let asked = Instant::now();
        let Some(lease) = store.try_lease(Duty::Passes, LASTS, note).await? else { return Ok(None) };
        let (until, watched) = watch::channel(asked + LASTS);
        let keeper = lease
            .expires()
            .then(|| AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(store), lease.clone(), until))));
        Ok(Some(Arc::new(Self {
            store: Arc::clone(store),
            lease,
            until: watched,
            forsaken: AtomicBool::default(),
            _keeper: keeper,
        })))
    }

    /// The proof, for writes that only its holder may make.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether another replica may have taken over, as far as is known here.
    pub(super) fn is_lost(&self) -> bool {
        self.lease.expires() && *self.until.borrow() <= Instant::now()
    }

    /// Sees to it that the lease is not released but runs out, so that whoever is next looks at everything.
    pub(super) fn forsake(&self) {
        self.forsaken.store(true, Ordering::Relaxed);
    }

    /// Lets the others go on. If the store does not hear it, they wait until the lease ends by itself.
    pub(super) async fn release(self: Arc<Self>) {
        if self.forsaken.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.store.release(&self.lease).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not release the lease on passes");
        }
    }
}

async fn keep(store: SharedStore, lease: Lease, until: watch::Sender<Instant>) {
    let mut pause = RENEW_EVERY;
    loop {
        sleep(pause).await;
        let asked = Instant::now();
        match store.renew(&lease, LASTS).await {
            Ok(true) => {
                until.send_replace(asked + LASTS);
                pause = RENEW_EVERY;
            }
            Ok(false) => {
                until.send_replace(asked);
                return;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not renew the lease on passes"
                );
                pause = RENEW_AGAIN;
            }
        }
    }
}
