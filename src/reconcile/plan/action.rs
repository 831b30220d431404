//! The plan as data: what is to be done, in which order, and what was decided not to be done.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{
    Cause, DueRevocations, Email, Grant, LedgerRow, NewGrant, Pair, SecondLook, Skipped, Source, Unknown,
};

/// What is to be done, and what was decided not to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The writes, by account and resource. Different pairs are independent of each other.
    pub pairs: Vec<PairActions>,
    /// Grants that the guard keeps from being revoked.
    pub held: Vec<Grant>,
    /// Grants that go if a second look agrees.
    pub awaiting: Vec<Grant>,
    /// When and where that second look is due.
    pub second_look: Option<SecondLook>,
    /// What the next look must know of this one.
    pub due: DueRevocations,
    /// Windows that wait for the grant in their way.
    pub deferred: Vec<Deferred>,
    /// People, resources and filters that nothing could be done about.
    pub skipped: Vec<Skipped>,
    /// What could not be observed.
    pub unknown: Vec<Unknown>,
    /// Pairs left alone, because an earlier write to them has an unknown outcome.
    pub unsettled: Vec<Pair>,
    /// Grants that stay but are wanted for other causes than the store says.
    pub relabelled: Vec<(LedgerRow, Vec<Cause>)>,
    /// How many grants stay as they are.
    pub unchanged: usize,
    /// Who is certainly entitled to what, for people to look at.
    pub wanted: Vec<Wanted>,
    /// How many on-calls the rules selected.
    pub on_calls: usize,
    /// The next instant at which anything changes by itself.
    pub next_wake: Option<DateTime<Utc>>,
}

/// What one on-call entitles to by one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whom, by the address in strongDM.
    pub email: Email,
    /// The resource's name.
    pub resource: String,
    /// From when: if access has begun, from the start of the shift.
    pub start: DateTime<Utc>,
    /// Until when; none for an on-call without an end.
    pub end: Option<DateTime<Utc>>,
    /// The rule.
    pub rule: String,
    /// Through which schedule or policy.
    pub source: Source,
}

/// The ordered writes for one account and resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairActions {
    /// The account and the resource.
    pub pair: Pair,
    /// An action is not done if an earlier one that overlaps it failed.
    pub actions: Vec<Action>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make this grant.
    Create(NewGrant),
    /// Take this grant of ours back.
    Revoke(Revocation),
}

/// A grant of ours to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its row in our store.
    pub row: LedgerRow,
    /// The grant.
    pub grant: Grant,
    /// Why.
    pub reason: RevocationReason,
    /// The guard would have held it, but this pass was allowed to revoke.
    pub released: bool,
}

/// Why a grant of ours is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReason {
    /// No rule wants any of it.
    NotWanted,
    /// The same: whoever it was made for is on call, but counts under another strongDM address by now.
    OtherAddress,
    /// A rule wants only a part of it, which is granted anew.
    TooLong,
    /// Another grant of ours covers all of it.
    Duplicate,
    /// strongDM takes one grant only, and an earlier window is wanted.
    InTheWay,
}

/// A wanted window that strongDM would refuse now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// The grant that is wanted.
    pub grant: Grant,
    /// When it is tried again; none while a grant without an end is in the way.
    pub until: Option<DateTime<Utc>>,
}

impl Plan {
    /// All writes, those of one pair in their order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.pairs.iter().flat_map(|pair| &pair.actions)
    }
}

impl Action {
    /// The grant it is about.
    pub fn grant(&self) -> &Grant {
        match self {
            Self::Create(new) => &new.grant,
            Self::Revoke(revocation) => &revocation.grant,
        }
    }
}
