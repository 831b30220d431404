//! The loop that starts passes when they are due.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    lease::LeaseNote,
    pass::{Looks, PassOrder, PassRunner},
    plan::Released,
    report::Trigger,
    scope::{PassRequest, Scope},
    timetable::{self, Due, FirstPass, UnderWay},
    turns::{Joined, Length},
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
pub(super) struct PassLoop {
    runner: Arc<PassRunner>,
    came_up_at: DateTime<Utc>,
    /// The last full pass and comparison before this process came up; none before the store told.
    found_at_start: Option<[Option<DateTime<Utc>>; 2]>,
    first_pass: FirstPass,
    /// The last full pass whose links are known here.
    links_of: Option<DateTime<Utc>>,
    passes: JoinSet<Result<(), store::Error>>,
    under_way: Vec<(Id, UnderWay)>,
    /// How many passes broke off in a row.
    broken: u32,
    /// No pass begins before, since one broke off.
    not_before: Instant,
}

impl PassLoop {
    /// The loop of a process that has just come up.
    pub(super) fn new(runner: Arc<PassRunner>) -> Self {
        Self {
            runner,
            came_up_at: clock::now(),
            found_at_start: None,
            first_pass: FirstPass::Pending,
            links_of: None,
            passes: JoinSet::new(),
            under_way: Vec::new(),
            broken: 0,
            not_before: Instant::now(),
        }
    }

    /// Runs passes until `shutdown`; those under way are finished first.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut store_failed = false;
        // When news last did. Polls and passes that end come rarely, so an event does not wait because of them.
        let mut woken = Instant::now();
        while !shutdown.is_cancelled() {
            let runner = Arc::clone(&self.runner);
            // Registered before looking, so that a mark set in between still wakes us.
            let news = runner.store.news().notified();
            let begun = self.begin_what_is_due().await;
            let pause = match &begun {
                Ok(()) => POLL,
                Err(error) => {
                    if !store_failed {
                        let error = error as &dyn std::error::Error;
                        tracing::error!(error, "cannot read what is to be looked at; trying again");
                    }
                    STORE_RETRY
                }
            };
            if store_failed && begun.is_ok() {
                tracing::info!("the store answers again");
            }
            store_failed = begun.is_err();
            let news = async {
                news.await;
                sleep_until(woken + DEBOUNCE).await;
            };
            tokio::select! {
                () = news, if begun.is_ok() => woken = Instant::now(),
                Some(ended) = self.passes.join_next_with_id(), if !self.passes.is_empty() => self.end(ended),
                () = sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        while let Some(ended) = self.passes.join_next_with_id().await {
            self.end(ended);
        }
        self.runner.requested.close();
        self.runner.requested.wait().await;
    }

    /// Begins every pass that is due and that no other replica is at.
    async fn begin_what_is_due(&mut self) -> Result<(), store::Error> {
        while Instant::now() >= self.not_before {
            let Some((joined, note, due)) = self.next_pass().await? else { return Ok(()) };
            let runner = Arc::clone(&self.runner);
            let under_way = UnderWay { due: due.clone(), began: clock::now() };
            let task = self.passes.spawn(run(runner, joined, note.pass_id, due));
            self.under_way.push((task.id(), under_way));
        }
        Ok(())
    }

    /// The next pass that is due, with the lease for it.
    async fn next_pass(&mut self) -> Result<Option<(Joined, LeaseNote, Due)>, store::Error> {
        let workload = self.runner.store.workload().await?;
        self.follow(&workload.timetable).await?;
        let Some(due) = self.pass_due(&workload) else {
            self.store_what_was_noticed().await?;
            return Ok(None);
        };
        let note = LeaseNote::new();
        let Some(joined) = self.runner.turns.join(&note, Length::of(&due.scope)).await? else {
            return Ok(None);
        };
        if !joined.is_new || joined.lease.is_nobody_elses() {
            return Ok(Some((joined, note, due)));
        }
        // Another replica may have done what was due before we got the lease, so this looks again.
        match self.runner.store.workload().await {
            Ok(workload) => {
                let workload = Workload { abandoned: joined.lease.was_abandoned(), ..workload };
                if let Some(due) = self.pass_due(&workload) {
                    return Ok(Some((joined, note, due)));
                }
                self.runner.turns.leave(joined).await;
                Ok(None)
            }
            Err(error) => {
                if joined.lease.was_abandoned() {
                    joined.lease.let_run_out();
                }
                self.runner.turns.leave(joined).await;
                Err(error)
            }
        }
    }

    /// Takes note of a pass that is over.
    fn end(&mut self, ended: Result<(Id, Result<(), store::Error>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            // As if the loop had done it itself: whoever supervises it tells, and begins anew.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let ended = self.under_way.iter().position(|(other, _)| *other == id);
        let pass = ended.map(|ended| self.under_way.swap_remove(ended).1);
        match outcome {
            Ok(()) => {
                self.broken = 0;
                if pass.is_some_and(|pass| pass.due.trigger == Trigger::Start) {
                    self.first_pass = FirstPass::Begun;
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a pass failed");
                let pause = timetable::pause_after(self.broken).to_std().unwrap_or(STORE_RETRY);
                self.broken = self.broken.saturating_add(1);
                self.not_before = Instant::now() + pause;
            }
        }
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
        let under_way: Vec<UnderWay> = self.under_way.iter().map(|(_, pass)| pass.clone()).collect();
        self.runner.intervals.pass_due(clock::now(), self.first_pass, workload, &under_way)
    }

    /// Puts a wrong secret that was noticed here into the store without waiting for the next pass, which may run
    /// elsewhere.
    async fn store_what_was_noticed(&self) -> Result<(), store::Error> {
        let PassRunner { snapshots, turns, .. } = &*self.runner;
        if !snapshots.is_ahead_of_store() || !self.under_way.is_empty() {
            return Ok(());
        }
        let Some(joined) = turns.join(&LeaseNote::new(), Length::Short).await? else { return Ok(()) };
        let turn = turns.take().await;
        let stored = snapshots.store_what_was_noticed().await;
        drop(turn);
        if joined.is_new && joined.lease.was_abandoned() {
            // Whoever takes the lease next would not know.
            joined.lease.demand_full_pass().await;
        }
        turns.leave(joined).await;
        stored
    }
}

/// Runs a pass that is due, and says that its marks are served.
async fn run(runner: Arc<PassRunner>, joined: Joined, pass_id: String, due: Due) -> Result<(), store::Error> {
    let Due { trigger, scope, mut marks } = due;
    let began = clock::now();
    let outcome = async {
        let request = PassRequest { scope: scope.clone(), ..PassRequest::default() };
        let (released, looks) = (Released::Nothing, Looks::Apart);
        let order = PassOrder { pass_id, trigger, request, released, looks };
        let report = runner.run(&joined.lease, order).await?;
        let waiting = marks.iter().filter_map(|dirty| dirty.since).min();
        if let Some(since) = waiting.filter(|_| report.is_complete()) {
            let took = (clock::now() - since).as_seconds_f64();
            runner.metrics.webhook_to_grant_seconds.observe(took.max(0.0));
        }
        timetable::pace(&mut marks, began);
        runner.store.clear_dirty(joined.lease.proof(), &marks, began, &report.pass_id).await
    };
    let outcome = outcome.await;
    if outcome.is_err() && !plan_retry(&runner, &joined, &scope).await {
        joined.lease.demand_full_pass().await;
    }
    runner.turns.leave(joined).await;
    outcome.map(drop)
}

/// Records that a pass broke off. False if the store does not take that.
async fn plan_retry(runner: &PassRunner, joined: &Joined, scope: &Scope) -> bool {
    let _turn = runner.turns.take().await;
    let Ok(Workload { mut timetable, .. }) = runner.store.workload().await else { return false };
    timetable::record_broken(&mut timetable, scope, clock::now());
    matches!(runner.store.set_timetable(joined.lease.proof(), &timetable).await, Ok(true))
}
