//! One pass: settle and compare, observe, plan, execute, conclude; each with its share of the time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, timeout_at},
};

use super::{
    compare::{CompareError, Comparer},
    execute::{Context, Executed, Executor, Round},
    facts::DUE_REVOCATIONS,
    lease::PassLease,
    links::SeenLinks,
    observe::{Observer, freshness, recorded},
    plan::{Plan, Released, Settings, foresee, plan},
    report::{
        PassReport, Trigger,
        pass_log::{PassLog, is_eventful, summarize},
        preflight::{ahead, preflight},
        snapshot_store::Snapshots,
    },
    scope::{PassRequest, Scope},
    timetable::{self, Intervals, Passed},
    world::World,
};
use crate::{
    clock,
    metrics::{ByTrigger, Metrics},
    model::{Asked, BETWEEN_LOOKS, Mark, Rule, SecondLook, Source, StrongDmList, Unknown},
    store::{self, GrantQuery, SharedStore, Timetable},
};

/// Looking after unclear writes and comparing the ledger may take this long of a pass.
const PREPARE: Duration = Duration::from_secs(30);
/// Observing must be over by then; a pass that observes longer sees nothing.
const OBSERVE: Duration = Duration::from_mins(1);
/// No write is begun later than this.
const BEGIN_WRITES: Duration = Duration::from_secs(75);
/// A pass is over by then, whatever stalls; we promise two minutes.
const STOP: Duration = Duration::from_secs(115);
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
    executor: Executor,
    comparer: Comparer,
    /// Held during a pass: one at a time in this process. Over all replicas, the lease sees to that.
    pub(super) passing: AsyncMutex<PassLog>,
    /// Held while somebody looks what a pass would do.
    pub(super) looking: AsyncMutex<()>,
}

/// A pass that is to be run.
#[derive(Debug)]
pub(super) struct PassOrder {
    pub(super) pass_id: String,
    pub(super) trigger: Trigger,
    pub(super) request: PassRequest,
    /// What may be revoked although the guard holds it.
    pub(super) released: Released,
    pub(super) looks: Looks,
    /// What earlier passes left, read under the lease.
    pub(super) timetable: Timetable,
}

/// When the look happens that is to confirm what a pass finds due to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// In a pass of its own, so that nobody waits for it.
    Apart,
    /// In the same pass: somebody waits for its report.
    Together,
}

/// What one pass is given, and when it began.
#[derive(Debug)]
struct Terms<'p> {
    request: &'p PassRequest,
    released: Released,
    began: Instant,
}

impl PassRunner {
    pub(super) async fn new(
        observer: Observer,
        intervals: Intervals,
        store: SharedStore,
        metrics: Arc<Metrics>,
    ) -> Result<Self, store::Error> {
        let links = SeenLinks::load(store.clone()).await?;
        freshness::reset(&metrics, observer.settings());
        let (strongdm, cache) = (observer.strongdm().clone(), Arc::clone(observer.cache()));
        Ok(Self {
            links,
            snapshots: Snapshots::new(store.clone()),
            intervals,
            executor: Executor::new(store.clone(), strongdm.clone(), cache, Arc::clone(&metrics)),
            comparer: Comparer::new(store.clone(), strongdm),
            passing: AsyncMutex::default(),
            looking: AsyncMutex::default(),
            store,
            metrics,
            onlooker: observer.patient(),
            observer,
        })
    }

    /// One pass. Only the store's failure is an error; everything else is in the report.
    #[tracing::instrument(skip_all, fields(pass.id = order.pass_id, pass.trigger = %order.trigger))]
    pub(super) async fn run(
        &self,
        log: &mut PassLog,
        lease: &PassLease,
        order: PassOrder,
    ) -> Result<PassReport, store::Error> {
        let began = Instant::now();
        let PassOrder { pass_id, trigger, request, released, looks, mut timetable } = order;
        let mut context = Context { pass_id, trigger, now: clock::now(), lease };
        let mut report = PassReport::begin(context.pass_id.clone(), trigger, context.now);

        let uncompared = self.prepare(&mut timetable, &context, began + PREPARE).await?;
        let terms = Terms { request: &request, released, began };
        let mut second_look = self.look(log, &mut context, &terms, &mut report).await?;
        if looks == Looks::Together
            && let Some(due) = &second_look
        {
            let pause = (due.at - clock::now()).clamp(TimeDelta::zero(), BETWEEN_LOOKS);
            sleep(pause.to_std().unwrap_or_default()).await;
            // What failed is tried again.
            report.failed.clear();
            second_look = self.look(log, &mut context, &terms, &mut report).await?;
        }
        report.unknown.extend(uncompared);
        report.finished_at = clock::now();
        timetable::record_look(&mut timetable, &request.scope, second_look);
        self.conclude(log, &context, &report, &request.scope, timetable).await?;
        self.measure(&report, began.elapsed());
        Ok(report)
    }

    /// Observes, plans and acts, again if something was learned. Returns the look that is to confirm what was found due.
    async fn look(
        &self,
        log: &mut PassLog,
        context: &mut Context<'_>,
        terms: &Terms<'_>,
        report: &mut PassReport,
    ) -> Result<Option<SecondLook>, store::Error> {
        let Terms { request, released, began } = *terms;
        let mut second_look = None;
        for round in 1..=ROUNDS {
            context.now = clock::now();
            let hurry = self.observer.hurry();
            let observed = self.observe(&self.observer, context.now, &request.scope, began + OBSERVE).await?;
            drop(hurry);
            let Some(world) = observed else {
                report.unknown.extend(self.unobserved());
                break;
            };
            let plan = plan(context.now, self.settings(), &world, released);
            second_look.clone_from(&plan.second_look);
            self.take_in(report, log, context, &request.scope, &world, &plan).await?;
            let round = Round {
                plan,
                planned_with: world.recorded.second_grant,
                deadline: began + BEGIN_WRITES,
                is_last: round == ROUNDS,
            };
            let executing = self.executor.execute(context, &round, report);
            let Ok(executed) = timeout_at(began + STOP, executing).await else {
                let undone = round.cut_off(report);
                report.failed.extend(undone);
                break;
            };
            if executed? == Executed::Done {
                break;
            }
        }
        Ok(second_look)
    }

    /// Observes and plans without consequences, as if every look agreed: needs no lease.
    pub(super) async fn dry_run(
        &self,
        pass_id: String,
        trigger: Trigger,
        request: &PassRequest,
        released: Released,
    ) -> Result<PassReport, store::Error> {
        let (began, now) = (Instant::now(), clock::now());
        let mut report = PassReport { dry_run: true, ..PassReport::begin(pass_id, trigger, now) };
        if let Some(world) = self.observe(&self.onlooker, now, &request.scope, began + OBSERVE).await? {
            let plan = foresee(now, self.settings(), &world, released);
            report.take_decisions(&plan);
            report.take_unreadable(&world.recorded.unreadable);
            report.take_actions(&plan);
        } else {
            report.unknown.extend(self.unobserved());
        }
        report.finished_at = clock::now();
        Ok(report)
    }

    fn settings(&self) -> &Settings {
        self.observer.settings()
    }

    /// Finds out what became of unclear writes, and, when it is time, compares the ledger with strongDM. Returns why
    /// that could not be done.
    async fn prepare(
        &self,
        timetable: &mut Timetable,
        context: &Context<'_>,
        until: Instant,
    ) -> Result<Option<Unknown>, store::Error> {
        let is_due = self.intervals.is_comparison_due(context.now, context.trigger, timetable);
        let preparing = timeout_at(until, async {
            self.executor.settle(context).await?;
            if is_due {
                self.comparer.compare(context).await?;
                timetable.verified_at = Some(context.now);
            }
            Ok(())
        });
        let error = match preparing.await {
            Ok(Ok(())) => return Ok(None),
            Ok(Err(CompareError::Store(error))) => return Err(error),
            Ok(Err(CompareError::Strongdm(error))) => (&error).into(),
            Err(_) => "it took too long".into(),
        };
        Ok(Some(Unknown { about: Asked::List(StrongDmList::Grants), error }))
    }

    /// What our store and both upstreams say; none if that took too long.
    async fn observe(
        &self,
        observer: &Observer,
        now: DateTime<Utc>,
        scope: &Scope,
        until: Instant,
    ) -> Result<Option<World>, store::Error> {
        let observing = timeout_at(until, async {
            let recorded = recorded::read(&self.store, now).await?;
            if recorded.due.awaits_a_look() {
                // What an earlier look was told is no second look.
                observer.cache().clear();
            }
            Ok(observer.observe(now, scope, recorded).await)
        });
        observing.await.ok().transpose()
    }

    /// Every source of a rule as unobserved.
    fn unobserved(&self) -> impl Iterator<Item = Unknown> {
        let sources: BTreeSet<Source> = self.settings().rules.iter().flat_map(Rule::sources).collect();
        sources
            .into_iter()
            .map(|source| Unknown { about: source.into(), error: "observing took too long".into() })
    }

    /// Takes over into the report, the metrics and the store what was seen and decided.
    async fn take_in(
        &self,
        report: &mut PassReport,
        log: &mut PassLog,
        context: &Context<'_>,
        scope: &Scope,
        world: &World,
        plan: &Plan,
    ) -> Result<(), store::Error> {
        let now = context.now;
        if plan.due != world.recorded.due {
            // Before anything is revoked, or what is held could be forgotten.
            DUE_REVOCATIONS.write_holding(&self.store, context.proof(), &plan.due).await?;
        }
        freshness::record(&self.metrics, self.settings(), world, now);
        let ahead = ahead(now, self.settings(), world);
        if *scope == Scope::All {
            self.links.replace(world.links()).await?;
            let found = preflight(now, self.settings(), world, plan, &ahead);
            log.record_ahead(&self.metrics, found, &plan.unknown);
        }
        report.take_decisions(plan);
        report.take_unreadable(&world.recorded.unreadable);
        report.unreported.asked = world.on_calls.keys().cloned().collect();
        report.unreported.ahead = Some(ahead);
        Ok(())
    }

    /// Writes down what the pass leaves for the next one, keeps its report, and says what an operator must know.
    async fn conclude(
        &self,
        log: &mut PassLog,
        context: &Context<'_>,
        report: &PassReport,
        scope: &Scope,
        mut timetable: Timetable,
    ) -> Result<(), store::Error> {
        let full = *scope == Scope::All;
        let snapshot = self.snapshots.read().await?.after(report, scope, &self.settings().rules);
        self.snapshots.replace(snapshot).await?;
        let complete = report.is_complete();
        let counts = &mut timetable.counts;
        if full {
            counts.held = report.held.len();
            counts.deferred = report.deferred.len();
            counts.skipped = report.skipped.len();
            counts.unknown = report.unknown.len();
            if complete {
                counts.last_complete = Some(report.finished_at);
                self.executor.forget_failures();
            }
        }
        counts.grants = self.store.grants(report.finished_at, &GrantQuery::default()).await?.len();
        self.metrics.show(counts);
        let (began, ended, next_wake) = (report.started_at, report.finished_at, report.unreported.next_wake);
        timetable::record(&mut timetable, &Passed { scope, began, ended, complete, next_wake });
        if is_eventful(report) {
            let text = serde_json::to_string(report).unwrap_or_default();
            self.store.record_pass(&report.pass_id, report.started_at, &text).await?;
        }
        if !self.store.set_timetable(context.proof(), &timetable).await? {
            tracing::warn!("another replica took over during this pass; everything is looked at once more");
            // What was settled here late is news to whoever took over.
            self.store.mark(&Mark::Everything).await?;
        }
        log.tell(report, scope);
        Ok(())
    }

    fn measure(&self, report: &PassReport, took: Duration) {
        let result = if report.is_complete() { "complete" } else { "incomplete" };
        let trigger = report.trigger.as_str();
        self.metrics.passes.get_or_create(&ByTrigger { trigger, result }).inc();
        self.metrics.pass_seconds.observe(took.as_secs_f64());
        if is_eventful(report) {
            summarize(report, result, took);
        }
    }
}
