//! One pass: prepare, observe, plan, execute, conclude; each with its share of the time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::{Instant, timeout_at};

use super::{
    PassRequest, Reconciler,
    execute::Context,
    lease::PassLease,
    plan::{Action, Plan, plan},
    report::{Attempt, Failure, PassReport, Trigger, failure_log::FailureLog, preflight},
    scope::Scope,
    timetable::{self, Passed},
};
use crate::{
    clock,
    metrics::ByTrigger,
    model::{Asked, Grant, Mark, Rule, SecondGrant, Source, StrongDmList, Unknown},
    store::{self, AuditEntry, Timetable},
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

/// Why a write was not begun.
pub(super) const OUT_OF_TIME: &str = "the pass ran out of time";

/// What passes leave for the next one of this process.
#[derive(Debug, Default)]
pub(super) struct PassState {
    held: bool,
    troubles: FailureLog,
}

/// A pass that is to be run.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) pass_id: String,
    pub(super) trigger: Trigger,
    pub(super) request: PassRequest,
    /// What earlier passes left, read under the lease.
    pub(super) timetable: Timetable,
}

impl Reconciler {
    /// One pass. Only the store's failure is an error; everything else is in the report.
    #[tracing::instrument(skip_all, fields(pass.id = ask.pass_id, pass.trigger = %ask.trigger))]
    pub(super) async fn pass(
        &self,
        state: &mut PassState,
        held: &Arc<PassLease>,
        ask: Ask,
    ) -> Result<PassReport, store::Error> {
        let (began, now) = (Instant::now(), clock::now());
        let Ask { pass_id, trigger, request, mut timetable } = ask;
        let mut report = PassReport::begin(pass_id.clone(), trigger, now);
        let deadline = began + BEGIN_WRITES;
        let mut context = Context {
            pass_id,
            trigger,
            now,
            deadline,
            last_round: false,
            planned_with: SecondGrant::default(),
            held: Arc::clone(held),
        };
        let scope = request.scope();

        let unverified = self.prepare(&mut timetable, &context, began + PREPARE).await?;
        for round in 1..=ROUNDS {
            (context.now, context.last_round) = (clock::now(), round == ROUNDS);
            let observed = self.observe(context.now, &scope);
            let Ok(world) = timeout_at(began + OBSERVE, observed).await else {
                self.note_unobserved(&mut report);
                break;
            };
            let world = world?;
            self.note_observed(&world, context.now);
            context.planned_with = world.second_grant;
            let decided = plan(context.now, &self.settings, &world, request.guard());
            report.take_decisions(&decided);
            report.unreported.asked = world.on_calls.keys().cloned().collect();
            report.unreported.ahead = Some(preflight::ahead(context.now, &self.settings, &world));
            if round == 1 {
                report.unchanged = decided.unchanged;
            }
            if scope == Scope::All {
                self.note_links(&world).await?;
                self.note_ahead(context.now, &world, &decided);
            }
            let undone = decided.clone();
            let executed = timeout_at(began + STOP, self.execute(&context, decided, &mut report)).await;
            let Ok(learned) = executed else {
                note_undone(&mut report, &undone);
                break;
            };
            if !learned? {
                break;
            }
        }
        report.unknown.extend(unverified);
        report.finished_at = clock::now();
        self.conclude(state, &context, &report, scope == Scope::All, timetable).await?;
        self.measure(&report, began.elapsed());
        Ok(report)
    }

    /// A look without consequences: needs no lease.
    pub(super) async fn look(
        &self,
        pass_id: String,
        trigger: Trigger,
        request: &PassRequest,
    ) -> Result<PassReport, store::Error> {
        let (began, now) = (Instant::now(), clock::now());
        let mut report = PassReport { dry_run: true, ..PassReport::begin(pass_id, trigger, now) };
        let scope = request.scope();
        match timeout_at(began + OBSERVE, self.observe(now, &scope)).await {
            Ok(world) => {
                let decided = plan(now, &self.settings, &world?, request.guard());
                report.take_decisions(&decided);
                report.unchanged = decided.unchanged;
                report.take_actions(&decided);
            }
            Err(_) => self.note_unobserved(&mut report),
        }
        report.finished_at = clock::now();
        Ok(report)
    }

    /// Finds out what became of unclear writes, and, when it is time, compares the ledger with strongDM. Returns why
    /// that could not be done.
    async fn prepare(
        &self,
        timetable: &mut Timetable,
        context: &Context,
        until: Instant,
    ) -> Result<Option<Unknown>, store::Error> {
        let asked = matches!(context.trigger, Trigger::Start | Trigger::Manual | Trigger::Command);
        // A comparison in the future means that the clock was set back.
        let recent = |at| (TimeDelta::zero()..self.verify_interval).contains(&(context.now - at));
        let verify = asked || !timetable.verified_at.is_some_and(recent);
        let preparing = timeout_at(until, async {
            self.settle(context).await?;
            if verify { self.verify(context).await.map(Some) } else { Ok(None) }
        });
        let error = match preparing.await {
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) => None,
            Ok(Ok(Some(Ok(())))) => {
                timetable.verified_at = Some(context.now);
                None
            }
            Ok(Ok(Some(Err(error)))) => Some((&error).into()),
            Err(_) => Some("it took too long".into()),
        };
        Ok(error.map(|error| Unknown { about: Asked::List(StrongDmList::Grants), error }))
    }

    /// Writes down what the pass leaves for the next one, keeps its report, and says what an operator must know.
    async fn conclude(
        &self,
        state: &mut PassState,
        context: &Context,
        report: &PassReport,
        full: bool,
        mut timetable: Timetable,
    ) -> Result<(), store::Error> {
        self.keep(self.picture().await?.after(report, full, &self.settings.rules)).await?;
        let complete = report.is_complete();
        let standing = &mut timetable.standing;
        if full {
            standing.held = report.held.len();
            standing.deferred = report.deferred.len();
            standing.skipped = report.skipped.len();
            standing.unknown = report.unknown.len();
            if complete {
                standing.last_complete = Some(report.finished_at);
                self.known_failures.lock().clear();
            }
        }
        standing.grants = self.store.grants(report.finished_at, &store::GrantQuery::default()).await?.len();
        self.metrics.show(standing);
        let (began, ended, next_wake) = (report.started_at, report.finished_at, report.unreported.next_wake);
        timetable::note(&mut timetable, &Passed { full, began, ended, complete, next_wake });
        let routine = matches!(report.trigger, Trigger::Interval | Trigger::Boundary | Trigger::Retry);
        if !(routine && report.is_quiet()) {
            let text = serde_json::to_string(report).unwrap_or_default();
            self.store.record_pass(&report.pass_id, report.started_at, &text).await?;
        }
        if !self.store.set_timetable(context.held.lease(), &timetable).await? {
            tracing::warn!("another replica took over during this pass; everything is looked at once more");
            // What was settled here late is news to whoever took over.
            self.store.mark(&Mark::Everything).await?;
        }

        let held = !report.held.is_empty();
        if held && !state.held {
            tracing::error!(
                revocations.held = report.held.len(),
                "{} held, more than max_revocations allows in one pass; check the rules and PagerDuty, then confirm with \
                 POST /sync and allow_mass_revocation",
                if report.held.len() == 1 {
                    "1 revocation is".to_owned()
                } else {
                    format!("{} revocations are", report.held.len())
                },
            );
        }
        // A narrow pass that holds nothing says nothing about the rest.
        if full || held {
            state.held = held;
        }
        state.troubles.tell(report, full);
        Ok(())
    }

    /// Counts and logs a pass; the usual one that changed nothing is not worth a line.
    fn measure(&self, report: &PassReport, took: Duration) {
        let result = if report.is_complete() { "complete" } else { "incomplete" };
        let trigger = report.trigger.as_str();
        self.metrics.passes.get_or_create(&ByTrigger { trigger, result }).inc();
        self.metrics.pass_seconds.observe(took.as_secs_f64());
        let routine = matches!(report.trigger, Trigger::Interval | Trigger::Boundary | Trigger::Retry);
        if !(routine && report.is_quiet()) {
            let held = match report.held.len() {
                0 => String::new(),
                held => format!(", {held} revocations held"),
            };
            tracing::info!(
                grants.created = report.created.len(),
                grants.revoked = report.revoked.len(),
                grants.unchanged = report.unchanged,
                duration_ms = took.as_millis(),
                "pass {result}: {} granted, {} revoked, {} unchanged{held}",
                report.created.len(),
                report.revoked.len(),
                report.unchanged,
            );
        }
    }

    fn note_unobserved(&self, report: &mut PassReport) {
        let sources: BTreeSet<Source> = self.settings.rules.iter().flat_map(Rule::sources).collect();
        report.unknown.extend(
            sources
                .into_iter()
                .map(|source| Unknown { about: source.into(), error: "observing took too long".into() }),
        );
    }

    /// Whether this failure is not in the audit yet; a retry that fails the same way adds nothing.
    pub(super) fn is_news(&self, audit: &AuditEntry) -> bool {
        let AuditEntry { action, grant, reason, .. } = audit;
        let key =
            format!("{action} {} {} {} {reason}", grant.account_id, grant.resource_id, grant.window.end());
        self.known_failures.lock().insert(key)
    }
}

/// Notes the writes of `plan` that were cut off.
fn note_undone(report: &mut PassReport, plan: &Plan) {
    for action in plan.actions() {
        let done = match action {
            Action::Create(_) => &report.created,
            Action::Revoke(_) => &report.revoked,
        };
        let grant = action.grant();
        let is_this = |other: &Grant| other.pair() == grant.pair() && other.window == grant.window;
        if !done.iter().any(is_this) && !report.failed.iter().any(|failure| is_this(&failure.grant)) {
            let (action, grant) = (Attempt::from(action), grant.clone());
            report.failed.push(Failure { action, grant, error: OUT_OF_TIME.into() });
        }
    }
}
