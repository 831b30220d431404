//! Finds out what became of writes without an answer, and whether the ledger still agrees with strongDM.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Context;
use crate::{
    clock,
    model::{AuditAction, AuditOutcome, FOREVER, ForeignGrant, Grant, GrantId, Pair, Window},
    reconcile::Reconciler,
    store::{self, LedgerEntry, State},
    strongdm::{self, RemoteGrant},
};

impl Reconciler {
    /// Looks at every row whose last write has no known outcome. Rows keep their state if strongDM does not answer.
    pub(in crate::reconcile) async fn settle(&self, context: &Context) -> Result<(), store::Error> {
        for entry in self.store.ledger(context.now).await? {
            let settled = match entry.state {
                State::Creating => self.settle_creation(context, &entry).await?,
                State::Revoking => self.settle_revocation(context, &entry).await?,
                State::Lost | State::Live | State::Ended => true,
            };
            // One unanswered question is enough to know that strongDM does not answer now.
            if !settled {
                break;
            }
        }
        Ok(())
    }

    /// Looks for the grant of a creation without an answer: adopts it, or marks it lost so that it can be made anew.
    pub(in crate::reconcile) async fn settle_creation(
        &self,
        context: &Context,
        entry: &LedgerEntry,
    ) -> Result<bool, store::Error> {
        let grant = &entry.own.grant;
        let Ok(remote) = self.strongdm.grants_of(&grant.account_id, &grant.resource_id).await else {
            return Ok(false);
        };
        if !self.adopt(context, entry, &remote).await? {
            self.store.settle_lost(entry.own.row).await?;
        }
        Ok(true)
    }

    async fn settle_revocation(&self, context: &Context, entry: &LedgerEntry) -> Result<bool, store::Error> {
        let Some(id) = &entry.own.grant.id else { return Ok(true) };
        match self.strongdm.get_grant(id).await {
            Ok(Some(_)) => self.store.settle_kept(context.held.lease(), entry.own.row).await?,
            Ok(None) => {
                let audit = context.audit(
                    AuditAction::Revoke,
                    AuditOutcome::Done,
                    &entry.own.grant,
                    "found gone after an unclear answer",
                );
                self.store.settle_ended(entry.own.row, context.now, &audit).await?;
            }
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the grant that an unanswered creation made as ours: the same account, resource and window, not ours
    /// yet, and not seen before we asked for it.
    pub(in crate::reconcile) async fn adopt(
        &self,
        context: &Context,
        entry: &LedgerEntry,
        remote: &[RemoteGrant],
    ) -> Result<bool, store::Error> {
        let seen_before: BTreeSet<GrantId> = self
            .store
            .foreign_grants()
            .await?
            .into_iter()
            .filter(|(_, first_seen)| *first_seen < entry.intended_at)
            .map(|(foreign, _)| foreign.id)
            .collect();
        for found in remote.iter().filter(|found| is_that(found, &entry.own.grant)) {
            if seen_before.contains(&found.id) || self.store.is_ours(&found.id).await? {
                continue;
            }
            let grant = Grant { id: Some(found.id.clone()), ..entry.own.grant.clone() };
            let audit = context.audit(
                AuditAction::Adopt,
                AuditOutcome::Done,
                &grant,
                "made by a call whose answer was lost",
            );
            if self.store.settle_created(entry.own.row, &found.id, &audit).await? {
                tracing::info!("found the grant of a lost answer again: {grant}");
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Compares the whole ledger with strongDM's list: what vanished is noted (and made anew if still wanted), what
    /// turned up late or was taken for over is ours to look after again, everything else there is foreign.
    pub(in crate::reconcile) async fn verify(
        &self,
        context: &Context,
    ) -> Result<Result<(), strongdm::Error>, store::Error> {
        let remote = match self.strongdm.all_grants().await {
            Ok(remote) => remote,
            Err(error) => return Ok(Err(error)),
        };
        let listed: BTreeMap<&GrantId, &RemoteGrant> =
            remote.iter().map(|found| (&found.id, found)).collect();
        for entry in self.store.ledger(context.now).await? {
            let grant = &entry.own.grant;
            match (&grant.id, entry.state) {
                (None, State::Lost) => drop(self.adopt(context, &entry, &remote).await?),
                // Pages are separate reads, so a grant missing from the list is asked for itself. One that ends
                // about now may be gone already by strongDM's clock.
                (Some(id), State::Live) if !listed.contains_key(id) => {
                    match self.strongdm.get_grant(id).await {
                        Ok(Some(_)) => {}
                        Ok(None) => {
                            let audit = context.audit(
                                AuditAction::Vanish,
                                AuditOutcome::Done,
                                grant,
                                "strongDM has it no longer",
                            );
                            self.store.settle_ended(entry.own.row, context.now, &audit).await?;
                            if grant.window.end() > clock::now() {
                                tracing::warn!("a grant of ours vanished from strongDM: {grant}");
                            }
                        }
                        Err(error) => return Ok(Err(error)),
                    }
                }
                _ => {}
            }
        }
        let ledger = self.store.ledger(context.now).await?;
        let open: BTreeSet<&GrantId> =
            ledger.iter().filter_map(|entry| entry.own.grant.id.as_ref()).collect();
        let mut foreign = Vec::new();
        for found in &remote {
            if open.contains(&found.id) {
                continue;
            }
            if !self.store.is_ours(&found.id).await? {
                foreign.extend(as_foreign(found, context.now));
                continue;
            }
            if let Err(error) = self.find_again(context, &found.id).await? {
                return Ok(Err(error));
            }
        }
        self.store.set_foreign_grants(context.held.lease(), None, &foreign, context.now).await?;
        Ok(Ok(()))
    }

    /// A listed grant that the ledger takes for over: if it is there indeed, it is ours to look after again, or nobody
    /// would ever take it back.
    async fn find_again(
        &self,
        context: &Context,
        id: &GrantId,
    ) -> Result<Result<(), strongdm::Error>, store::Error> {
        // Another replica may have removed it since it was listed; it was over before we ask.
        match self.strongdm.get_grant(id).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
        if let Some(grant) = self.store.settle_found(id, context.now).await? {
            tracing::warn!("a grant of ours that strongDM had said to be gone is still there: {grant}");
            let audit = context.audit(
                AuditAction::Adopt,
                AuditOutcome::Done,
                &grant,
                "still there although it was said to be gone",
            );
            self.store.audit(&audit).await?;
        }
        Ok(Ok(()))
    }
}

fn is_that(found: &RemoteGrant, grant: &Grant) -> bool {
    let RemoteGrant { id: _, account, resource, start, end } = found;
    *account == grant.account_id
        && *resource == grant.resource_id
        && *start == Some(grant.window.start())
        && *end == Some(grant.window.end())
}

/// Somebody else's grant, if it has not ended; one without an end reaches to [`FOREVER`].
pub(in crate::reconcile) fn as_foreign(found: &RemoteGrant, now: DateTime<Utc>) -> Option<ForeignGrant> {
    let RemoteGrant { id, account, resource, start, end } = found.clone();
    let window = Window::new(start.unwrap_or(now), end.unwrap_or(FOREVER))?;
    (window.end() > now).then_some(ForeignGrant { id, pair: Pair { account, resource }, window })
}
