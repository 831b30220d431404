//! The right to write: one pass at a time over all replicas. Whoever has it can prove it, keeps it while the pass
//! runs, and notices when it is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    model::Mark,
    store::{self, Duty, Lease, SharedStore},
};

/// A replica that dies in the middle of a pass keeps the others waiting for this long; we promise a minute.
const LASTS: Duration = Duration::from_secs(30);
/// Two renewals may fail before the lease ends.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// The pause after a renewal that the store did not answer.
const RENEW_AGAIN: Duration = Duration::from_secs(1);

/// What the holder of the lease on passes is doing, for people who look into the database.
#[derive(Debug, Serialize)]
pub(super) struct LeaseNote {
    /// The first of the passes that the holder runs.
    pub(super) pass_id: String,
}

impl LeaseNote {
    /// Of a new pass.
    pub(super) fn new() -> Self {
        Self { pass_id: Uuid::now_v7().to_string() }
    }
}

/// The lease on passes, kept until it is released, dropped or lost.
#[derive(Debug)]
pub(super) struct PassLease {
    store: SharedStore,
    lease: Lease,
    /// Until when it lasts by our own clock. It may last longer by the database's, never shorter: the time runs from
    /// before the question.
    until: watch::Receiver<Instant>,
    /// Set by whoever runs the pass, read at its end; the pass has this by shared reference only.
    must_run_out: AtomicBool,
    _keeper: Option<AbortOnDropHandle<()>>,
}

impl PassLease {
    /// Takes the lease, unless another replica has it; `note` tells the others what for.
    pub(super) async fn take(store: &SharedStore, note: &LeaseNote) -> Result<Option<Self>, store::Error> {
        let note = serde_json::to_string(note).expect("plain data always serialises");
        let asked = Instant::now();
        let Some(lease) = store.try_lease(Duty::Passes, LASTS, &note).await? else { return Ok(None) };
        let (until, watched) = watch::channel(asked + LASTS);
        let keeper = lease
            .expires()
            .then(|| AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(store), lease.clone(), until))));
        Ok(Some(Self {
            store: Arc::clone(store),
            lease,
            until: watched,
            must_run_out: AtomicBool::default(),
            _keeper: keeper,
        }))
    }

    /// The proof, for writes that only its holder may make.
    pub(super) fn proof(&self) -> &Lease {
        &self.lease
    }

    /// Whether another replica may have taken over, as far as is known here.
    pub(super) fn is_lost(&self) -> bool {
        self.lease.expires() && *self.until.borrow() <= Instant::now()
    }

    /// Whether no other process could have had it.
    pub(super) fn is_nobody_elses(&self) -> bool {
        !self.lease.expires()
    }

    /// Whether the last holder let it run out, so that nobody knows how far its pass came.
    pub(super) fn was_abandoned(&self) -> bool {
        self.lease.was_abandoned()
    }

    /// Lets the lease run out instead of releasing it, so that whoever takes it next runs a full pass.
    pub(super) fn let_run_out(&self) {
        self.must_run_out.store(true, Ordering::Relaxed);
    }

    /// Makes a full pass due, because one broke off. If the store takes not even this, the lease tells: it is left to
    /// run out.
    pub(super) async fn demand_full_pass(&self) {
        if let Err(error) = self.store.mark(&Mark::Everything).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not ask for another pass");
            self.let_run_out();
        }
    }

    /// Lets the others go on. If the store does not hear it, they wait until the lease ends by itself.
    pub(super) async fn release(self) {
        if self.must_run_out.load(Ordering::Relaxed) {
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
