//! One pass: prepare, observe, plan, execute, conclude; each with its share of the time.

use std::{collections::BTreeSet, sync::PoisonError, time::Duration};

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{
    PassRequest, Reconciler,
    agenda::Passed,
    execute::Context,
    outlook::Outlook,
    plan::{Asked, Plan, Step, Unknown, plan},
    report::{Failure, PassReport, Trigger, UnknownEntry},
    run::PassState,
    scope::Scope,
    world::SecondGrant,
};
use crate::{
    clock,
    metrics::ByTrigger,
    model::{Grant, Rule, Source},
    store::{self, AuditEntry},
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
impl Reconciler {
    /// One pass. Only the store's failure is an error; everything else is in the report.
    #[tracing::instrument(skip_all, fields(pass.id, pass.trigger = %trigger))]
    pub(super) async fn pass(
        &self,
        trigger: Trigger,
        request: &PassRequest,
    ) -> Result<PassReport, store::Error> {
        let mut state = self.passing.lock().await;
        let (began, now) = (Instant::now(), clock::now());
        let pass_id = Uuid::now_v7().to_string();
        tracing::Span::current().record("pass.id", &pass_id);
        let mut report = PassReport::begin(pass_id.clone(), trigger, request.dry_run, now);
        let deadline = began + BEGIN_WRITES;
        let mut context = Context {
            pass_id,
            trigger,
            now,
            deadline,
            last_round: false,
            planned_with: SecondGrant::default(),
        };
        let scope = match &request.sources {
            sources if sources.is_empty() => Scope::All,
            sources => Scope::Sources(sources.clone()),
        };

        let unverified =
            if request.dry_run { None } else { self.prepare(&mut state, &context, began + PREPARE).await? };
        for round in 1..=ROUNDS {
            (context.now, context.last_round) = (clock::now(), round == ROUNDS);
            let observed = self.observe(context.now, &scope);
            let Ok(world) = timeout_at(began + OBSERVE, observed).await else {
                self.note_unobserved(&mut report);
                break;
            };
            let world = world?;
            context.planned_with = world.second_grant;
            let decided = plan(context.now, &self.settings, &world, request.allow_mass_revocation);
            report.take_decisions(&decided);
            report.asked = world.on_calls.keys().cloned().collect();
            if round == 1 {
                report.unchanged = decided.unchanged;
            }
            if request.dry_run {
                report.take_steps(&decided);
                break;
            }
            if scope == Scope::All {
                self.note_links(&world).await?;
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
        if !request.dry_run {
            let full = scope == Scope::All;
            self.conclude(&mut state, &report, full, began.elapsed()).await?;
            let (complete, next_wake) = (report.is_complete(), report.next_wake);
            self.agenda().passed(&Passed {
                full,
                began: now,
                ended: report.finished_at,
                complete,
                next_wake,
            });
        }
        Ok(report)
    }

    /// Finds out what became of unclear writes, and, when it is time, compares the ledger with strongDM. Returns why
    /// that could not be done.
    async fn prepare(
        &self,
        state: &mut PassState,
        context: &Context,
        until: Instant,
    ) -> Result<Option<UnknownEntry>, store::Error> {
        let asked = matches!(context.trigger, Trigger::Start | Trigger::Manual | Trigger::Command);
        let verify = asked || state.verified_at.is_none_or(|at| at.elapsed() >= self.verify_interval);
        let preparing = timeout_at(until, async {
            self.settle(context).await?;
            if verify { self.verify(context).await.map(Some) } else { Ok(None) }
        });
        let error = match preparing.await {
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) => None,
            Ok(Ok(Some(Ok(())))) => {
                state.verified_at = Some(Instant::now());
                None
            }
            Ok(Ok(Some(Err(error)))) => Some(error.to_string()),
            Err(_) => Some("it took too long".to_owned()),
        };
        Ok(error.map(|error| UnknownEntry(Unknown { about: Asked::GrantList, error })))
    }

    /// Keeps the report, measures the pass, and says what an operator must know.
    async fn conclude(
        &self,
        state: &mut PassState,
        report: &PassReport,
        full: bool,
        took: Duration,
    ) -> Result<(), store::Error> {
        let known: Outlook = self.outlook().await?;
        let known = known.after(report, full, &self.settings.rules);
        self.store.set_outlook(&serde_json::to_string(&known).unwrap_or_default()).await?;
        let result = if report.is_complete() { "complete" } else { "incomplete" };
        let metrics = &self.metrics;
        metrics.passes.get_or_create(&ByTrigger { trigger: report.trigger.as_str(), result }).inc();
        metrics.pass_seconds.observe(took.as_secs_f64());
        let count = |list: usize| i64::try_from(list).unwrap_or(i64::MAX);
        if full {
            metrics.held.set(count(report.held.len()));
            metrics.deferred.set(count(report.deferred.len()));
            metrics.skipped.set(count(report.skipped.len()));
            metrics.unknown.set(count(report.unknown.len()));
            if report.is_complete() {
                metrics.last_complete_pass.set(report.finished_at.timestamp());
                self.known_failures.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        }
        let grants = self.store.grants(report.finished_at, &store::GrantQuery::default()).await?;
        metrics.grants.set(count(grants.len()));

        let held = !report.held.is_empty();
        if held && !state.held {
            tracing::error!(
                revocations.held = report.held.len(),
                "{} revocations are held, more than max_revocations allows in one pass; check the rules and \
                 PagerDuty, then confirm with POST /sync and allow_mass_revocation",
                report.held.len(),
            );
        }
        // A narrow pass that holds nothing says nothing about the rest.
        if full || held {
            state.held = held;
        }
        if !report.is_complete() {
            for UnknownEntry(unknown) in &report.unknown {
                tracing::warn!("could not observe {unknown}; grants that depend on it stay until their end");
            }
        }
        let routine = matches!(report.trigger, Trigger::Interval | Trigger::Boundary | Trigger::Retry);
        if !(routine && report.is_quiet()) {
            tracing::info!(
                grants.created = report.created.len(),
                grants.revoked = report.revoked.len(),
                grants.unchanged = report.unchanged,
                duration_ms = took.as_millis(),
                "pass {result}: {} granted, {} revoked, {} unchanged",
                report.created.len(),
                report.revoked.len(),
                report.unchanged,
            );
            let text = serde_json::to_string(report).unwrap_or_default();
            self.store.record_pass(&report.pass_id, report.started_at, &text).await?;
        }
        Ok(())
    }

    /// What the newest passes saw, also those of other replicas; nothing before the first.
    pub async fn outlook(&self) -> Result<Outlook, store::Error> {
        let kept = self.store.outlook().await?;
        // One that another version wrote is as good as none: the next pass writes it anew.
        Ok(kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    fn note_unobserved(&self, report: &mut PassReport) {
        let sources: BTreeSet<Source> = self.settings.rules.iter().flat_map(Rule::sources).collect();
        report.unknown.extend(sources.into_iter().map(|source| {
            UnknownEntry(Unknown {
                about: Asked::OnCalls(source),
                error: "observing took too long".to_owned(),
            })
        }));
    }

    /// Whether this failure is not in the audit yet; a retry that fails the same way adds nothing.
    pub(super) fn is_news(&self, audit: &AuditEntry) -> bool {
        let AuditEntry { action, grant, reason, .. } = audit;
        let key =
            format!("{action} {} {} {} {reason}", grant.account_id, grant.resource_id, grant.window.end());
        self.known_failures.lock().unwrap_or_else(PoisonError::into_inner).insert(key)
    }
}

/// Notes the writes of `plan` that were cut off.
fn note_undone(report: &mut PassReport, plan: &Plan) {
    for step in plan.pairs.iter().flat_map(|pair| &pair.steps) {
        let (action, done) = match step {
            Step::Create(_) => ("create", &report.created),
            Step::Revoke(_) => ("revoke", &report.revoked),
        };
        let grant = step.grant();
        let is_this = |other: &Grant| {
            (&other.account_id, &other.resource_id, other.window)
                == (&grant.account_id, &grant.resource_id, grant.window)
        };
        if !done.iter().any(is_this) && !report.failed.iter().any(|failure| is_this(&failure.grant)) {
            let error = "the pass ran out of time".to_owned();
            report.failed.push(Failure { action, grant: grant.clone(), error });
        }
    }
}
