//! Passes on request, and who shares one.
//!
//! Requests that ask for the same while such a pass runs share it. Within a process they wait for one task. Between
//! replicas, whoever runs a pass writes what was asked into its lease; a replica that is asked for the same and finds
//! the lease taken for it waits for its end and answers with the report that the store kept. In every other case it
//! waits until the lease is free and runs the pass itself. So a request is never handed to another process that might
//! die with it: either this replica does what it was asked to, or it has seen the report of a pass that did.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{MutexGuard, watch},
    time::{Instant, sleep},
};

use super::{
    facts::DUE_REVOCATIONS,
    lease::{LeaseNote, PassLease},
    pass::{Looks, PassOrder, PassRunner},
    plan::{Guard, Released},
    report::{PassReport, Trigger, pass_log::PassLog},
    scope::PassRequest,
};
use crate::{
    clock,
    model::Mark,
    store::{self, Duty, Holder, SharedStore},
};

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

/// The right to run a pass here, or the report of an equal one that ran elsewhere.
enum MyTurn<'r> {
    Mine(MutexGuard<'r, PassLog>, PassLease),
    Joined(Box<PassReport>),
}

/// Runs passes for whoever asks.
#[derive(Debug)]
pub(super) struct OnDemand {
    runner: Arc<PassRunner>,
    joinable: Arc<Joinable>,
}

/// Passes under way, by what they were asked to do. Whoever asks looks here first, and each pass leaves by itself.
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
        pass_in_turn(&self.runner, trigger, &request, LeaseNote::of(None)).await
    }

    fn join_or_start(&self, request: PassRequest) -> watch::Receiver<Option<Outcome>> {
        let mut joinable = self.joinable.0.lock();
        // One that panicked left nobody who would answer.
        if let Some(running) = joinable.get(&request).filter(|running| running.has_changed().is_ok()) {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(None);
        joinable.insert(request.clone(), receiver.clone());
        let (runner, joinable) = (Arc::clone(&self.runner), Arc::clone(&self.joinable));
        // A task of its own: the pass goes on if the one who asked hangs up.
        tokio::spawn(async move {
            let note = LeaseNote::of(Some(request.clone()));
            let outcome = pass_in_turn(&runner, Trigger::Manual, &request, note).await;
            joinable.0.lock().remove(&request);
            sender.send_replace(Some(outcome));
        });
        receiver
    }
}

async fn pass_in_turn(
    runner: &PassRunner,
    trigger: Trigger,
    request: &PassRequest,
    note: LeaseNote,
) -> Outcome {
    let released = released(runner, request.guard).await?;
    if request.dry_run {
        // Passes do not wait for whoever only looks; those who look wait for each other.
        let _looking = runner.looking.lock().await;
        runner.onlooker.cache().clear();
        return Ok(Arc::new(runner.dry_run(note.pass_id, trigger, request, released).await?));
    }
    runner.observer.cache().clear();
    let (mut log, lease) = match my_turn(runner, &note).await? {
        MyTurn::Mine(log, lease) => (log, lease),
        MyTurn::Joined(report) => return Ok(report.into()),
    };
    let outcome = async {
        if lease.was_abandoned() {
            // What the last holder left undone may lie outside of what is asked for here.
            runner.store.mark(&Mark::Everything).await?;
        }
        let timetable = runner.store.workload().await?.timetable;
        let (pass_id, request) = (note.pass_id, request.clone());
        let order = PassOrder { pass_id, trigger, request, released, looks: Looks::Together, timetable };
        // Boxed, since the future of a whole pass is large.
        Box::pin(runner.run(&mut log, &lease, order)).await
    };
    let outcome = outcome.await;
    if outcome.is_err() {
        lease.demand_full_pass().await;
    }
    lease.release().await;
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

/// Waits for the lease, or for the end of an equal pass of another replica.
async fn my_turn<'r>(runner: &'r PassRunner, note: &LeaseNote) -> Result<MyTurn<'r>, SyncError> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let log = runner.passing.lock().await;
        if let Some(lease) = PassLease::take(&runner.store, note).await? {
            return Ok(MyTurn::Mine(log, lease));
        }
        drop(log);
        if let Some(report) = join_elsewhere(&runner.store, note, until).await? {
            return Ok(MyTurn::Joined(Box::new(report)));
        }
        sleep(LEASE_POLL).await;
    }
    Err(SyncError::NoTurn)
}

/// The report of the pass that another replica runs, if it was asked for the same.
async fn join_elsewhere(
    store: &SharedStore,
    note: &LeaseNote,
    until: Instant,
) -> Result<Option<PassReport>, store::Error> {
    if note.request.is_none() {
        return Ok(None);
    }
    let Some(Holder { token, note: theirs }) = store.holder(Duty::Passes).await? else { return Ok(None) };
    let Ok(theirs) = serde_json::from_str::<LeaseNote>(&theirs) else { return Ok(None) };
    if theirs.request != note.request {
        return Ok(None);
    }
    while Instant::now() < until {
        sleep(LEASE_POLL).await;
        if store.holder(Duty::Passes).await?.is_none_or(|holder| holder.token != token) {
            break;
        }
    }
    let report = store.pass_report(&theirs.pass_id).await?;
    Ok(report.and_then(|text| serde_json::from_str(&text).ok()))
}
