//! The reconciler: one pass, the loop that starts passes, and passes on request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    agenda::{Agenda, Due},
    cache::Cache,
    execute::Context,
    plan::{Asked, Plan, Settings, Step, Unknown, plan},
    report::{Failure, PassReport, Trigger, UnknownEntry},
    scope::{Links, Scope},
    world::SecondGrant,
};
use crate::{
    clock,
    metrics::{ByTrigger, Metrics},
    model::Source,
    pagerduty,
    store::{self, AuditEntry, Store},
    strongdm,
};

/// How long a lesson about strongDM's way with a second grant is believed.
pub const LEARNED_FOR: TimeDelta = TimeDelta::hours(24);

/// Looking after unclear writes and comparing the ledger may take this long of a pass.
const PREPARE: Duration = Duration::from_secs(30);
/// Observing must be over by then; a pass that observes longer sees nothing.
const OBSERVE: Duration = Duration::from_secs(60);
/// No write is begun later than this.
const BEGIN_WRITES: Duration = Duration::from_secs(75);
/// A pass is over by then, whatever stalls; we promise two minutes.
const STOP: Duration = Duration::from_secs(115);
/// How often a pass plans again after it learned something.
const ROUNDS: usize = 3;
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
    interval: Duration,
    verify_interval: Duration,
    links: RwLock<Links>,
    /// One pass at a time.
    passing: AsyncMutex<PassState>,
    /// Manual passes under way, by what they were asked to do.
    joinable: Mutex<BTreeMap<PassRequest, watch::Receiver<Option<Outcome>>>>,
    /// Failures that were already put into the audit.
    known_failures: Mutex<BTreeSet<String>>,
    wake: Notify,
}

/// What passes leave for the next one.
#[derive(Debug, Default)]
struct PassState {
    verified_at: Option<Instant>,
    held: bool,
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
            interval,
            verify_interval,
            links,
            passing: AsyncMutex::default(),
            joinable: Mutex::default(),
            known_failures: Mutex::default(),
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
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), store::Error> {
        let mut agenda = Agenda::new(self.interval);
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
            if let Some(due) = agenda.due(clock::now(), dirty.as_deref().unwrap_or_default()) {
                self.run_due(&mut agenda, due).await;
                continue;
            }
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(TICK) => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn run_due(&self, agenda: &mut Agenda, due: Due) {
        let began = clock::now();
        let sources = if due.full {
            BTreeSet::new()
        } else {
            match Scope::of(due.marks.iter().map(|dirty| dirty.mark.clone())) {
                Scope::All => BTreeSet::new(),
                Scope::Sources(sources) => sources,
            }
        };
        let full = sources.is_empty();
        let due = Due { full, ..due };
        let request = PassRequest { sources, ..PassRequest::default() };
        let outcome = async {
            let newest = self.store.newest_delivery().await?;
            let report = self.pass(due.trigger, &request).await?;
            self.store.clear_dirty(&due.marks, newest, &report.pass_id).await?;
            Ok::<_, store::Error>(report)
        };
        let (complete, next_wake) = match outcome.await {
            Ok(report) => (report.is_complete(), report.next_wake),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a pass failed");
                (false, None)
            }
        };
        agenda.passed(&due, began, clock::now(), complete, next_wake);
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

    /// One pass: observe, plan, execute. Only the store's failure is an error; everything else is in the report.
    #[tracing::instrument(skip_all, fields(pass.id, pass.trigger = %trigger))]
    async fn pass(&self, trigger: Trigger, request: &PassRequest) -> Result<PassReport, store::Error> {
        let mut state = self.passing.lock().await;
        let (began, now) = (Instant::now(), clock::now());
        let pass_id = Uuid::now_v7().to_string();
        tracing::Span::current().record("pass.id", &pass_id);
        let mut report = PassReport::begin(pass_id.clone(), trigger, request.dry_run, now);
        let deadline = began + BEGIN_WRITES;
        let second_grant = SecondGrant::default();
        let mut context = Context { pass_id, trigger, now, deadline, last_round: false, second_grant };

        let mut unsettled = Vec::new();
        let mut unverified = None;
        if !request.dry_run {
            let verify = matches!(trigger, Trigger::Start | Trigger::Manual | Trigger::Command)
                || state.verified_at.is_none_or(|at| at.elapsed() >= self.verify_interval);
            let prepared = timeout_at(began + PREPARE, async {
                unsettled = self.settle(&context).await?;
                let verified = if verify { Some(self.verify(&context).await?) } else { None };
                Ok::<_, store::Error>(verified)
            });
            match prepared.await {
                Ok(verified) => match verified? {
                    Some(Ok(())) => state.verified_at = Some(Instant::now()),
                    Some(Err(error)) => unverified = Some(error.to_string()),
                    None => {}
                },
                Err(_) => unverified = Some("it took too long".to_owned()),
            }
        }

        let scope = match &request.sources {
            sources if sources.is_empty() => Scope::All,
            sources => Scope::Sources(sources.clone()),
        };
        for round in 1..=ROUNDS {
            (context.now, context.last_round) = (clock::now(), round == ROUNDS);
            let observed = timeout_at(began + OBSERVE, self.observe(context.now, &scope, &unsettled)).await;
            let Ok(world) = observed else {
                self.note_unobserved(&mut report);
                break;
            };
            let world = world?;
            context.second_grant = world.second_grant;
            let decided = plan(context.now, &self.settings, &world, request.allow_mass_revocation);
            report.take_decisions(&decided);
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
            match timeout_at(began + STOP, self.execute(&context, decided, &mut report)).await {
                Ok(learned) => {
                    if !learned? {
                        break;
                    }
                }
                Err(_) => {
                    note_undone(&mut report, &undone);
                    break;
                }
            }
        }
        if let Some(error) = unverified {
            report.unknown.push(UnknownEntry(Unknown { about: Asked::GrantList, error }));
        }
        report.finished_at = clock::now();
        if !request.dry_run {
            self.conclude(&mut state, &report, scope == Scope::All, began.elapsed()).await?;
        }
        Ok(report)
    }

    /// Keeps the report, measures the pass, and says what an operator must know.
    async fn conclude(
        &self,
        state: &mut PassState,
        report: &PassReport,
        full: bool,
        took: Duration,
    ) -> Result<(), store::Error> {
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
        if full {
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

    fn note_unobserved(&self, report: &mut PassReport) {
        let sources: BTreeSet<Source> = self.settings.rules.iter().flat_map(|rule| rule.sources()).collect();
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
        let is_this = |other: &crate::model::Grant| {
            (&other.account_id, &other.resource_id, other.window)
                == (&grant.account_id, &grant.resource_id, grant.window)
        };
        if !done.iter().any(is_this) && !report.failed.iter().any(|failure| is_this(&failure.grant)) {
            let error = "the pass ran out of time".to_owned();
            report.failed.push(Failure { action, grant: grant.clone(), error });
        }
    }
}

/// How long ago `at` was; zero if it lies ahead.
pub(crate) fn since(at: DateTime<Utc>) -> Duration {
    (clock::now() - at).to_std().unwrap_or_default()
}
