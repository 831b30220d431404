//! What our own store tells of the world. Read before the on-calls, so that the decision is made with the freshest
//! wish.

use chrono::{DateTime, Utc};

use crate::{
    reconcile::{
        facts::{DUE_REVOCATIONS, SECOND_GRANT},
        world::Recorded,
    },
    store::{self, SharedStore, State},
};

/// Everything at once, since somebody may be waiting for access.
pub(crate) async fn read(store: &SharedStore, now: DateTime<Utc>) -> Result<Recorded, store::Error> {
    let (entries, foreign, second_grant, refusals, due) = tokio::try_join!(
        store.ledger(now),
        store.foreign_grants(),
        SECOND_GRANT.read(store, now),
        store.refusals(now),
        DUE_REVOCATIONS.read(store, now),
    )?;
    let (mut ledger, mut unsettled) = (Vec::new(), Vec::new());
    for entry in entries {
        let grant = &entry.own.grant;
        if matches!(entry.state, State::Creating | State::Revoking) {
            unsettled.push(grant.pair());
        }
        if grant.id.is_some() {
            ledger.push(entry.own);
        }
    }
    let foreign = foreign.into_iter().map(|(foreign, _)| foreign).collect();
    let (second_grant, due) = (second_grant.unwrap_or_default(), due.unwrap_or_default());
    Ok(Recorded { ledger, foreign, unsettled, second_grant, refusals, due })
}
