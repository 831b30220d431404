//! Finds out what became of writes without an answer, and recognises their grants in strongDM.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{
    Context,
    made::{self, Creation, Made},
};
use crate::{
    model::{AuditAction, AuditOutcome, FOREVER, Fault, ForeignGrant, Grant, GrantId, Pair, Window},
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

/// How late a call can take effect whose answer was lost. What turns up later was made by somebody else. The row stays
/// until its window ends all the same: a replica that was frozen may yet settle it.
///
/// It stays also once the same window was made under another row. What a call that is late by minutes leaves then is a
/// second grant that nobody would take back; only this row can tell that it is ours. strongDM lists no times of creation,
/// so nothing tells it from one that somebody else makes in these minutes for the same window to the second.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// By how much the start can differ that strongDM gives a grant whose start lies in the past: it becomes its now, when it
/// carries the call out. A call takes half a minute at most, and clocks differ.
const MOVED: TimeDelta = TimeDelta::minutes(1);

/// Whether a grant that turns up at `now` cannot come from the creation of this row any more.
pub(crate) fn is_too_late(entry: &LedgerEntry, now: DateTime<Utc>) -> bool {
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
        .filter(|(_, first_seen)| *first_seen < entry.intended_at)
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

/// How much a listed grant is like the one that a creation asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// The window that was asked for.
    Exact,
    /// What strongDM may have made of it, in a way that nobody else would hit: the same end, and a start at the moment of
    /// the call; or a start in the second in which we asked, and some end.
    Certain,
    /// What strongDM or somebody else may have made.
    Vague,
}

impl Likeness {
    fn of(found: &RemoteGrant, entry: &LedgerEntry) -> Option<Self> {
        let RemoteGrant { id: _, account, resource, start, end, groups } = found;
        let LedgerEntry { own, state: _, intended_at } = entry;
        let (grant, asked) = (&own.grant, own.grant.window);
        if *account != grant.account_id || *resource != grant.resource_id {
            return None;
        }
        let (is_start, is_end) = (*start == Some(asked.start()), *end == Some(asked.end()));
        let is_moved = asked.start() <= *intended_at
            && start.is_some_and(|start| asked.start() <= start && start - intended_at <= MOVED);
        let is_our_second = is_start && asked.start() == intended_at.trunc_subsecs(0);
        // Whoever else makes a grant for the same window hardly makes it with our groups.
        let has_groups = groups.as_ref().is_none_or(|groups| *groups == grant.kubernetes_groups);
        match (is_start, is_end) {
            _ if !has_groups && (is_start || is_moved) => Some(Self::Vague),
            (true, true) => Some(Self::Exact),
            (false, true) if is_moved => Some(Self::Certain),
            (true, false) if is_our_second && end.is_some() => Some(Self::Certain),
            _ if is_start || is_moved => Some(Self::Vague),
            _ => None,
        }
    }
}

/// What is told of a grant that nothing proves to be ours.
fn perhaps(found: &RemoteGrant) -> Fault {
    let id = &found.id;
    let end = match found.end {
        Some(end) => format!("ends at {}", end.format("%FT%TZ")),
        None => "has no end".to_owned(),
    };
    Fault {
        error: format!(
            "strongDM has the grant {id}, which {end}; it may come from a call of ours whose answer was lost, but nothing \
             proves that, so it is left alone"
        ),
        remedy: format!("unless somebody else made {id}, remove it in strongDM"),
    }
}

/// A listed grant as somebody else's, if it has not ended; one without an end reaches to [`FOREVER`].
pub(crate) fn as_foreign(found: &RemoteGrant, now: DateTime<Utc>) -> Option<ForeignGrant> {
    let RemoteGrant { id, account, resource, start, end, groups } = found.clone();
    let window = Window::new(start.unwrap_or(now), end.unwrap_or(FOREVER))?;
    (window.end() > now).then_some(ForeignGrant {
        id,
        pair: Pair { account, resource },
        window,
        groups: groups.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::model::{KubernetesGroups, OwnGrant};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    /// A creation from second to second that we decided on half a second after second 0.
    fn entry(state: State, start: i64, end: i64) -> LedgerEntry {
        let grant = Grant {
            id: None,
            email: "ana@example.com".parse().unwrap(),
            name: None,
            account_id: "a-1".into(),
            resource: "db".to_owned(),
            resource_id: "rs-1".into(),
            window: Window::new(at(start), at(end)).unwrap(),
            kubernetes_groups: KubernetesGroups::default(),
            rules: Vec::new(),
        };
        let own = OwnGrant { row: 1.into(), grant, causes: Vec::new() };
        LedgerEntry { own, state, intended_at: at(0) + TimeDelta::milliseconds(500) }
    }

    #[test]
    fn a_lost_creation_takes_effect_within_minutes_or_never() {
        let after = |minutes| at(1) + TimeDelta::minutes(minutes);
        assert!(!is_too_late(&entry(State::Lost, 0, 60), after(4)));
        assert!(is_too_late(&entry(State::Lost, 0, 60), after(5)));
        assert!(!is_too_late(&entry(State::Creating, 0, 60), after(600)), "nobody has looked for it yet");
    }

    #[test]
    fn only_what_nobody_else_would_have_made_is_taken_for_ours() {
        use Likeness::{Certain, Exact, Vague};
        let in_groups = Cell::new(false);
        let like = |asked: (i64, i64), start, end: Option<i64>| {
            let (account, resource) = ("a-1".into(), "rs-1".into());
            let (start, end) = (Some(at(start)), end.map(at));
            let groups = Some(in_groups.get().then_some("admin").into_iter().collect());
            let found = RemoteGrant { id: "ag-1".into(), account, resource, start, end, groups };
            Likeness::of(&found, &entry(State::Creating, asked.0, asked.1))
        };
        let now = (0, 3600);
        assert_eq!(like(now, 0, Some(3600)), Some(Exact));
        assert_eq!(like(now, 20, Some(3600)), Some(Certain), "moved to when the call was carried out");
        assert_eq!(like(now, 60, Some(3600)), Some(Certain));
        assert_eq!(like(now, 61, Some(3600)), None);
        assert_eq!(like(now, -1, Some(3600)), None, "it began before we asked");
        assert_eq!(like(now, 0, Some(60)), Some(Certain), "ends early");
        assert_eq!(like(now, 0, Some(9999)), Some(Certain), "ends late");
        assert_eq!(like(now, 0, None), Some(Vague), "without an end nothing is sure");
        assert_eq!(like(now, 20, Some(60)), Some(Vague));
        assert_eq!(like(now, 20, None), Some(Vague));
        // Whatever begins on the hour may be anybody's.
        let later = (600, 3600);
        assert_eq!(like(later, 600, Some(3600)), Some(Exact));
        assert_eq!(like(later, 600, Some(1200)), Some(Vague));
        assert_eq!(like(later, 600, None), Some(Vague));
        assert_eq!(like(later, 20, Some(3600)), None, "no start in the past was asked for");
        assert_eq!(like((-30, 3600), -30, Some(60)), Some(Vague), "not the second in which we asked");
        in_groups.replace(true);
        assert_eq!(like(now, 0, Some(3600)), Some(Vague), "in groups that we did not ask for");
    }
}
