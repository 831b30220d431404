//! Passes on request, and who shares one.
//!
//! Requests that ask for the same while such a pass runs share it. Within a process they wait for one task. Between
//! replicas, whoever runs a pass writes what was asked into its lease; a replica that is asked for the same and finds
//! the lease taken for it waits for its end and answers with the report that the store kept. In every other case it
//! waits until the lease is free and runs the pass itself. So a request is never handed to another process that might
//! die with it: either this replica does what it was asked to, or it has seen the report of a pass that did.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{MutexGuard, watch},
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    Reconciler,
    lease::PassLease,
    pass::{Ask, PassState},
    plan::Guard,
    report::{PassReport, Trigger},
    scope::Scope,
};
use crate::{
    model::{Mark, Source},
    store::{self, Duty, Holder},
};

/// How often a lease that another replica has is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long another replica's passes are waited for: longer than one may take, or one that died keeps the lease.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a manual pass is asked to do; equal requests share a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PassRequest {
    /// Only these sources and what shares a resource with them; empty means everything.
    pub sources: BTreeSet<Source>,
    /// Only plan.
    pub dry_run: bool,
    /// Lift the guard for this pass.
    pub allow_mass_revocation: bool,
}

impl PassRequest {
    pub(super) fn guard(&self) -> Guard {
        if self.allow_mass_revocation { Guard::Lifted } else { Guard::On }
    }

    pub(super) fn scope(&self) -> Scope {
        if self.sources.is_empty() { Scope::All } else { Scope::Sources(self.sources.clone()) }
    }
}

/// What the holder of the lease on passes is doing, for other replicas to read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) pass_id: String,
    /// What was asked for; none if the loop started the pass.
    request: Option<PassRequest>,
}

impl Note {
    /// Of a pass that nobody can join.
    pub(super) fn of_the_loop() -> Self {
        Self { pass_id: new_pass_id(), request: None }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data always serialises")
    }
}

pub(super) fn new_pass_id() -> String {
    Uuid::now_v7().to_string()
}

/// Why there is no report.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SyncError {
    /// The store failed, or the pass broke off.
    #[error("{0}")]
    Broken(String),
    /// The store cannot be reached now.
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

pub(super) type Outcome = Result<Arc<PassReport>, SyncError>;

/// The right to run a pass here, or the report of an equal one that ran elsewhere.
enum MyTurn<'a> {
    Mine(MutexGuard<'a, PassState>, Arc<PassLease>),
    Joined(Box<PassReport>),
}

impl Reconciler {
    /// Runs a pass for somebody who waits for its report, or joins one that was asked to do the same, here or on
    /// another replica.
    pub async fn sync(self: &Arc<Self>, request: PassRequest) -> Outcome {
        let mut receiver = {
            let mut joinable = self.joinable.lock();
            // One that panicked left nobody who would answer.
            let running = joinable.get(&request).filter(|running| running.has_changed().is_ok());
            if let Some(running) = running {
                running.clone()
            } else {
                let (sender, receiver) = watch::channel(None);
                joinable.insert(request.clone(), receiver.clone());
                let this = Arc::clone(self);
                // A task of its own: the pass goes on if the one who asked hangs up.
                tokio::spawn(async move {
                    let outcome = this.manual_pass(&request).await;
                    this.joinable.lock().remove(&request);
                    sender.send_replace(Some(outcome));
                });
                receiver
            }
        };
        let broken = || SyncError::Broken("the pass broke off".to_owned());
        let outcome = receiver.wait_for(Option::is_some).await.map_err(|_| broken())?;
        outcome.clone().unwrap_or_else(|| Err(broken()))
    }

    /// Runs one pass in this process, joining none.
    pub async fn sync_here(&self, trigger: Trigger, request: PassRequest) -> Outcome {
        let note = Note { pass_id: new_pass_id(), request: None };
        self.pass_in_turn(trigger, &request, note).await
    }

    async fn manual_pass(&self, request: &PassRequest) -> Outcome {
        let note = Note { pass_id: new_pass_id(), request: Some(request.clone()) };
        self.pass_in_turn(Trigger::Manual, request, note).await
    }

    async fn pass_in_turn(&self, trigger: Trigger, request: &PassRequest, note: Note) -> Outcome {
        self.cache.clear();
        if request.dry_run {
            let _passing = self.passing.lock().await;
            return Ok(Arc::new(self.look(note.pass_id, trigger, request).await?));
        }
        let (mut state, held) = match self.my_turn(&note).await? {
            MyTurn::Mine(state, held) => (state, held),
            MyTurn::Joined(report) => return Ok(report.into()),
        };
        let outcome = async {
            if held.lease().was_abandoned() {
                // What the last holder left undone may lie outside of what is asked for here.
                self.store.mark(&Mark::Everything).await?;
            }
            let timetable = self.store.outlook().await?.timetable;
            let ask = Ask { pass_id: note.pass_id, trigger, request: request.clone(), timetable };
            self.pass(&mut state, &held, ask).await
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            self.look_at_all_again(&held).await;
        }
        held.release().await;
        Ok(Arc::new(outcome?))
    }

    /// Waits for the lease, or for the end of an equal pass of another replica.
    async fn my_turn(&self, note: &Note) -> Result<MyTurn<'_>, SyncError> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let state = self.passing.lock().await;
            if let Some(held) = PassLease::take(&self.store, &note.text()).await? {
                return Ok(MyTurn::Mine(state, held));
            }
            drop(state);
            if let Some(report) = self.join_elsewhere(note, until).await? {
                return Ok(MyTurn::Joined(Box::new(report)));
            }
            sleep(LOOK).await;
        }
        Err(SyncError::NoTurn)
    }

    /// The report of the pass that another replica runs, if it was asked for the same.
    async fn join_elsewhere(&self, note: &Note, until: Instant) -> Result<Option<PassReport>, store::Error> {
        if note.request.is_none() {
            return Ok(None);
        }
        let Some(Holder { token, note: theirs }) = self.store.holder(Duty::Passes).await? else {
            return Ok(None);
        };
        let Ok(theirs) = serde_json::from_str::<Note>(&theirs) else { return Ok(None) };
        if theirs.request != note.request {
            return Ok(None);
        }
        while Instant::now() < until {
            sleep(LOOK).await;
            if self.store.holder(Duty::Passes).await?.is_none_or(|holder| holder.token != token) {
                break;
            }
        }
        let report = self.store.pass_report(&theirs.pass_id).await?;
        Ok(report.and_then(|text| serde_json::from_str(&text).ok()))
    }
}
