//! Finds out what became of writes without an answer, and recognises their grants in strongDM.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::Context;
use crate::{
    model::{AuditAction, AuditOutcome, FOREVER, ForeignGrant, Grant, GrantId, Pair, Window},
    store::{self, LedgerEntry, SharedStore, State},
    strongdm::{self, Client, RemoteGrant},
};

/// Whether the outcome of a write is known by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
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

/// How late a call can take effect whose answer was lost. What turns up later was made by somebody else. The row stays
/// until its window ends all the same: a replica that was frozen may yet settle it.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// Whether a grant that turns up at `now` cannot come from the creation of this row any more.
fn is_too_late(entry: &LedgerEntry, now: DateTime<Utc>) -> bool {
    entry.state == State::Lost && now - entry.intended_at > LATE
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
    let remote = match strongdm.grants_of(&grant.account_id, &grant.resource_id).await {
        Ok(remote) => remote,
        Err(error) => return Ok(error.into()),
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
        Err(error) => return Ok(error.into()),
    }
    Ok(Settlement::Settled)
}

/// Takes the grant that an unanswered creation made as ours: the same account, resource and window, not ours yet, and
/// not seen before we asked for it. False if there is none, or if it comes too late to be that one.
pub(crate) async fn adopt(
    store: &SharedStore,
    context: &Context<'_>,
    entry: &LedgerEntry,
    remote: &[RemoteGrant],
) -> Result<bool, store::Error> {
    if is_too_late(entry, context.now) {
        return Ok(false);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OwnGrant;

    #[test]
    fn a_lost_creation_takes_effect_within_minutes_or_never() {
        let grant = Grant {
            id: None,
            email: "ana@example.com".parse().unwrap(),
            account_id: "a-1".into(),
            resource: "db".to_owned(),
            resource_id: "rs-1".into(),
            window: Window::new(DateTime::UNIX_EPOCH, FOREVER).unwrap(),
            rules: Vec::new(),
        };
        let own = OwnGrant { row: 1.into(), grant, causes: Vec::new() };
        let entry = |state| LedgerEntry { own: own.clone(), state, intended_at: DateTime::UNIX_EPOCH };
        let after = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        assert!(!is_too_late(&entry(State::Lost), after(5)));
        assert!(is_too_late(&entry(State::Lost), after(6)));
        assert!(!is_too_late(&entry(State::Creating), after(600)), "nobody has looked for it yet");
    }
}
