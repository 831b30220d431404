//! A row of the ledger as values.

use chrono::{DateTime, Utc};

use crate::model::OwnGrant;

/// What our calls to strongDM came to. It says nothing about time: a row is over once its window has ended, whatever its
/// state, and [`Ledger::ledger`](super::Ledger::ledger) no longer lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// We decided to make the grant; the call may be under way, or its answer never arrived.
    Creating,
    /// We found no such grant after an answer that never arrived. It may still turn up.
    Lost,
    /// strongDM has made the grant, and ends it when its window ends. The row stays in this state.
    Live,
    /// We decided to revoke the grant; the call may be under way, or its answer never arrived.
    Revoking,
    /// strongDM removed the grant before its window ended: we revoked it, or it vanished.
    Ended,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The grant with its row and causes. Its `id` is missing while it is being created or lost.
    pub own: OwnGrant,
    /// What our calls came to.
    pub state: State,
    /// When we decided to make it.
    pub intended_at: DateTime<Utc>,
}
