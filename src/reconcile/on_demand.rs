//! Passes on request, and who shares one.
//!
//! A pass that somebody asked for begins when the one before it is over. Until it begins to look, requests that ask for the
//! same share it: the report that each gets stems from a look that began after its request. A request is never handed to
//! another process that might die with it: this replica waits for the lease and runs the pass itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    facts::DUE_REVOCATIONS,
    lease::LeaseNote,
    pass::{Looks, PassOrder, PassRunner},
    plan::{Guard, Released},
    report::{PassReport, Trigger},
    scope::PassRequest,
    turns::{Joined, Length},
};
use crate::{clock, model::Mark, store};

/// How often a lease that another replica has is looked at.
const LEASE_POLL: Duration = Duration::from_millis(200);
/// How long another replica's passes are waited for: longer than one may take, or one that died keeps the lease.
const PATIENCE: Duration = Duration::from_secs(150);

/// Why there is no report.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SyncError {
    /// The store failed, or the pass broke off.
    #[error("{0}")]
    Broken(String),
    /// The store cannot be used now.
    #[error("{0}")]
    NoStore(String),
    /// Other replicas kept the lease all the time.
    #[error("another replica has been running passes for too long")]
    NoTurn,
}

impl From<store::Error> for SyncError {
    fn from(error: store::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a pass failed");
        if error.may_pass() { Self::NoStore(error.to_string()) } else { Self::Broken(error.to_string()) }
    }
}

/// What came of a request.
pub(crate) type Outcome = Result<Arc<PassReport>, SyncError>;

/// Runs passes for whoever asks.
#[derive(Debug)]
pub(super) struct OnDemand {
    runner: Arc<PassRunner>,
    joinable: Arc<Joinable>,
}

/// Passes that have not begun to look, by what they were asked to do. Whoever asks looks here first, and each pass leaves by
/// itself.
#[derive(Debug, Default)]
struct Joinable(Mutex<BTreeMap<PassRequest, watch::Receiver<Option<Outcome>>>>);

impl OnDemand {
    pub(super) fn new(runner: Arc<PassRunner>) -> Self {
        Self { runner, joinable: Arc::default() }
    }

    pub(super) async fn sync(&self, request: PassRequest) -> Outcome {
        let mut receiver = self.join_or_start(request);
        let broken = || SyncError::Broken("the pass broke off".to_owned());
        let outcome = receiver.wait_for(Option::is_some).await.map_err(|_| broken())?;
        outcome.clone().unwrap_or_else(|| Err(broken()))
    }

    pub(super) async fn sync_here(&self, trigger: Trigger, request: PassRequest) -> Outcome {
        pass_in_turn(&self.runner, trigger, &request, || ()).await
    }

    fn join_or_start(&self, request: PassRequest) -> watch::Receiver<Option<Outcome>> {
        let mut joinable = self.joinable.0.lock();
        // One that panicked left nobody who would answer.
        if let Some(waiting) = joinable.get(&request).filter(|waiting| waiting.has_changed().is_ok()) {
            return waiting.clone();
        }
        let (sender, receiver) = watch::channel(None);
        joinable.insert(request.clone(), receiver.clone());
        let (runner, joinable) = (Arc::clone(&self.runner), Arc::clone(&self.joinable));
        // A task of its own: the pass goes on if the one who asked hangs up.
        self.runner.requested.spawn(async move {
            let leave = || drop(joinable.0.lock().remove(&request));
            let outcome = pass_in_turn(&runner, Trigger::Manual, &request, leave).await;
            if outcome.is_err() {
                // It may not have come as far as to leave.
                leave();
            }
            sender.send_replace(Some(outcome));
        });
        receiver
    }
}

/// Runs a pass once its turn has come; `begins` is called when it begins to look.
async fn pass_in_turn(
    runner: &PassRunner,
    trigger: Trigger,
    request: &PassRequest,
    begins: impl FnOnce() + Send,
) -> Outcome {
    let released = released(runner, request.guard).await?;
    let note = LeaseNote::new();
    if request.dry_run {
        // Passes do not wait for whoever only looks; those who look wait for each other.
        let _looking = runner.looking.lock().await;
        begins();
        runner.onlooker.cache().clear(&request.scope);
        return Ok(Arc::new(runner.dry_run(note.pass_id, trigger, request, released).await?));
    }
    let _serving = runner.serving.lock().await;
    let joined = lease_for(runner, &note, request).await?;
    begins();
    runner.observer.cache().clear(&request.scope);
    let outcome = async {
        if joined.is_new && joined.lease.was_abandoned() {
            // What the last holder left undone may lie outside of what is asked for here.
            runner.store.mark(&Mark::Everything).await?;
        }
        let (pass_id, request) = (note.pass_id, request.clone());
        let order = PassOrder { pass_id, trigger, request, released, looks: Looks::Together };
        // Boxed, since the future of a whole pass is large.
        Box::pin(runner.run(&joined.lease, order)).await
    };
    let outcome = outcome.await;
    if outcome.is_err() {
        joined.lease.demand_full_pass().await;
    }
    runner.turns.leave(joined).await;
    Ok(Arc::new(outcome?))
}

/// What a request confirms: what is held when it is asked for.
async fn released(runner: &PassRunner, guard: Guard) -> Result<Released, store::Error> {
    if guard == Guard::On {
        return Ok(Released::Nothing);
    }
    let now = clock::now();
    let due = DUE_REVOCATIONS.read(&runner.store, now).await?.unwrap_or_default();
    let ledger = runner.store.ledger(now).await?;
    Ok(Released::Held(due.held_among(ledger.iter().map(|entry| entry.own.row))))
}

/// Waits for the lease.
async fn lease_for(
    runner: &PassRunner,
    note: &LeaseNote,
    request: &PassRequest,
) -> Result<Joined, SyncError> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(joined) = runner.turns.join(note, Length::of(&request.scope)).await? {
            return Ok(joined);
        }
        sleep(LEASE_POLL).await;
    }
    Err(SyncError::NoTurn)
}
