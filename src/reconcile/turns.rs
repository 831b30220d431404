//! Who may decide and write. Passes look at the same time, but decide and write in turns, so that each plans with what
//! the others have written. Over all replicas the lease says which process passes run in; passes of one process share it.
//!
//! Nobody waits long for a turn: whoever has it gives it back between two writes once it was long enough and somebody
//! else wants it, and goes to the end of the queue. So a pass with thousands of windows to write holds up one that a
//! webhook began for no longer than [`TURN`] and the write in flight; and since each turn does at least one write, and
//! turns come in the order in which they were asked for, a storm of events does not keep the large pass from its end.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, MutexGuard},
    time::Instant,
};

use super::{
    lease::{LeaseNote, PassLease},
    report::pass_log::PassLog,
    scope::Scope,
};
use crate::store::{self, SharedStore};

/// A turn may last this long, or as long as it took to decide, while somebody waits for the next one.
const TURN: Duration = Duration::from_millis(200);
/// A lease that is older is not shared any more while only short passes use it: other replicas want it, too.
const SHARED_FOR: Duration = Duration::from_secs(5);

/// The turns of this process.
#[derive(Debug)]
pub(super) struct Turns {
    store: SharedStore,
    lease: AsyncMutex<Option<Shared>>,
    /// What passes told; whoever has it has the turn.
    log: AsyncMutex<PassLog>,
    waiting: AtomicUsize,
}

/// The lease that passes of this process share.
#[derive(Debug)]
struct Shared {
    lease: Weak<PassLease>,
    taken_at: Instant,
    /// Kept by each long pass that uses it.
    long: Weak<()>,
}

/// How long a pass may take, as far as others wait for the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// It looks at a few sources.
    Short,
    /// It looks at everything.
    Long,
}

impl Length {
    /// Of a pass that looks at this.
    pub(super) fn of(scope: &Scope) -> Self {
        match scope {
            Scope::All => Self::Long,
            Scope::Sources(_) => Self::Short,
        }
    }
}

/// The lease of a pass.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) lease: Arc<PassLease>,
    /// No other pass of this process had it before.
    pub(super) is_new: bool,
    _long: Option<Arc<()>>,
}

/// The right to decide and write now.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    pub(super) log: MutexGuard<'t, PassLog>,
    began: Instant,
    at_least: Duration,
}

impl Turns {
    pub(super) fn new(store: SharedStore) -> Self {
        Self {
            store,
            lease: AsyncMutex::default(),
            log: AsyncMutex::default(),
            waiting: AtomicUsize::default(),
        }
    }

    /// The lease for one more pass: the one that this process has, or a new one, about which `note` tells the others. None
    /// if another replica has it.
    pub(super) async fn join(
        &self,
        note: &LeaseNote,
        length: Length,
    ) -> Result<Option<Joined>, store::Error> {
        let mut shared = self.lease.lock().await;
        if let Some(known) = shared.as_mut()
            && let Some(lease) = known.lease.upgrade()
            && !lease.is_lost()
            && (known.long.strong_count() > 0 || known.taken_at.elapsed() < SHARED_FOR)
        {
            let long = (length == Length::Long).then(|| known.long.upgrade().unwrap_or_default());
            if let Some(long) = &long {
                known.long = Arc::downgrade(long);
            }
            return Ok(Some(Joined { lease, is_new: false, _long: long }));
        }
        let taken_at = Instant::now();
        let Some(lease) = PassLease::take(&self.store, note).await?.map(Arc::new) else { return Ok(None) };
        let long = (length == Length::Long).then(Arc::default);
        let known = Shared {
            lease: Arc::downgrade(&lease),
            taken_at,
            long: long.as_ref().map(Arc::downgrade).unwrap_or_default(),
        };
        *shared = Some(known);
        Ok(Some(Joined { lease, is_new: true, _long: long }))
    }

    /// Gives a pass's share of the lease back; the last one releases it.
    pub(super) async fn leave(&self, Joined { lease, .. }: Joined) {
        let _shared = self.lease.lock().await;
        if let Some(lease) = Arc::into_inner(lease) {
            lease.release().await;
        }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Turn<'_> {
        let _waiting = Waiting::begin(&self.waiting);
        let log = self.log.lock().await;
        Turn { turns: self, log, began: Instant::now(), at_least: TURN }
    }
}

impl Turn<'_> {
    /// The decision is made, and the writes begin. What took long to decide is not given up for a single write.
    pub(super) fn has_decided(&mut self) {
        self.at_least = self.began.elapsed() + TURN.max(self.began.elapsed());
    }

    /// Whether somebody else wants a turn and this one was long enough.
    pub(super) fn is_over(&self) -> bool {
        self.turns.waiting.load(Ordering::Relaxed) > 0 && self.began.elapsed() >= self.at_least
    }
}

/// Counts who waits, also if they give up.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn begin(waiting: &'w AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
