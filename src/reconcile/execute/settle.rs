//! Finds out what became of writes without an answer, and recognises their grants in strongDM.

use std::collections::BTreeSet;

use super::{
    Context,
    likeness::{Likeness, is_too_late, perhaps},
    made::{self, Creation, Made},
};
use crate::{
    model::{AuditAction, AuditOutcome, Fault, Grant, GrantId},
    store::{self, LedgerEntry, SharedStore, State},
    strongdm::{self, Client, RemoteGrant},
};

/// Whether the outcome of a write is known by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    Settled,
    /// strongDM refuses to tell about this one; the row keeps its state.
    Refused,
    /// strongDM does not answer; the row keeps its state.
    Unanswered,
}

impl From<strongdm::Error> for Settlement {
    fn from(error: strongdm::Error) -> Self {
        use strongdm::Error;
        match error {
            Error::NotFound(_)
            | Error::InvalidArgument(_)
            | Error::PermissionDenied { .. }
            | Error::AlreadyExists(_)
            | Error::Refused(_) => Self::Refused,
            Error::Unauthenticated(_)
            | Error::RateLimited { .. }
            | Error::Unavailable(_)
            | Error::Unclear(_)
            | Error::TooMany { .. }
            | Error::Invalid(_) => Self::Unanswered,
        }
    }
}

/// Settles every row whose last write has no known outcome.
pub(super) async fn all(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
) -> Result<(), store::Error> {
    for entry in store.ledger(context.now).await? {
        let settlement = match entry.state {
            State::Creating => creation(store, strongdm, context, &entry).await?.settlement(),
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

/// What was found of a creation whose answer was lost.
#[derive(Debug)]
pub(crate) enum Found {
    /// Its grant, which is ours now.
    Made(Made),
    /// A grant that may be its one, though nothing proves that: it is left alone.
    Perhaps(Fault),
    Nothing,
    /// strongDM did not say; the row keeps its state.
    Untold(Settlement),
}

impl Found {
    fn settlement(&self) -> Settlement {
        match self {
            Self::Untold(settlement) => *settlement,
            Self::Made(_) | Self::Perhaps(_) | Self::Nothing => Settlement::Settled,
        }
    }
}

/// Looks for the grant of a creation without an answer: adopts it, or marks it lost so that it can be made anew.
pub(super) async fn creation(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
    entry: &LedgerEntry,
) -> Result<Found, store::Error> {
    let grant = &entry.own.grant;
    let remote = match strongdm.grants_of(&grant.account_id, &grant.resource_id).await {
        Ok(remote) => remote,
        Err(error) => return Ok(Found::Untold(error.into())),
    };
    let found = adopt(store, strongdm, context, entry, &remote).await?;
    if !matches!(found, Found::Made(_)) {
        store.settle_lost(entry.own.row).await?;
    }
    Ok(found)
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
        Err(error) => return Ok(error.into()),
    }
    Ok(Settlement::Settled)
}

/// Takes the grant that an unanswered creation made as ours: see [`Likeness`]; not ours yet, and not seen before we asked
/// for it. Finds nothing if it comes too late to be that one.
pub(crate) async fn adopt(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
    entry: &LedgerEntry,
    remote: &[RemoteGrant],
) -> Result<Found, store::Error> {
    if is_too_late(entry, context.now) {
        return Ok(Found::Nothing);
    }
    let seen_before: BTreeSet<GrantId> = store
        .foreign_grants()
        .await?
        .into_iter()
        // In the same millisecond nobody knows; then rather not.
        .filter(|(_, first_seen)| *first_seen <= entry.intended_at)
        .map(|(foreign, _)| foreign.id)
        .collect();
    let mut alike: Vec<(Likeness, &RemoteGrant)> =
        remote.iter().filter_map(|found| Some((Likeness::of(found, entry)?, found))).collect();
    alike.sort_by_key(|(likeness, _)| *likeness);
    for (likeness, found) in alike {
        if seen_before.contains(&found.id) || store.is_ours(&found.id).await? {
            continue;
        }
        if likeness == Likeness::Vague {
            let fault = perhaps(found);
            tracing::error!("{fault}: {}", context.tell(&entry.own.grant.to_string()));
            let grant = Grant { id: Some(found.id.clone()), ..entry.own.grant.clone() };
            let (action, outcome) = (AuditAction::Adopt, AuditOutcome::Unclear);
            store.audit(&context.audit(action, outcome, &grant, &fault.to_string())).await?;
            return Ok(Found::Perhaps(fault));
        }
        let (action, reason) = (AuditAction::Adopt, "made by a call whose answer was lost");
        let creation = Creation { row: entry.own.row, asked: &entry.own.grant, action, reason };
        return made::settle(store, strongdm, context, creation, found).await.map(Found::Made);
    }
    Ok(Found::Nothing)
}
