//! The loop that starts passes when they are due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    lease::{LeaseNote, PassLease},
    pass::{Looks, PassOrder, PassRunner},
    plan::Released,
    report::{Trigger, pass_log::PassLog},
    scope::PassRequest,
    timetable::{self, Due, FirstPass, Passed},
};
use crate::{
    clock,
    store::{self, Timetable, Workload},
};

/// The loop looks at the clock and the store at least this often: wake-ups of other replicas may get lost, clocks
/// jump, and machines sleep.
const POLL: Duration = Duration::from_millis(500);
/// In a storm, marks are set all the time; looking at each would cost what taking them in needs. After a quiet while,
/// the first is looked at without delay.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The pause after the store could not be asked.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// The loop, and what it knows from one turn to the next.
#[derive(Debug)]
pub(super) struct PassLoop<'r> {
    runner: &'r PassRunner,
    came_up_at: DateTime<Utc>,
    /// The last full pass and comparison before this process came up; none before the store told.
    found_at_start: Option<[Option<DateTime<Utc>>; 2]>,
    first_pass: FirstPass,
    /// The last full pass whose links are known here.
    links_of: Option<DateTime<Utc>>,
}

/// What came of one turn of the loop.
enum Turn {
    /// Nothing was due, or another replica is at it.
    Idle,
    PassRan,
    PassFailed(store::Error),
    /// The store does not say what is due.
    StoreFailed(store::Error),
}

impl<'r> PassLoop<'r> {
    /// The loop of a process that has just come up.
    pub(super) fn new(runner: &'r PassRunner) -> Self {
        Self {
            runner,
            came_up_at: clock::now(),
            found_at_start: None,
            first_pass: FirstPass::Pending,
            links_of: None,
        }
    }

    /// Runs passes until `shutdown`; the pass under way is finished first.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let (mut store_failed, mut failures) = (false, 0);
        while !shutdown.is_cancelled() {
            // Registered before looking, so that a mark set in between still wakes us.
            let news = self.runner.store.news().notified();
            let looked = Instant::now();
            let turn = self.turn().await;
            let pause = match &turn {
                Turn::PassRan => {
                    failures = 0;
                    continue;
                }
                Turn::Idle => POLL,
                Turn::StoreFailed(error) => {
                    if !store_failed {
                        let error = error as &dyn std::error::Error;
                        tracing::error!(error, "cannot read what is to be looked at; trying again");
                    }
                    STORE_RETRY
                }
                Turn::PassFailed(error) => {
                    tracing::error!(error = error as &dyn std::error::Error, "a pass failed");
                    failures += 1;
                    timetable::pause_after(failures - 1).to_std().unwrap_or(STORE_RETRY)
                }
            };
            if store_failed && matches!(turn, Turn::Idle) {
                tracing::info!("the store answers again");
            }
            store_failed = matches!(turn, Turn::StoreFailed(_));
            tokio::select! {
                () = news, if matches!(turn, Turn::Idle) => tokio::time::sleep_until(looked + DEBOUNCE).await,
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        // A pass on request may still be under way.
        drop(self.runner.passing.lock().await);
    }

    async fn turn(&mut self) -> Turn {
        let workload = match self.runner.store.workload().await {
            Ok(workload) => workload,
            Err(error) => return Turn::StoreFailed(error),
        };
        if let Err(error) = self.follow(&workload.timetable).await {
            return Turn::StoreFailed(error);
        }
        if self.pass_due(&workload).is_none() {
            return match self.store_what_was_noticed().await {
                Ok(()) => Turn::Idle,
                Err(error) => Turn::StoreFailed(error),
            };
        }
        let mut log = self.runner.passing.lock().await;
        let note = LeaseNote::of(None);
        let lease = match PassLease::take(&self.runner.store, &note).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return Turn::Idle,
            Err(error) => return Turn::StoreFailed(error),
        };
        let turn = self.run_what_is_due(&mut log, &lease, note.pass_id).await;
        lease.release().await;
        turn
    }

    /// Takes over what passes elsewhere found out.
    async fn follow(&mut self, timetable: &Timetable) -> Result<(), store::Error> {
        let last = [timetable.last_full, timetable.verified_at];
        // What was found at the start is of an earlier pass, whatever the clock said then.
        let found = self.found_at_start.get_or_insert(last);
        let came_up_at = self.came_up_at;
        let is_since = |(now, then): (&Option<_>, &_)| now != then && now.is_some_and(|at| at >= came_up_at);
        if last.iter().zip(found.iter()).all(is_since) {
            self.first_pass = FirstPass::Begun;
        }
        self.runner.metrics.show(&timetable.counts);
        if self.links_of != timetable.last_full {
            self.runner.links.reload().await?;
            self.links_of = timetable.last_full;
        }
        Ok(())
    }

    fn pass_due(&self, workload: &Workload) -> Option<Due> {
        self.runner.intervals.pass_due(clock::now(), self.first_pass, workload)
    }

    /// Another replica may have done what was due before we got the lease, so this looks again.
    async fn run_what_is_due(&mut self, log: &mut PassLog, lease: &PassLease, pass_id: String) -> Turn {
        let runner = self.runner;
        let mut workload = match runner.store.workload().await {
            Ok(workload) => workload,
            Err(error) => {
                if lease.was_abandoned() {
                    lease.let_run_out();
                }
                return Turn::StoreFailed(error);
            }
        };
        workload.abandoned = lease.was_abandoned();
        let Some(Due { trigger, scope, marks }) = self.pass_due(&workload) else { return Turn::Idle };
        let request = PassRequest { scope: scope.clone(), ..PassRequest::default() };
        let mut timetable = workload.timetable;
        let (released, looks) = (Released::Nothing, Looks::Apart);
        let order = PassOrder { pass_id, trigger, request, released, looks, timetable: timetable.clone() };
        let began = clock::now();
        let outcome = async {
            // Boxed, since the future of a whole pass is large.
            let report = Box::pin(runner.run(log, lease, order)).await?;
            let waiting = marks.iter().filter_map(|dirty| dirty.since).min();
            if let Some(since) = waiting.filter(|_| report.is_complete()) {
                let took = (clock::now() - since).as_seconds_f64();
                runner.metrics.webhook_to_grant_seconds.observe(took.max(0.0));
            }
            runner.store.clear_dirty(lease.proof(), &marks, began, &report.pass_id).await
        };
        match outcome.await {
            Ok(_) => {
                if trigger == Trigger::Start {
                    self.first_pass = FirstPass::Begun;
                }
                Turn::PassRan
            }
            Err(error) => {
                let ended = clock::now();
                let passed = Passed { scope: &scope, began, ended, complete: false, next_wake: None };
                timetable::record(&mut timetable, &passed);
                if !matches!(runner.store.set_timetable(lease.proof(), &timetable).await, Ok(true)) {
                    lease.demand_full_pass().await;
                }
                Turn::PassFailed(error)
            }
        }
    }

    /// Puts a wrong secret that was noticed here into the store without waiting for the next pass, which may run
    /// elsewhere.
    async fn store_what_was_noticed(&self) -> Result<(), store::Error> {
        let PassRunner { store, snapshots, passing, .. } = self.runner;
        if !snapshots.is_ahead_of_store() {
            return Ok(());
        }
        let _passing = passing.lock().await;
        let Some(lease) = PassLease::take(store, &LeaseNote::of(None)).await? else { return Ok(()) };
        let stored = match snapshots.read().await {
            Ok(snapshot) => snapshots.replace(snapshot).await,
            Err(error) => Err(error),
        };
        if lease.was_abandoned() {
            // Whoever takes the lease next would not know.
            lease.demand_full_pass().await;
        }
        lease.release().await;
        stored
    }
}
