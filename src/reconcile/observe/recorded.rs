//! What our own store tells of the world. Read before the on-calls, so that the decision is made with the freshest
//! wish.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::{
    model::{Asked, Fault, IncidentId, Pair, Unknown},
    reconcile::{facts::DUE_REVOCATIONS, probe, world::Recorded},
    store::{self, SharedStore, State, UnreadableRow},
};

/// Everything at once, since somebody may be waiting for access. Of parts in incidents, all that may matter still, and those in
/// `incidents`.
pub(crate) async fn read(
    store: &SharedStore,
    now: DateTime<Utc>,
    incidents: &BTreeSet<IncidentId>,
) -> Result<Recorded, store::Error> {
    let (open, foreign, second_grant, refusals, altered, parts, due) = tokio::try_join!(
        store.open_rows(now),
        store.foreign_grants(),
        probe::second_grant(store, now),
        store.refusals(now),
        store.altered(now),
        store.incident_parts(now, incidents),
        DUE_REVOCATIONS.read(store, now),
    )?;
    // Nobody knows what became of their grants either.
    let mut unsettled: Vec<Pair> = open.unreadable.iter().map(|row| row.pair.clone()).collect();
    let mut ledger = Vec::new();
    for entry in open.entries {
        let grant = &entry.own.grant;
        if matches!(entry.state, State::Creating | State::Revoking) {
            unsettled.push(grant.pair());
        }
        if grant.id.is_some() {
            ledger.push(entry.own);
        }
    }
    let foreign = foreign.into_iter().map(|(foreign, _)| foreign).collect();
    let due = due.unwrap_or_default();
    let unreadable = open.unreadable.into_iter().map(unreadable).collect();
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
