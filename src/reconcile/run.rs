//! The reconciler, and the loop that starts passes when they are due.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    lease::PassLease,
    observe::cache::Cache,
    on_demand::{Note, Outcome, PassRequest},
    pass::{Ask, PassState},
    plan::Settings,
    report::{Trigger, snapshot_store::Noticed},
    scope::Scope,
    timetable::{self, Agenda, Due, Intervals, Passed},
};
use crate::{
    clock,
    metrics::{ByRule, Metrics},
    model::{Finding, Links, Mark, Rule},
    pagerduty,
    store::{self, SharedStore, Workload},
    strongdm,
};

/// The loop looks at the clock and the store at least this often: wake-ups of other replicas may get lost, clocks
/// jump, and machines sleep.
const POLL: Duration = Duration::from_millis(500);
/// In a storm, marks are set all the time; looking at each would cost what taking them in needs. After a quiet while,
/// the first is looked at without delay.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The pause after the store could not be asked.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Brings strongDM in line with PagerDuty.
pub struct Reconciler {
    pub(super) settings: Settings,
    pub(super) store: SharedStore,
    pub(super) pagerduty: pagerduty::Client,
    pub(super) strongdm: strongdm::Client,
    pub(super) metrics: Arc<Metrics>,
    pub(super) cache: Cache,
    agenda: Agenda,
    pub(super) verify_interval: TimeDelta,
    links: RwLock<Arc<Links>>,
    /// The last full pass whose links are known here.
    links_of: Mutex<Option<DateTime<Utc>>>,
    /// A full pass with a comparison of the ledger has begun since this process came up, here or elsewhere.
    started: AtomicBool,
    /// One pass at a time in this process; over all replicas, the lease sees to that.
    pub(super) passing: AsyncMutex<PassState>,
    /// Manual passes under way, by what they were asked to do.
    pub(super) joinable: Mutex<BTreeMap<PassRequest, watch::Receiver<Option<Outcome>>>>,
    /// Failures that were already put into the audit.
    pub(super) known_failures: Mutex<BTreeSet<String>>,
    /// What the last full pass found amiss ahead.
    pub(super) ahead: Mutex<Arc<[Finding]>>,
    /// What the next picture must show beside what passes saw.
    pub(super) noticed: Mutex<Noticed>,
}

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// When this process came up, and the last full pass and comparison before that.
struct CameUp {
    at: DateTime<Utc>,
    found: OnceLock<[Option<DateTime<Utc>>; 2]>,
}

/// What came of one turn of the loop.
enum Turn {
    /// Nothing was due, or another replica is at it.
    Idle,
    Ran,
    /// The store does not say what is due.
    Blind(store::Error),
    /// The store failed a pass.
    Failed(store::Error),
}

impl Reconciler {
    /// A reconciler that looks at everything, and compares the ledger, at these intervals.
    pub async fn new(
        settings: Settings,
        intervals: Intervals,
        store: SharedStore,
        pagerduty: pagerduty::Client,
        strongdm: strongdm::Client,
        metrics: Arc<Metrics>,
    ) -> Result<Self, store::Error> {
        let links = RwLock::new(Arc::new(store.links().await?));
        // So that a rule that was never observed shows as such.
        for Rule { name, .. } in &settings.rules {
            metrics.rule_observed.get_or_create(&ByRule { rule: name.clone() }).set(0);
        }
        let Intervals { full_pass, comparison } = intervals;
        Ok(Self {
            settings,
            store,
            pagerduty,
            strongdm,
            metrics,
            cache: Cache::default(),
            agenda: Agenda::new(full_pass),
            verify_interval: comparison,
            links,
            links_of: Mutex::default(),
            started: AtomicBool::default(),
            passing: AsyncMutex::default(),
            joinable: Mutex::default(),
            known_failures: Mutex::default(),
            ahead: Mutex::new(Arc::new([])),
            noticed: Mutex::default(),
        })
    }

    /// The operator's part of the decision.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which schedule was seen under which escalation policy.
    pub fn links(&self) -> Arc<Links> {
        Arc::clone(&self.links.read())
    }

    pub(super) fn set_links(&self, links: Links) {
        *self.links.write() = Arc::new(links);
    }

    /// Runs passes until `shutdown`; the pass under way is finished first.
    pub async fn run(&self, shutdown: CancellationToken) {
        let came_up = CameUp { at: clock::now(), found: OnceLock::new() };
        let (mut blind, mut failures) = (false, 0);
        while !shutdown.is_cancelled() {
            // Registered before looking, so that a mark set in between still wakes us.
            let news = self.store.news().notified();
            let looked = Instant::now();
            let turn = self.turn(&came_up).await;
            let pause = match &turn {
                Turn::Ran => {
                    failures = 0;
                    continue;
                }
                Turn::Idle => POLL,
                Turn::Blind(error) => {
                    if !blind {
                        let error = error as &dyn std::error::Error;
                        tracing::error!(error, "cannot read what is to be looked at; trying again");
                    }
                    STORE_RETRY
                }
                Turn::Failed(error) => {
                    tracing::error!(error = error as &dyn std::error::Error, "a pass failed");
                    failures += 1;
                    timetable::pause_after(failures - 1).to_std().unwrap_or(STORE_RETRY)
                }
            };
            if blind && matches!(turn, Turn::Idle) {
                tracing::info!("the store answers again");
            }
            blind = matches!(turn, Turn::Blind(_));
            tokio::select! {
                () = news, if matches!(turn, Turn::Idle) => tokio::time::sleep_until(looked + DEBOUNCE).await,
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        // A pass on request may still be under way.
        drop(self.passing.lock().await);
    }

    async fn turn(&self, came_up: &CameUp) -> Turn {
        let outlook = match self.store.outlook().await {
            Ok(outlook) => outlook,
            Err(error) => return Turn::Blind(error),
        };
        if let Err(error) = self.follow(&outlook, came_up).await {
            return Turn::Blind(error);
        }
        if self.due(&outlook).is_none() {
            return match self.share().await {
                Ok(()) => Turn::Idle,
                Err(error) => Turn::Blind(error),
            };
        }
        let mut state = self.passing.lock().await;
        let note = Note::of_the_loop();
        let held = match PassLease::take(&self.store, &note.text()).await {
            Ok(Some(held)) => held,
            Ok(None) => return Turn::Idle,
            Err(error) => return Turn::Blind(error),
        };
        let turn = self.run_what_is_due(&mut state, &held, note).await;
        held.release().await;
        turn
    }

    /// Takes over what passes elsewhere found out.
    async fn follow(&self, outlook: &Workload, came_up: &CameUp) -> Result<(), store::Error> {
        let Workload { timetable, .. } = outlook;
        let looks = [timetable.last_full, timetable.verified_at];
        let found = came_up.found.get_or_init(|| looks);
        // What was found at the start is of an earlier pass, whatever the clock said then.
        let since = |(now, then): (&Option<_>, &_)| now != then && now.is_some_and(|at| at >= came_up.at);
        if looks.iter().zip(found).all(since) {
            self.started.store(true, Ordering::Relaxed);
        }
        self.metrics.show(&timetable.standing);
        let links_of = *self.links_of.lock();
        if links_of != timetable.last_full {
            self.set_links(self.store.links().await?);
            *self.links_of.lock() = timetable.last_full;
        }
        Ok(())
    }

    fn due(&self, outlook: &Workload) -> Option<Due> {
        self.agenda.due(clock::now(), self.started.load(Ordering::Relaxed), outlook)
    }

    /// Another replica may have done what was due before we got the lease, so this looks again.
    async fn run_what_is_due(&self, state: &mut PassState, held: &Arc<PassLease>, note: Note) -> Turn {
        let mut outlook = match self.store.outlook().await {
            Ok(outlook) => outlook,
            Err(error) => {
                if held.lease().was_abandoned() {
                    held.forsake();
                }
                return Turn::Blind(error);
            }
        };
        outlook.abandoned = held.lease().was_abandoned();
        let Some(Due { trigger, full, marks }) = self.due(&outlook) else { return Turn::Idle };
        let sources = match Scope::of(marks.iter().map(|dirty| dirty.mark.clone())) {
            Scope::Sources(sources) if !full => sources,
            Scope::All | Scope::Sources(_) => BTreeSet::new(),
        };
        let request = PassRequest { sources, ..PassRequest::default() };
        let mut timetable = outlook.timetable;
        let ask = Ask { pass_id: note.pass_id, trigger, request, timetable: timetable.clone() };
        let began = clock::now();
        let outcome = async {
            let report = self.pass(state, held, ask).await?;
            let waiting = marks.iter().filter_map(|dirty| dirty.since).min();
            if let Some(since) = waiting.filter(|_| report.is_complete()) {
                let took = (clock::now() - since).as_seconds_f64();
                self.metrics.webhook_to_grant_seconds.observe(took.max(0.0));
            }
            self.store.clear_dirty(held.lease(), &marks, began, &report.pass_id).await
        };
        match outcome.await {
            Ok(_) => {
                if trigger == Trigger::Start {
                    self.started.store(true, Ordering::Relaxed);
                }
                Turn::Ran
            }
            Err(error) => {
                let ended = clock::now();
                let passed = Passed { full, began, ended, complete: false, next_wake: None };
                timetable::note(&mut timetable, &passed);
                if !matches!(self.store.set_timetable(held.lease(), &timetable).await, Ok(true)) {
                    self.look_at_all_again(held).await;
                }
                Turn::Failed(error)
            }
        }
    }

    /// Sees to it that a full look follows a pass that broke off. If the store takes not even this, the lease tells:
    /// it is left to run out.
    pub(super) async fn look_at_all_again(&self, held: &PassLease) {
        if let Err(error) = self.store.mark(&Mark::Everything).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not ask for another pass");
            held.forsake();
        }
    }
}
