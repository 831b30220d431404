//! Finds out what became of writes without an answer, and recognises their grants in strongDM.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Context;
use crate::{
    model::{AuditAction, AuditOutcome, FOREVER, ForeignGrant, Grant, GrantId, Pair, Window},
    store::{self, LedgerEntry, SharedStore, State},
    strongdm::{Client, RemoteGrant},
};

/// Whether the outcome of a write is known by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    Settled,
    /// strongDM does not answer; the row keeps its state.
    Unanswered,
}

/// Settles every row whose last write has no known outcome.
pub(super) async fn all(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
) -> Result<(), store::Error> {
    for entry in store.ledger(context.now).await? {
        let settlement = match entry.state {
            State::Creating => creation(store, strongdm, context, &entry).await?,
            State::Revoking => revocation(store, strongdm, context, &entry).await?,
            State::Lost | State::Live | State::Ended => Settlement::Settled,
        };
        // One unanswered question is enough to know that strongDM does not answer now.
        if settlement == Settlement::Unanswered {
            break;
        }
    }
    Ok(())
}

/// Looks for the grant of a creation without an answer: adopts it, or marks it lost so that it can be made anew.
pub(super) async fn creation(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
    entry: &LedgerEntry,
) -> Result<Settlement, store::Error> {
    let grant = &entry.own.grant;
    let Ok(remote) = strongdm.grants_of(&grant.account_id, &grant.resource_id).await else {
        return Ok(Settlement::Unanswered);
    };
    if !adopt(store, context, entry, &remote).await? {
        store.settle_lost(entry.own.row).await?;
    }
    Ok(Settlement::Settled)
}

async fn revocation(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
    entry: &LedgerEntry,
) -> Result<Settlement, store::Error> {
    let Some(id) = &entry.own.grant.id else { return Ok(Settlement::Settled) };
    match strongdm.get_grant(id).await {
        Ok(Some(_)) => store.settle_kept(context.proof(), entry.own.row).await?,
        Ok(None) => {
            let audit = context.audit(
                AuditAction::Revoke,
                AuditOutcome::Done,
                &entry.own.grant,
                "found gone after an unclear answer",
            );
            store.settle_ended(entry.own.row, context.now, &audit).await?;
        }
        Err(_) => return Ok(Settlement::Unanswered),
    }
    Ok(Settlement::Settled)
}

/// Takes the grant that an unanswered creation made as ours: the same account, resource and window, not ours yet, and
/// not seen before we asked for it. False if there is none.
pub(crate) async fn adopt(
    store: &SharedStore,
    context: &Context<'_>,
    entry: &LedgerEntry,
    remote: &[RemoteGrant],
) -> Result<bool, store::Error> {
    let seen_before: BTreeSet<GrantId> = store
        .foreign_grants()
        .await?
        .into_iter()
        .filter(|(_, first_seen)| *first_seen < entry.intended_at)
        .map(|(foreign, _)| foreign.id)
        .collect();
    for found in remote.iter().filter(|found| is_that(found, &entry.own.grant)) {
        if seen_before.contains(&found.id) || store.is_ours(&found.id).await? {
            continue;
        }
        let grant = Grant { id: Some(found.id.clone()), ..entry.own.grant.clone() };
        let audit = context.audit(
            AuditAction::Adopt,
            AuditOutcome::Done,
            &grant,
            "made by a call whose answer was lost",
        );
        if store.settle_created(entry.own.row, &found.id, &audit).await? {
            tracing::info!("found the grant of a lost answer again: {grant}");
        }
        return Ok(true);
    }
    Ok(false)
}

fn is_that(found: &RemoteGrant, grant: &Grant) -> bool {
    let RemoteGrant { id: _, account, resource, start, end } = found;
    *account == grant.account_id
        && *resource == grant.resource_id
        && *start == Some(grant.window.start())
        && *end == Some(grant.window.end())
}

/// A listed grant as somebody else's, if it has not ended; one without an end reaches to [`FOREVER`].
pub(crate) fn as_foreign(found: &RemoteGrant, now: DateTime<Utc>) -> Option<ForeignGrant> {
    let RemoteGrant { id, account, resource, start, end } = found.clone();
    let window = Window::new(start.unwrap_or(now), end.unwrap_or(FOREVER))?;
    (window.end() > now).then_some(ForeignGrant { id, pair: Pair { account, resource }, window })
}
