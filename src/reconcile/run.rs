//! The reconciler: one pass, the loop that starts passes, and passes on request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    agenda::{Agenda, Due, Passed},
    cache::Cache,
    finding::Finding,
    plan::Settings,
    report::{PassReport, Trigger},
    scope::{Links, Scope},
};
use crate::{
    clock,
    metrics::Metrics,
    model::Source,
    pagerduty,
    store::{self, Store},
    strongdm,
};

/// How long a lesson about strongDM's way with a second grant is believed.
pub const LEARNED_FOR: TimeDelta = TimeDelta::hours(24);

/// The loop looks at the clock at least this often, so that a clock that jumps or a machine that slept is noticed.
const TICK: Duration = Duration::from_millis(500);

/// Brings strongDM in line with PagerDuty.
pub struct Reconciler {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) pagerduty: pagerduty::Client,
    pub(super) strongdm: strongdm::Client,
    pub(super) metrics: Arc<Metrics>,
    pub(super) cache: Cache,
    agenda: Mutex<Agenda>,
    pub(super) verify_interval: Duration,
    links: RwLock<Links>,
    /// One pass at a time.
    pub(super) passing: AsyncMutex<PassState>,
    /// Manual passes under way, by what they were asked to do.
    joinable: Mutex<BTreeMap<PassRequest, watch::Receiver<Option<Outcome>>>>,
    /// Failures that were already put into the audit.
    pub(super) known_failures: Mutex<BTreeSet<String>>,
    /// What the last full pass found amiss ahead.
    pub(super) ahead: Mutex<Arc<[Finding]>>,
    wake: Notify,
}

/// What passes leave for the next one.
#[derive(Debug, Default)]
pub(super) struct PassState {
    pub(super) verified_at: Option<Instant>,
    pub(super) held: bool,
}

/// What a manual pass is asked to do; equal requests share a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PassRequest {
    /// Only these sources and what shares a resource with them; empty means everything.
    pub sources: BTreeSet<Source>,
    /// Only plan.
    pub dry_run: bool,
    /// Lift the guard for this pass.
    pub allow_mass_revocation: bool,
}

type Outcome = Result<Arc<PassReport>, String>;

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Reconciler {
    /// A reconciler that looks at least every `interval` and compares the ledger every `verify_interval`.
    pub async fn new(
        settings: Settings,
        intervals: (Duration, Duration),
        store: Store,
        pagerduty: pagerduty::Client,
        strongdm: strongdm::Client,
        metrics: Arc<Metrics>,
    ) -> Result<Self, store::Error> {
        let links = RwLock::new(store.links().await?);
        let (interval, verify_interval) = intervals;
        Ok(Self {
            settings,
            store,
            pagerduty,
            strongdm,
            metrics,
            cache: Cache::default(),
            agenda: Mutex::new(Agenda::new(interval)),
            verify_interval,
            links,
            passing: AsyncMutex::default(),
            joinable: Mutex::default(),
            known_failures: Mutex::default(),
            ahead: Mutex::new(Arc::new([])),
            wake: Notify::new(),
        })
    }

    /// The operator's part of the decision.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which schedule was seen under which escalation policy.
    pub fn links(&self) -> Links {
        self.links.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_links(&self, links: Links) {
        *self.links.write().unwrap_or_else(PoisonError::into_inner) = links;
    }

    /// Tells the loop that there are new marks.
    pub fn notify(&self) {
        self.wake.notify_one();
    }

    /// Runs passes until `shutdown`; the pass under way is finished first.
    pub async fn run(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            // Registered before looking, so that a mark set in between still wakes us.
            let woken = self.wake.notified();
            let dirty = self.store.dirty().await;
            if let Err(error) = &dirty {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "cannot read what is to be looked at"
                );
            }
            let due = self.agenda().due(clock::now(), dirty.as_deref().unwrap_or_default());
            if let Some(due) = due {
                self.run_due(due).await;
                continue;
            }
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(TICK) => {}
                () = shutdown.cancelled() => {}
            }
        }
        // A pass on request may still be under way.
        drop(self.passing.lock().await);
    }

    pub(super) fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_due(&self, due: Due) {
        let Due { trigger, full, marks } = due;
        let began = clock::now();
        self.agenda().looked(&marks, began);
        let sources = match Scope::of(marks.iter().map(|dirty| dirty.mark.clone())) {
            Scope::Sources(sources) if !full => sources,
            Scope::All | Scope::Sources(_) => BTreeSet::new(),
        };
        let request = PassRequest { sources, ..PassRequest::default() };
        let outcome = async {
            let newest = self.store.newest_delivery().await?;
            let report = self.pass(trigger, &request).await?;
            self.store.clear_dirty(&marks, newest, &report.pass_id).await
        };
        if let Err(error) = outcome.await {
            tracing::error!(error = &error as &dyn std::error::Error, "a pass failed");
            let ended = clock::now();
            self.agenda().passed(&Passed { full, began, ended, complete: false, next_wake: None });
        }
    }

    /// Runs a pass for somebody who waits for its report, or joins one that was asked to do the same.
    pub async fn sync(
        self: &Arc<Self>,
        trigger: Trigger,
        request: PassRequest,
    ) -> Result<Arc<PassReport>, String> {
        let mut receiver = {
            let mut joinable = self.joinable.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(running) = joinable.get(&request) {
                running.clone()
            } else {
                let (sender, receiver) = watch::channel(None);
                joinable.insert(request.clone(), receiver.clone());
                let this = Arc::clone(self);
                // A task of its own: the pass goes on if the one who asked hangs up.
                tokio::spawn(async move {
                    let outcome = this.fresh_pass(trigger, &request).await;
                    this.joinable.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
                    sender.send_replace(Some(outcome));
                });
                receiver
            }
        };
        let outcome =
            receiver.wait_for(Option::is_some).await.map_err(|_| "the pass broke off".to_owned())?;
        outcome.clone().unwrap_or_else(|| Err("the pass broke off".to_owned()))
    }

    async fn fresh_pass(&self, trigger: Trigger, request: &PassRequest) -> Outcome {
        self.cache.clear();
        match self.pass(trigger, request).await {
            Ok(report) => Ok(Arc::new(report)),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a pass failed");
                Err(error.to_string())
            }
        }
    }
}
