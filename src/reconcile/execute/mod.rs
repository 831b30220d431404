//! Carries out a plan: each write once, intended in the store before the call and settled after it. Nothing is
//! chosen here.

mod audited;
mod brake;
mod context;
mod likeness;
mod made;
mod round;
mod second_grant;
mod settle;
mod stored;

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

pub(super) use self::{
    context::Context,
    likeness::{as_foreign, is_too_late},
    made::{has_other_terms, settle_terms},
    round::{Executed, Round},
    settle::{Found, adopt},
};

use self::{
    audited::AuditedFailures,
    brake::Brake,
    made::{Creation, Made},
    second_grant::Refused,
};
use super::{
    facts::{LEARNED_FOR, SECOND_GRANT},
    observe::cache::Cache,
    plan::{Action, PairActions, Queue, Revocation, Urgency},
    probe,
    report::{Attempt, Failure, OUT_OF_TIME, PassReport},
    turns::Turn,
};
use crate::{
    clock,
    metrics::{ByAction, Metrics},
    model::{AuditAction, AuditOutcome, Fault, ForeignGrant, Grant, GrantId, LedgerRow, NewGrant, Window},
    store::{self, LedgerEntry, SharedStore, State},
    strongdm::{self, Error, RemoteGrant},
};

/// Pairs that are written to at once; strongDM's documented budget is some hundred writes a minute.
const PAIRS_AT_ONCE: usize = 4;

/// Why a write was not begun: the lease on passes, or the row, is no longer as it was.
const TAKEN_OVER: &str = "another replica took over";

/// Writes to strongDM.
#[derive(Debug)]
pub(super) struct Executor {
    store: SharedStore,
    strongdm: strongdm::Client,
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
    audited: AuditedFailures,
    brake: Brake,
}

/// What came of the actions of one account and resource.
#[derive(Debug, Default)]
struct Outcome {
    created: Vec<Grant>,
    revoked: Vec<Grant>,
    failed: Vec<Failure>,
    /// Something was learned that may change the plan.
    learned: bool,
}

/// What came of one write.
enum Written {
    Done(Grant),
    /// Done in part; the next plan knows which, and when to ask for the rest.
    InPart(Grant),
    /// Refused in a way that taught us something; the next plan takes it into account.
    Learned(Fault),
    Failed(Fault),
}

impl Executor {
    pub(super) fn new(
        store: SharedStore,
        strongdm: strongdm::Client,
        cache: Arc<Cache>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { store, strongdm, cache, metrics, audited: AuditedFailures::default(), brake: Brake::default() }
    }

    /// Finds out what became of every write that has no known outcome, as far as strongDM answers.
    pub(super) async fn settle(&self, context: &Context<'_>) -> Result<(), store::Error> {
        settle::all(&self.store, &self.strongdm, context).await
    }

    /// Lets a failure that comes back be audited again.
    pub(super) fn forget_failures(&self) {
        self.audited.forget();
        self.brake.forget();
    }

    /// Carries out the writes of a plan, begun in its order, and records them in `report`. Begins no more of them once
    /// somebody else wants the turn, but at least one.
    pub(super) async fn execute(
        &self,
        context: &Context<'_>,
        round: &Round,
        turn: &Turn<'_>,
        report: &mut PassReport,
    ) -> Result<Executed, store::Error> {
        let (pairs, at_once) = self.brake.begin(&round.plan.pairs, PAIRS_AT_ONCE);
        let mut queue = Queue::new(pairs);
        let mut running = FuturesUnordered::new();
        let mut executed = Executed::Done;
        let mut error = None;
        let (mut begun, mut left) = (0, None);
        loop {
            while running.len() < at_once
                && left.is_none()
                && let Some(next) = queue.next()
            {
                left = self.reason_to_stop(turn, next.writes, begun);
                if left.is_none() {
                    begun += 1;
                    running.push(async move { (self.execute_pair(context, round, next.writes).await, next) });
                }
            }
            let Some((outcome, ended)) = running.next().await else { break };
            match outcome {
                Ok(outcome) => {
                    report.created.extend(outcome.created);
                    report.revoked.extend(outcome.revoked);
                    report.failed.extend(outcome.failed);
                    if outcome.learned {
                        // What follows was planned without knowing this.
                        executed = Executed::PlanAgain;
                    } else {
                        queue.finish(&ended);
                    }
                }
                Err(failed) => error = Some(failed),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        if executed == Executed::Done
            && let Some(left) = left
        {
            return Ok(left);
        }
        // Last, since nobody waits for it.
        self.store.relabel(&round.plan.relabelled).await?;
        Ok(executed)
    }

    /// Why `next` and what follows is left for another turn, if it is. `begun` says how many were begun in this one.
    fn reason_to_stop(&self, turn: &Turn<'_>, next: &PairActions, begun: usize) -> Option<Executed> {
        let turn_is_over = begun > 0 && turn.is_over();
        match next.urgency {
            Urgency::Missing | Urgency::Ending => turn_is_over.then_some(Executed::TurnIsOver),
            Urgency::Coming(_) => {
                let low_until = self.strongdm.writes_low_until();
                (turn_is_over || low_until.is_some()).then_some(Executed::OnlyComing(low_until))
            }
        }
    }

    async fn execute_pair(
        &self,
        context: &Context<'_>,
        round: &Round,
        pair: &PairActions,
    ) -> Result<Outcome, store::Error> {
        let mut outcome = Outcome::default();
        let mut undone: Vec<Window> = Vec::new();
        for step in &pair.actions {
            let window = step.grant().window;
            if step.waits_for(&undone, round.planned_with) {
                undone.push(window);
                continue;
            }
            let attempt = Attempt::from(step);
            let action = attempt.as_str();
            let result = match self.write(context, round, step).await? {
                Written::Done(grant) => {
                    match step {
                        Action::Create(_) => outcome.created.push(grant),
                        Action::Revoke(_) => outcome.revoked.push(grant),
                    }
                    "done"
                }
                Written::InPart(grant) => {
                    undone.push(window);
                    if round.is_last {
                        // Nothing in this pass knows any more when to ask for the rest.
                        let (grant, error) = (step.grant().clone(), "only a part of it was granted".into());
                        outcome.failed.push(Failure { action: attempt, grant, error });
                    }
                    outcome.created.push(grant);
                    outcome.learned = true;
                    "done"
                }
                Written::Learned(_) if !round.is_last => {
                    self.metrics.grant_writes.get_or_create(&ByAction { action, result: "refused" }).inc();
                    // What follows was planned without knowing this.
                    outcome.learned = true;
                    break;
                }
                Written::Learned(error) | Written::Failed(error) => {
                    undone.push(window);
                    outcome.failed.push(Failure { action: attempt, grant: step.grant().clone(), error });
                    "failed"
                }
            };
            self.metrics.grant_writes.get_or_create(&ByAction { action, result }).inc();
        }
        Ok(outcome)
    }

    async fn write(
        &self,
        context: &Context<'_>,
        round: &Round,
        step: &Action,
    ) -> Result<Written, store::Error> {
        if context.lease.is_lost() {
            return Ok(Written::Failed(TAKEN_OVER.into()));
        }
        if Instant::now() > round.deadline {
            return Ok(Written::Failed(OUT_OF_TIME.into()));
        }
        if let Some(refused) = self.brake.pulled(Attempt::from(step)) {
            return Ok(Written::Failed(refused));
        }
        match step {
            Action::Create(new) => self.create(context, round, new).await,
            Action::Revoke(revocation) => self.revoke(context, revocation).await,
        }
    }

    async fn create(
        &self,
        context: &Context<'_>,
        round: &Round,
        new: &NewGrant,
    ) -> Result<Written, store::Error> {
        let Grant { account_id, resource_id, .. } = &new.grant;
        let reason = new.causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let Some(row) = self.store.intend_create(context.proof(), new, context.now).await? else {
            return Ok(Written::Failed(TAKEN_OVER.into()));
        };
        let made = self.strongdm.create_grant(account_id, resource_id, &new.grant.terms()).await;
        if made.is_err() {
            self.brake.record(Attempt::Create, new.grant.pair(), &made);
        }
        match made {
            Ok(remote) => {
                let action = AuditAction::Create;
                let creation = Creation { row, asked: &new.grant, action, reason: &reason };
                let made = made::settle(&self.store, &self.strongdm, context, creation, &remote).await?;
                Ok(self.written(&new.grant, made))
            }
            Err(Error::AlreadyExists(words)) => {
                let reason = format!("strongDM refused a second grant ({words})");
                let audit = context.audit(AuditAction::Create, AuditOutcome::Refused, &new.grant, &reason);
                self.store.settle_refused(row, Some(&audit)).await?;
                self.learn_from_refusal(context, round, &new.grant).await
            }
            Err(error @ Error::NotFound(_)) => {
                self.cache.forget(&new.grant.pair());
                self.record_failed_creation(context, row, &new.grant, &error).await?;
                Ok(Written::Learned((&error).into()))
            }
            Err(error) if error.is_unclear() => {
                let audit =
                    context.audit(AuditAction::Create, AuditOutcome::Unclear, &new.grant, &error.to_string());
                if self.audited.is_news(&audit, &error) {
                    self.store.audit(&audit).await?;
                }
                let entry =
                    self.store.ledger(context.now).await?.into_iter().find(|entry| entry.own.row == row);
                self.find_outcome(context, entry, error).await
            }
            Err(error) => {
                self.record_failed_creation(context, row, &new.grant, &error).await?;
                Ok(Written::Failed((&error).into()))
            }
        }
    }

    fn written(&self, asked: &Grant, made: Made) -> Written {
        if let Made::TakenBack(fault) = made {
            self.brake.record_taken_back(asked.pair(), &fault);
            return Written::Failed(fault);
        }
        self.brake.record(Attempt::Create, asked.pair(), &Ok(()));
        match made {
            Made::Whole(grant) => Written::Done(grant),
            Made::Part(grant) => Written::InPart(grant),
            Made::TakenBack(fault) => Written::Failed(fault),
        }
    }

    /// Finds out, after an unclear answer, whether the grant was made all the same.
    async fn find_outcome(
        &self,
        context: &Context<'_>,
        entry: Option<LedgerEntry>,
        error: Error,
    ) -> Result<Written, store::Error> {
        let Some(entry) = entry else { return Ok(Written::Failed((&error).into())) };
        Ok(match settle::creation(&self.store, &self.strongdm, context, &entry).await? {
            Found::Made(made) => self.written(&entry.own.grant, made),
            Found::Perhaps(fault) => {
                Written::Failed(Fault { error: format!("{error}; {}", fault.error), ..fault })
            }
            Found::Nothing | Found::Untold(_) => Written::Failed((&error).into()),
        })
    }

    async fn record_failed_creation(
        &self,
        context: &Context<'_>,
        row: LedgerRow,
        grant: &Grant,
        error: &Error,
    ) -> Result<(), store::Error> {
        let audit = context.audit(AuditAction::Create, AuditOutcome::Failed, grant, &error.to_string());
        self.store.settle_refused(row, self.audited.is_news(&audit, error).then_some(&audit)).await
    }

    async fn revoke(&self, context: &Context<'_>, revocation: &Revocation) -> Result<Written, store::Error> {
        let Revocation { row, grant, .. } = revocation;
        let Some(id) = &grant.id else { return Ok(Written::Failed("the grant has no ID".into())) };
        if !self.store.intend_revoke(context.proof(), *row).await? {
            return Ok(Written::Failed(TAKEN_OVER.into()));
        }
        let removed = self.strongdm.delete_grant(id).await;
        self.brake.record(Attempt::Revoke, grant.pair(), &removed);
        match removed {
            Ok(()) => {
                let why = revocation.audit_reason();
                let audit = context.audit(AuditAction::Revoke, AuditOutcome::Done, grant, &why);
                self.store.settle_ended(*row, context.now, &audit).await?;
                let Grant { email, resource, window, kubernetes_groups, rules, .. } = grant;
                let rules = rules.join(", ");
                let told = format!(
                    "revoked access of {email} to {resource}{kubernetes_groups} {window} (rules: {rules}): {why}"
                );
                tracing::info!(grant.id = %id, "{}", context.tell(&told));
                Ok(Written::Done(grant.clone()))
            }
            Err(error) => {
                // After an unclear answer the row stays as it is, and the next pass looks.
                if !error.is_unclear() {
                    self.store.settle_kept(context.proof(), *row).await?;
                }
                let audit =
                    context.audit(AuditAction::Revoke, AuditOutcome::Failed, grant, &error.to_string());
                if self.audited.is_news(&audit, &error) {
                    self.store.audit(&audit).await?;
                }
                Ok(Written::Failed((&error).into()))
            }
        }
    }

    /// Finds out what made strongDM refuse a second grant, and remembers it.
    async fn learn_from_refusal(
        &self,
        context: &Context<'_>,
        round: &Round,
        grant: &Grant,
    ) -> Result<Written, store::Error> {
        let pair = grant.pair();
        let remote = match self.strongdm.grants_of(&pair.account, &pair.resource).await {
            Ok(remote) => remote,
            Err(error) => {
                return Ok(Written::Failed(format!("a second grant was refused, and then: {error}").into()));
            }
        };
        // The one in the way may be ours: made by a call that reached strongDM after we had given it up for lost.
        let ledger = self.store.ledger(context.now).await?;
        let of_pair = || ledger.iter().filter(|entry| entry.own.grant.joins(&pair));
        for entry in of_pair().filter(|entry| entry.state == State::Lost) {
            if let Found::Made(_) = adopt(&self.store, &self.strongdm, context, entry, &remote).await? {
                return Ok(Written::Learned("an earlier grant turned up".into()));
            }
        }
        let live = of_pair().filter(|entry| entry.state == State::Live);
        let live: BTreeSet<&GrantId> = live.filter_map(|entry| entry.own.grant.id.as_ref()).collect();
        // What has just ended by our clock may not have ended by strongDM's.
        let now = clock::now();
        let in_the_way: Vec<ForeignGrant> =
            remote.iter().filter_map(|found| as_foreign(found, now)).collect();
        let foreign = self.not_ours(&remote, now).await?;
        self.store.set_foreign_grants(context.proof(), Some(&pair), &foreign, now).await?;
        let refused = Refused {
            window: grant.window,
            in_the_way: &in_the_way,
            foreign: &foreign,
            is_ours_in_the_way: in_the_way.iter().any(|found| live.contains(&found.id)),
            known: probe::second_grant(&self.store, now).await?,
            planned_with: round.planned_with,
        };
        let lesson = refused.lesson();
        if let Some(second_grant) = lesson.second_grant {
            SECOND_GRANT.write(&self.store, &second_grant, Some(now + LEARNED_FOR)).await?;
            if lesson.is_new {
                tracing::info!(?second_grant, "learned what strongDM does with a second grant");
            }
        }
        if lesson.needs_pause {
            self.store.remember_refusal(&pair, now).await?;
        }
        Ok(Written::Learned("strongDM refused a second grant".into()))
    }

    async fn not_ours(
        &self,
        remote: &[RemoteGrant],
        now: DateTime<Utc>,
    ) -> Result<Vec<ForeignGrant>, store::Error> {
        let mut foreign = Vec::new();
        let probed = probe::intended(&self.store).await?;
        for found in remote {
            if !self.store.is_ours(&found.id).await? {
                foreign
                    .extend(as_foreign(found, now).filter(|other| !probed.iter().any(|one| one.is(other))));
            }
        }
        Ok(foreign)
    }
}
