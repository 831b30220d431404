//! Carries out a plan: each write once, intended in the store before the call and settled after it. Nothing is
//! chosen here.

mod settle;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use self::settle::as_foreign;
use super::{
    Reconciler,
    facts::{LEARNED_FOR, SECOND_GRANT},
    lease::PassLease,
    pass::OUT_OF_TIME,
    plan::{Action, PairActions, Plan, Revocation},
    report::{Failure, PassReport, Trigger},
};
use crate::{
    clock,
    metrics::ByAction,
    model::{
        AuditAction, AuditOutcome, Fault, ForeignGrant, Grant, GrantId, LedgerRow, NewGrant, SecondGrant,
        Window,
    },
    store::{self, AuditEntry, LedgerEntry, State},
    strongdm::{Error, RemoteGrant},
};

/// Pairs that are written to at once; strongDM's documented budget is some hundred writes a minute.
const PAIRS_AT_ONCE: usize = 4;

/// Why a write was not begun: the lease on passes, or the row, is no longer as it was.
const TAKEN_OVER: &str = "another replica took over";

/// The pass that a write belongs to.
#[derive(Clone, Debug)]
pub(in crate::reconcile) struct Context {
    pub(in crate::reconcile) pass_id: String,
    pub(in crate::reconcile) trigger: Trigger,
    /// The instant for which the pass decides.
    pub(in crate::reconcile) now: DateTime<Utc>,
    /// No write is begun after it.
    pub(in crate::reconcile) deadline: tokio::time::Instant,
    /// What is learned now is too late for this pass.
    pub(in crate::reconcile) last_round: bool,
    /// What the plan knew about strongDM's way with a second grant.
    pub(in crate::reconcile) planned_with: SecondGrant,
    /// The proof that no other replica runs a pass; without it no write is begun.
    pub(in crate::reconcile) held: Arc<PassLease>,
}

impl Context {
    pub(in crate::reconcile) fn audit(
        &self,
        action: AuditAction,
        outcome: AuditOutcome,
        grant: &Grant,
        reason: &str,
    ) -> AuditEntry {
        AuditEntry {
            at: clock::now(),
            action,
            outcome,
            grant: grant.clone(),
            reason: reason.to_owned(),
            trigger: self.trigger.to_string(),
            pass_id: self.pass_id.clone(),
        }
    }
}

/// What came of the steps of one account and resource.
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
    /// Refused in a way that taught us something; the next plan takes it into account.
    Learned(Fault),
    Failed(Fault),
}

impl Reconciler {
    /// Carries out the writes of `plan` and notes them in `report`. Returns whether something was learned, so that
    /// planning again makes sense.
    pub(in crate::reconcile) async fn execute(
        &self,
        context: &Context,
        plan: Plan,
        report: &mut PassReport,
    ) -> Result<bool, store::Error> {
        let mut outcomes = stream::iter(plan.pairs)
            .map(|pair| self.execute_pair(context, pair))
            .buffer_unordered(PAIRS_AT_ONCE);
        let mut learned = false;
        let mut error = None;
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(outcome) => {
                    report.created.extend(outcome.created);
                    report.revoked.extend(outcome.revoked);
                    report.failed.extend(outcome.failed);
                    learned |= outcome.learned;
                }
                Err(failed) => error = Some(failed),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        // Last, since nobody waits for it.
        self.store.relabel(&plan.relabelled).await?;
        Ok(learned)
    }

    async fn execute_pair(&self, context: &Context, pair: PairActions) -> Result<Outcome, store::Error> {
        let mut outcome = Outcome::default();
        let mut undone: Vec<Window> = Vec::new();
        for step in pair.steps {
            let window = step.grant().window;
            if undone.iter().any(|other| other.overlaps(&window)) {
                undone.push(window);
                continue;
            }
            let (action, grant) = match &step {
                Action::Create(new) => ("create", new.grant.clone()),
                Action::Revoke(revocation) => ("revoke", revocation.grant.clone()),
            };
            let written = if context.held.is_lost() {
                Written::Failed(TAKEN_OVER.into())
            } else if tokio::time::Instant::now() > context.deadline {
                Written::Failed(OUT_OF_TIME.into())
            } else {
                match &step {
                    Action::Create(new) => self.create(context, new).await?,
                    Action::Revoke(revocation) => self.revoke(context, revocation).await?,
                }
            };
            let result = match written {
                Written::Done(grant) => {
                    match step {
                        Action::Create(_) => outcome.created.push(grant),
                        Action::Revoke(_) => outcome.revoked.push(grant),
                    }
                    "done"
                }
                Written::Learned(_) if !context.last_round => {
                    self.metrics.grant_writes.get_or_create(&ByAction { action, result: "refused" }).inc();
                    // What follows was planned without knowing this.
                    outcome.learned = true;
                    break;
                }
                Written::Learned(error) | Written::Failed(error) => {
                    undone.push(window);
                    let Fault { error, remedy } = error;
                    outcome.failed.push(Failure { action, grant, error, remedy });
                    "failed"
                }
            };
            self.metrics.grant_writes.get_or_create(&ByAction { action, result }).inc();
        }
        Ok(outcome)
    }

    async fn create(&self, context: &Context, new: &NewGrant) -> Result<Written, store::Error> {
        let Grant { account_id, resource_id, window, .. } = &new.grant;
        let reason = new.causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let Some(row) = self.store.intend_create(context.held.lease(), new, context.now).await? else {
            return Ok(Written::Failed(TAKEN_OVER.into()));
        };
        match self.strongdm.create_grant(account_id, resource_id, *window).await {
            Ok(remote) => {
                let grant = Grant { id: Some(remote.id.clone()), ..new.grant.clone() };
                let audit = context.audit(AuditAction::Create, AuditOutcome::Done, &grant, &reason);
                self.store.settle_created(row, &remote.id, &audit).await?;
                self.store.forget_refusal(&new.grant.pair()).await?;
                tracing::info!(
                    grant.id = %remote.id,
                    "granted {} access to {} {window}, because of {reason}",
                    grant.email,
                    grant.resource,
                );
                if remote.end.is_none_or(|end| end > window.end()) {
                    return self.undo_endless(context, row, &grant).await;
                }
                Ok(Written::Done(grant))
            }
            Err(Error::AlreadyExists) => {
                let audit = context.audit(
                    AuditAction::Create,
                    AuditOutcome::Refused,
                    &new.grant,
                    "strongDM refused a second grant",
                );
                self.store.settle_refused(row, Some(&audit)).await?;
                self.learn_from_refusal(context, &new.grant).await
            }
            Err(error @ Error::NotFound(_)) => {
                self.cache.forget(&new.grant.pair());
                self.fail_creation(context, row, &new.grant, &error).await?;
                Ok(Written::Learned((&error).into()))
            }
            Err(error) if error.is_unclear() => {
                let audit =
                    context.audit(AuditAction::Create, AuditOutcome::Unclear, &new.grant, &error.to_string());
                self.store.audit(&audit).await?;
                let entry =
                    self.store.ledger(context.now).await?.into_iter().find(|entry| entry.own.row == row);
                self.look_again(context, entry, &error).await
            }
            Err(error) => {
                self.fail_creation(context, row, &new.grant, &error).await?;
                Ok(Written::Failed((&error).into()))
            }
        }
    }

    /// After an unclear answer: whether the grant was made all the same.
    async fn look_again(
        &self,
        context: &Context,
        entry: Option<LedgerEntry>,
        error: &Error,
    ) -> Result<Written, store::Error> {
        let Some(entry) = entry else { return Ok(Written::Failed(error.into())) };
        self.settle_creation(context, &entry).await?;
        let ledger = self.store.ledger(context.now).await?;
        let found = ledger
            .into_iter()
            .find(|settled| settled.own.row == entry.own.row && settled.state == State::Live);
        Ok(found.map_or_else(|| Written::Failed(error.into()), |found| Written::Done(found.own.grant)))
    }

    async fn fail_creation(
        &self,
        context: &Context,
        row: LedgerRow,
        grant: &Grant,
        error: &Error,
    ) -> Result<(), store::Error> {
        let audit = context.audit(AuditAction::Create, AuditOutcome::Failed, grant, &error.to_string());
        self.store.settle_refused(row, self.is_news(&audit).then_some(&audit)).await
    }

    /// A grant that would outlive its window must not stay, whoever is to blame.
    async fn undo_endless(
        &self,
        context: &Context,
        row: LedgerRow,
        grant: &Grant,
    ) -> Result<Written, store::Error> {
        let error = "strongDM answered with another end than the one asked for, so the grant was taken back";
        tracing::error!("{error}: {grant}");
        if let Some(id) = &grant.id {
            // Whoever has the lease by now knows only the end that was asked for.
            self.store.intend_revoke(context.held.lease(), row).await?;
            if self.strongdm.delete_grant(id).await.is_ok() {
                let audit = context.audit(AuditAction::Revoke, AuditOutcome::Done, grant, error);
                self.store.settle_ended(row, context.now, &audit).await?;
            }
        }
        Ok(Written::Failed(error.into()))
    }

    async fn revoke(&self, context: &Context, revocation: &Revocation) -> Result<Written, store::Error> {
        let Revocation { row, grant, .. } = revocation;
        let Some(id) = &grant.id else { return Ok(Written::Failed("the grant has no ID".into())) };
        if !self.store.intend_revoke(context.held.lease(), *row).await? {
            return Ok(Written::Failed(TAKEN_OVER.into()));
        }
        match self.strongdm.delete_grant(id).await {
            Ok(_) => {
                let why = revocation.reason();
                let audit = context.audit(AuditAction::Revoke, AuditOutcome::Done, grant, &why);
                self.store.settle_ended(*row, context.now, &audit).await?;
                let Grant { email, resource, window, rules, .. } = grant;
                tracing::info!(
                    grant.id = %id,
                    "revoked access of {email} to {resource} {window} (rules: {}): {why}",
                    rules.join(", "),
                );
                Ok(Written::Done(grant.clone()))
            }
            Err(error) => {
                // After an unclear answer the row stays as it is, and the next pass looks.
                if !error.is_unclear() {
                    self.store.settle_kept(context.held.lease(), *row).await?;
                }
                let audit =
                    context.audit(AuditAction::Revoke, AuditOutcome::Failed, grant, &error.to_string());
                if self.is_news(&audit) {
                    self.store.audit(&audit).await?;
                }
                Ok(Written::Failed((&error).into()))
            }
        }
    }

    /// Finds out what made strongDM refuse a second grant, and remembers it.
    async fn learn_from_refusal(&self, context: &Context, grant: &Grant) -> Result<Written, store::Error> {
        let (pair, window) = (grant.pair(), &grant.window);
        let remote = match self.strongdm.grants_of(&pair.account, &pair.resource).await {
            Ok(remote) => remote,
            Err(error) => {
                return Ok(Written::Failed(format!("a second grant was refused, and then: {error}").into()));
            }
        };
        // The one in the way may be ours: made by a call that reached strongDM after we had given it up for lost.
        for entry in self.store.ledger(context.now).await? {
            if entry.own.grant.joins(&pair)
                && entry.state == State::Lost
                && self.adopt(context, &entry, &remote).await?
            {
                return Ok(Written::Learned("an earlier grant turned up".into()));
            }
        }
        // What has just ended by our clock may not have ended by strongDM's.
        let now = clock::now();
        let in_the_way: Vec<ForeignGrant> =
            remote.iter().filter_map(|found| as_foreign(found, now)).collect();
        let foreign = self.not_ours(&remote, now).await?;
        self.store.set_foreign_grants(context.held.lease(), Some(&pair), &foreign, now).await?;
        let learned = if in_the_way.is_empty() {
            self.store.remember_refusal(&pair, now).await?;
            None
        } else if in_the_way.iter().any(|other| other.window.overlaps(window)) {
            Some(SecondGrant::RefusedIfOverlapping)
        } else {
            Some(SecondGrant::Refused)
        };
        if let Some(learned) = learned {
            let known = SECOND_GRANT.read(&self.store, now).await?.unwrap_or_default();
            SECOND_GRANT.write(&self.store, &learned.max(known), Some(now + LEARNED_FOR)).await?;
            if learned > known {
                tracing::info!(second_grant = ?learned, "learned what strongDM does with a second grant");
            } else if learned <= context.planned_with && foreign.is_empty() {
                // Nothing new for the planner: without a pause it would try the same again.
                self.store.remember_refusal(&pair, now).await?;
            }
        }
        Ok(Written::Learned("strongDM refused a second grant".into()))
    }

    async fn not_ours(
        &self,
        remote: &[RemoteGrant],
        now: DateTime<Utc>,
    ) -> Result<Vec<ForeignGrant>, store::Error> {
        let mut foreign = Vec::new();
        for found in remote {
            let id: &GrantId = &found.id;
            if !self.store.is_ours(id).await? {
                foreign.extend(as_foreign(found, now));
            }
        }
        Ok(foreign)
    }
}
