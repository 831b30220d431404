//! One pass: settle and compare, observe, plan, execute, conclude; each with its share of the time.
//!
//! Passes look at the same time, and take turns to decide and write (`turns.rs`). Each decision is made with the ledger
//! as it is then and by what the newest look at each source was told (`newest_looks.rs`), so it does not matter in
//! which order passes get their turns.
//!
//! So many passes run at once, and each holds its place until it is over. Windows to come keep no place from whoever is
//! paged: a pass about a few sources leaves them to one about everything once somebody else wants the turn, and of
//! those only the youngest goes on.

mod comparison;
mod conclude;
mod dry_run;
mod observation;
mod order;

pub(super) use self::order::{Looks, PassOrder};

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

use super::{
    compare::{Compared, Comparer},
    execute::{Context, Executed, Executor, Round},
    facts::DUE_REVOCATIONS,
    lease::PassLease,
    links::SeenLinks,
    newest_looks::{DecidedBy, LookNumber, NewestLooks},
    observe::{
        Observer, freshness,
        recorded::{self, LedgerAhead},
    },
    plan::{Action, Plan, Released, Settings, plan},
    report::{PassReport, snapshot_store::Snapshots},
    scope::{PassRequest, Scope},
    timetable::Intervals,
    turns::{Turn, Turns},
    world::{Recorded, World},
};
use crate::{
    clock,
    metrics::{Metrics, Purpose, Work},
    model::{Asked, BETWEEN_LOOKS, DueRevocations, Grant, Mark, SecondLook, StrongDmList, Unknown},
    store::{self, SharedStore},
};

/// Looking after unclear writes and comparing the ledger may take this long of a pass.
const PREPARE: Duration = Duration::from_secs(30);
/// A pass that nobody asked for waits no longer for either before it looks: somebody may be waiting for access.
const PATIENCE: Duration = Duration::from_secs(1);
/// Observing must be over by then; a pass that observes longer sees nothing.
const OBSERVE: Duration = Duration::from_mins(1);
/// No write is begun later than this.
const BEGIN_WRITES: Duration = Duration::from_secs(75);
/// A pass is over by then, whatever stalls; we promise two minutes.
const STOP: Duration = Duration::from_secs(115);
/// How often a pass that waits to write windows to come asks whether a younger one does.
const BETWEEN_CHECKS: Duration = Duration::from_secs(1);
/// How often a pass plans again after it learned something.
const ROUNDS: usize = 3;

/// Runs passes through all stages.
#[derive(Debug)]
pub(super) struct PassRunner {
    pub(super) store: SharedStore,
    pub(super) metrics: Arc<Metrics>,
    pub(super) observer: Observer,
    /// Looks for whoever only wants to know: nobody on call waits for that.
    pub(super) onlooker: Observer,
    pub(super) links: SeenLinks,
    pub(super) snapshots: Snapshots,
    pub(super) intervals: Intervals,
    pub(super) turns: Turns,
    newest_looks: NewestLooks,
    executor: Executor,
    comparer: Comparer,
    /// Passes that somebody asked for.
    pub(super) requested: TaskTracker,
    /// Held during a pass that somebody asked for: the next one begins when it is over.
    pub(super) serving: AsyncMutex<()>,
    /// Held while somebody looks what a pass would do.
    pub(super) looking: AsyncMutex<()>,
    /// Held while a look reads the ledger ahead: one does at a time, so that decisions find a free connection.
    reading_ahead: AsyncMutex<()>,
}

/// A pass under way.
#[derive(Debug)]
struct Pass<'p> {
    context: Context<'p>,
    request: PassRequest,
    released: Released,
    looks: Looks,
    began: Instant,
    report: PassReport,
    /// Whether what the last look saw is in the report.
    is_taken_in: bool,
    decided_by: DecidedBy,
    /// When the ledger was compared with strongDM's list, if it was.
    compared_at: Option<DateTime<Utc>>,
    second_look: Option<SecondLook>,
    /// It left windows to come, which it saw, to a look at everything.
    leaves_windows: bool,
}

impl Pass<'_> {
    /// Whether it looks at a few sources because of an event, a retry or a second look: somebody may be waiting for access.
    fn is_short(&self) -> bool {
        self.looks == Looks::Apart && self.request.scope != Scope::All
    }
}

/// What came of a decision and its writes.
enum Step {
    /// Nothing is left to do by what was seen.
    Done,
    /// Something was learned: decide again.
    Again,
    /// The turn was over before all was done that is urgent.
    GiveWay,
    /// Only windows to come are left, and must wait until then.
    OnlyComing(Instant),
}

impl PassRunner {
    pub(super) async fn new(
        observer: Observer,
        intervals: Intervals,
        store: SharedStore,
        metrics: Arc<Metrics>,
    ) -> Result<Self, store::Error> {
        let links = SeenLinks::load(store.clone()).await?;
        // What cannot be seen has the name that it had.
        observer.names().refreshed(&store).await;
        freshness::reset(&metrics, observer.settings());
        let (strongdm, cache) = (observer.strongdm().clone(), Arc::clone(observer.cache()));
        Ok(Self {
            links,
            snapshots: Snapshots::new(store.clone()),
            intervals,
            turns: Turns::new(store.clone()),
            newest_looks: NewestLooks::default(),
            executor: Executor::new(store.clone(), strongdm.clone(), cache, Arc::clone(&metrics)),
            comparer: Comparer::new(store.clone(), strongdm),
            requested: TaskTracker::new(),
            serving: AsyncMutex::default(),
            looking: AsyncMutex::default(),
            reading_ahead: AsyncMutex::default(),
            store,
            metrics,
            onlooker: observer.patient(),
            observer,
        })
    }

    /// One pass. Only the store's failure is an error; everything else is in the report.
    #[tracing::instrument(skip_all, fields(pass.id = order.pass_id, pass.trigger = %order.trigger))]
    pub(super) async fn run(&self, lease: &PassLease, order: PassOrder) -> Result<PassReport, store::Error> {
        Work::new(Purpose::Pass).run(Box::pin(self.run_stages(lease, order))).await
    }

    async fn run_stages(&self, lease: &PassLease, order: PassOrder) -> Result<PassReport, store::Error> {
        let PassOrder { pass_id, trigger, request, released, looks } = order;
        let now = clock::now();
        let report = PassReport::begin(pass_id.clone(), trigger, now);
        let context = Context { pass_id, trigger, now, lease, names: self.observer.names() };
        let (began, decided_by) = (Instant::now(), DecidedBy::own(self.newest_looks.begin()));
        let mut pass = Pass {
            context,
            request,
            released,
            looks,
            began,
            report,
            is_taken_in: false,
            decided_by,
            compared_at: None,
            second_look: None,
            leaves_windows: false,
        };

        let patience = began + if looks == Looks::Together { PREPARE } else { PATIENCE };
        let mut listing = self.prepare(&pass, patience).await?;
        let mut compared = self.compare(&mut pass, listing.as_mut(), patience).await?;
        self.look(&mut pass).await?;
        if matches!(compared, Compared::NoListYet | Compared::Untold) {
            compared = self.compare(&mut pass, listing.as_mut(), began + PREPARE).await?;
            if compared == Compared::WithNews {
                // It may change what was decided before.
                self.store.mark(&Mark::Everything).await?;
            }
        }
        if looks == Looks::Together
            && let Some(due) = &pass.second_look
        {
            let pause = (due.at - clock::now()).clamp(TimeDelta::zero(), BETWEEN_LOOKS);
            sleep(pause.to_std().unwrap_or_default()).await;
            // What failed is tried again.
            pass.report.failed.clear();
            self.look(&mut pass).await?;
        }
        let error = compared.error(listing.as_ref(), looks.read_for());
        drop(listing);
        if compared == Compared::NoListYet && self.comparer.has_list() {
            // It came too late for this pass; the next one compares with it.
            self.store.mark(&Mark::Everything).await?;
        }
        let about = Asked::List(StrongDmList::Grants);
        pass.report.unknown.extend(error.map(|error| Unknown::new(about, error)));
        self.conclude(pass).await
    }

    /// Observes, plans and acts, again if something was learned, and in as many turns as it takes.
    async fn look(&self, pass: &mut Pass<'_>) -> Result<(), store::Error> {
        let look = self.newest_looks.begin();
        pass.decided_by = DecidedBy::own(look);
        pass.second_look = None;
        let (mut world, mut ahead) = self.observe(pass).await?;
        self.newest_looks.record(look, &world);
        pass.is_taken_in = false;
        let mut rounds = 1..=ROUNDS;
        let mut round = rounds.next();
        loop {
            let mut turn = self.turns.take().await;
            match self
                .decide_and_write(pass, &mut turn, &mut world, ahead.take(), round == Some(ROUNDS))
                .await?
            {
                Step::Done => return Ok(()),
                Step::Again => round = rounds.next().or(round),
                Step::GiveWay => self.announce(pass).await?,
                Step::OnlyComing(until) => {
                    self.announce(pass).await?;
                    drop(turn);
                    pass.leaves_windows = pass.is_short();
                    if pass.leaves_windows || !self.is_newest_until(until, pass, look).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits until then. False, as soon as a younger pass has seen everything: it writes all that is left to do.
    async fn is_newest_until(&self, until: Instant, pass: &Pass<'_>, look: LookNumber) -> bool {
        loop {
            if pass.looks == Looks::Apart && self.newest_looks.is_superseded(look) {
                return false;
            }
            if Instant::now() >= until {
                return true;
            }
            sleep_until(until.min(Instant::now() + BETWEEN_CHECKS)).await;
        }
    }

    /// Remembers what is news about people's parts in incidents.
    async fn remember(&self, pass: &Pass<'_>, plan: &Plan) -> Result<(), store::Error> {
        if plan.parts.is_empty() {
            return Ok(());
        }
        self.links.add(plan.parts.iter().map(|(part, _)| part));
        self.store.remember_parts(pass.context.proof(), &plan.parts).await
    }

    /// Remembers what is due to be revoked and since when, for the next look.
    async fn remember_due(
        &self,
        pass: &Pass<'_>,
        world: &mut World,
        due: &DueRevocations,
    ) -> Result<(), store::Error> {
        if *due != world.recorded.due {
            DUE_REVOCATIONS.write_holding(&self.store, pass.context.proof(), due).await?;
            world.recorded.due.clone_from(due);
        }
        Ok(())
    }

    /// One turn: decides with what is known now, and writes until nothing is left or somebody else wants the turn.
    async fn decide_and_write(
        &self,
        pass: &mut Pass<'_>,
        turn: &mut Turn<'_>,
        world: &mut World,
        ahead: Option<LedgerAhead>,
        is_last: bool,
    ) -> Result<Step, store::Error> {
        pass.context.now = clock::now();
        // First, since it says of which incidents the store is asked. Whoever looks meanwhile cannot write before us.
        self.newest_looks.bring_up_to_date(&mut pass.decided_by, world);
        world.recorded = recorded::read(&self.store, pass.context.now, &world.incident_ids(), ahead).await?;
        if !world.recorded.unsettled.is_empty() && pass.is_short() {
            // What is not settled by then stays as it is, and its pairs are left alone.
            timeout(PATIENCE, self.executor.settle(&pass.context)).await.unwrap_or(Ok(()))?;
            world.recorded =
                recorded::read(&self.store, pass.context.now, &world.incident_ids(), None).await?;
        }
        let mut plan = plan(pass.context.now, self.settings(), world, pass.released);
        pass.second_look.clone_from(&plan.second_look);
        if plan.actions().any(|action| matches!(action, Action::Revoke(_))) {
            // Before anything is revoked, or what is held could be forgotten.
            self.remember_due(pass, world, &plan.due).await?;
        }
        self.take_in(pass, turn, world, &plan).await?;
        // What failed in this look is not tried again before the next one.
        let which = |grant: &Grant| (grant.pair(), grant.window);
        let failed: BTreeSet<_> = pass.report.failed.iter().map(|failure| which(&failure.grant)).collect();
        plan.pairs.retain(|writes| !writes.actions.iter().any(|step| failed.contains(&which(step.grant()))));
        let Recorded { altered, ledger, .. } = &world.recorded;
        pass.report.take_altered(altered, ledger, &plan);
        let deadline = pass.began + BEGIN_WRITES;
        let round = Round { plan, planned_with: world.recorded.second_grant, deadline, is_last };
        turn.has_decided();
        let executing = self.executor.execute(&pass.context, &round, turn, &mut pass.report);
        let executed = timeout_at(pass.began + STOP, executing).await;
        // Not before: whoever gets access does not wait for what goes later.
        self.remember_due(pass, world, &round.plan.due_without(&pass.report.revoked)).await?;
        let Ok(executed) = executed else {
            let undone = round.cut_off(&pass.report);
            pass.report.failed.extend(undone);
            return Ok(Step::Done);
        };
        Ok(match executed? {
            Executed::Done => Step::Done,
            Executed::PlanAgain => Step::Again,
            Executed::TurnIsOver => Step::GiveWay,
            // Nothing is begun any more by then.
            Executed::OnlyComing(_) if Instant::now() >= deadline => {
                let undone = round.cut_off(&pass.report);
                pass.report.failed.extend(undone);
                Step::Done
            }
            Executed::OnlyComing(low_until) => {
                let wait = low_until.and_then(|until| (until - clock::now()).to_std().ok());
                Step::OnlyComing((Instant::now() + wait.unwrap_or_default()).min(deadline))
            }
        })
    }

    fn settings(&self) -> &Settings {
        self.observer.settings()
    }
}
