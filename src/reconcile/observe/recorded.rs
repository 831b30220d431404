//! What our own store tells of the world, read for each decision.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::{
    model::{Asked, Fault, IncidentId, OwnGrant, Pair, Unknown},
    reconcile::{facts::DUE_REVOCATIONS, probe, world::Recorded},
    store::{self, OpenRows, SharedStore, State, UnreadableRow},
};

/// What the ledger tells.
#[derive(Debug, Default)]
struct Ledger {
    ours: Vec<OwnGrant>,
    unsettled: Vec<Pair>,
    unreadable: Vec<Unknown>,
}

impl From<OpenRows> for Ledger {
    fn from(open: OpenRows) -> Self {
        // Nobody knows what became of the grants of unreadable rows either.
        let mut unsettled: Vec<Pair> = open.unreadable.iter().map(|row| row.pair.clone()).collect();
        let mut ours = Vec::with_capacity(open.entries.len());
        for entry in open.entries {
            let grant = &entry.own.grant;
            if matches!(entry.state, State::Creating | State::Revoking) {
                unsettled.push(grant.pair());
            }
            if grant.id.is_some() {
                ours.push(entry.own);
            }
        }
        Self { ours, unsettled, unreadable: open.unreadable.into_iter().map(unreadable).collect() }
    }
}

/// The ledger, read while PagerDuty is asked, for the decision that follows: to read thousands of rows takes longer than all
/// else that it needs.
#[derive(Debug)]
pub(crate) struct LedgerAhead {
    version: i64,
    /// For which instant it was read: what had ended by then is not in it.
    at: DateTime<Utc>,
    /// When the first of its windows ends.
    until: Option<DateTime<Utc>>,
    ledger: Ledger,
}

impl LedgerAhead {
    /// None where nobody could tell later whether it is still right.
    pub(crate) async fn read(store: &SharedStore, now: DateTime<Utc>) -> Result<Option<Self>, store::Error> {
        // First, so that a change meanwhile makes it another one.
        let Some(version) = store.ledger_version().await? else { return Ok(None) };
        let open = store.open_rows(now).await?;
        if !open.unreadable.is_empty() {
            return Ok(None);
        }
        let until = open.entries.iter().map(|entry| entry.own.grant.window.end()).min();
        let mut ledger = Ledger::from(open);
        // So that the planner finds them in its order.
        ledger.ours.sort_unstable_by(|one, other| one.by_pair().cmp(&other.by_pair()));
        Ok(Some(Self { version, at: now, until, ledger }))
    }

    /// The same, unless anything has changed since.
    async fn if_unchanged(
        self,
        store: &SharedStore,
        now: DateTime<Utc>,
    ) -> Result<Option<Ledger>, store::Error> {
        let is_unchanged = store.ledger_version().await? == Some(self.version);
        // A clock that was set back meanwhile brings windows back, too.
        let same_windows = self.at <= now && self.until.is_none_or(|until| now < until);
        Ok(Some(self.ledger).filter(|_| is_unchanged && same_windows))
    }
}

async fn ledger(
    store: &SharedStore,
    now: DateTime<Utc>,
    ahead: Option<LedgerAhead>,
) -> Result<Ledger, store::Error> {
    if let Some(ahead) = ahead
        && let Some(ledger) = ahead.if_unchanged(store, now).await?
    {
        return Ok(ledger);
    }
    Ok(store.open_rows(now).await?.into())
}

/// Everything at once, since somebody may be waiting for access. Of parts in incidents, all that may matter still, and
/// those in `incidents`. The ledger is as `ahead` has it, if that is still right.
pub(crate) async fn read(
    store: &SharedStore,
    now: DateTime<Utc>,
    incidents: &BTreeSet<IncidentId>,
    ahead: Option<LedgerAhead>,
) -> Result<Recorded, store::Error> {
    let (ledger, foreign, second_grant, refusals, altered, parts, due) = tokio::try_join!(
        ledger(store, now, ahead),
        store.foreign_grants(),
        probe::second_grant(store, now),
        store.refusals(now),
        store.altered(now),
        store.incident_parts(now, incidents),
        DUE_REVOCATIONS.read(store, now),
    )?;
    let Ledger { ours: ledger, unsettled, unreadable } = ledger;
    let foreign = foreign.into_iter().map(|(foreign, _)| foreign).collect();
    let due = due.unwrap_or_default();
    Ok(Recorded { ledger, foreign, unsettled, unreadable, second_grant, refusals, altered, parts, due })
}

/// A row of the ledger that cannot be read, as a question without an answer.
fn unreadable(UnreadableRow { row, pair, error }: UnreadableRow) -> Unknown {
    let number = row.number();
    let error =
        format!("row {number} of the ledger cannot be read, so nothing is done about its pair: {error}");
    let remedy = "if replicas of a later version run, it passes with the upgrade of this one; otherwise mend the row by \
                  hand, or wait for the end of its window";
    Unknown::new(Asked::Write(pair), Fault { error, remedy: remedy.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        model::{Grant, NewGrant},
        reconcile::plan::tests::builders::{at, own},
        store::{Duty, sqlite::Sqlite},
    };

    #[tokio::test]
    async fn what_was_read_ahead_holds_until_something_changes() {
        let store: SharedStore = Arc::new(Sqlite::in_memory().await.unwrap());
        let lease = store.try_lease(Duty::Passes, Duration::from_mins(10), "").await.unwrap().unwrap();
        let ahead = async || LedgerAhead::read(&store, at(1)).await.unwrap();
        let unsettled = async |ahead: Option<LedgerAhead>, now| {
            read(&store, at(now), &BTreeSet::new(), ahead).await.unwrap().unsettled
        };
        let OwnGrant { grant, causes, row: _ } = own(1, "day", 0, 100);
        let pair = [grant.pair()];
        let new = NewGrant { grant: Grant { id: None, ..grant }, causes };
        let of_nothing = ahead().await;
        let row = store.intend_create(&lease, &new, at(1)).await.unwrap().unwrap();
        assert_eq!(unsettled(of_nothing, 1).await, pair, "a row came");

        // Nobody else can see whether it is read again.
        let emptied = async || {
            let mut ahead = ahead().await.unwrap();
            ahead.ledger.unsettled.clear();
            Some(ahead)
        };
        assert!(unsettled(emptied().await, 99).await.is_empty(), "it is not");
        assert_eq!(unsettled(emptied().await, 0).await, pair, "the clock was set back");
        assert!(unsettled(ahead().await, 100).await.is_empty(), "its window ended");

        let of_intent = ahead().await;
        store.settle_lost(row).await.unwrap();
        assert!(unsettled(of_intent, 1).await.is_empty(), "a row changed");
    }
}
