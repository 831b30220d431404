//! The plan as data: what is to be done, in which order, and what was decided not to be done.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{
    Cause, DueRevocations, Email, Grant, LedgerRow, NewGrant, Pair, RememberedPart, SecondGrant, SecondLook,
    Skipped, Source, Unknown, Window,
};

/// What is to be done, and what was decided not to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The writes in the order in which to begin them: the most urgent first; equally urgent ones by account and
    /// resource. They are independent of each other.
    pub(crate) pairs: Vec<PairActions>,
    /// Grants that the guard keeps from being revoked.
    pub(crate) held: Vec<Grant>,
    /// Grants that go if a second look agrees.
    pub(crate) awaiting: Vec<Grant>,
    /// When and where that second look is due.
    pub(crate) second_look: Option<SecondLook>,
    /// What the next look must know of this one.
    pub(crate) due: DueRevocations,
    /// Windows that wait for the grant in their way.
    pub(crate) deferred: Vec<Deferred>,
    /// People, resources and filters that nothing could be done about.
    pub(crate) skipped: Vec<Skipped>,
    /// What could not be observed.
    pub(crate) unknown: Vec<Unknown>,
    /// Pairs left alone, because an earlier write to them has an unknown outcome.
    pub(crate) unsettled: Vec<Pair>,
    /// Grants that stay but are wanted for other causes than the store says.
    pub(crate) relabelled: Vec<(LedgerRow, Vec<Cause>)>,
    /// How many grants stay as they are.
    pub(crate) unchanged: usize,
    /// Who is certainly entitled to what, for people to look at.
    pub(crate) wanted: Vec<Wanted>,
    /// What is to be remembered of people's parts in incidents, where that is news, each with the instant at which all
    /// access because of it is over.
    pub(crate) parts: Vec<(RememberedPart, DateTime<Utc>)>,
    /// How many on-calls the rules selected.
    pub(crate) on_calls: usize,
    /// The next instant at which anything changes by itself.
    pub(crate) next_wake: Option<DateTime<Utc>>,
}

/// What one on-call entitles to by one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Whom, by the address in strongDM.
    pub(crate) email: Email,
    /// The resource's name.
    pub(crate) resource: String,
    /// From when: if access has begun, from the start of the shift.
    pub(crate) start: DateTime<Utc>,
    /// Until when; none for an on-call without an end.
    pub(crate) end: Option<DateTime<Utc>>,
    /// The rule.
    pub(crate) rule: String,
    /// Through which schedule or policy.
    pub(crate) source: Source,
}

/// Writes for one account and resource that belong together, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairActions {
    /// The account and the resource.
    pub(crate) pair: Pair,
    /// How soon they are due.
    pub(crate) urgency: Urgency,
    /// An action is not done if an earlier one that it [waits for](Action::waits_for) was not.
    pub(crate) actions: Vec<Action>,
}

impl PairActions {
    /// Whether this gives somebody access who should have it now, and does nothing else.
    pub(crate) fn only_gives_at_once(&self) -> bool {
        self.urgency == Urgency::Missing
            && self.actions.iter().all(|action| matches!(action, Action::Create(_)))
    }
}

/// How soon a write is due; the smaller one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Somebody is on call and has no access.
    Missing,
    /// Somebody has access who is not on call, or has it by a grant for another time than the right one.
    Ending,
    /// It is about a window to come, which starts then.
    Coming(DateTime<Utc>),
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make this grant.
    Create(NewGrant),
    /// Take this grant of ours back.
    Revoke(Revocation),
}

/// A grant of ours to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// Its row in our store.
    pub(crate) row: LedgerRow,
    /// The grant.
    pub(crate) grant: Grant,
    /// Why.
    pub(crate) reason: RevocationReason,
    /// The guard would have held it, but this pass was allowed to revoke.
    pub(crate) released: bool,
}

/// Why a grant of ours is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevocationReason {
    /// No rule wants any of it.
    NotWanted,
    /// The same: whoever it was made for is on call, but counts under another strongDM address by now.
    OtherAddress,
    /// A rule wants only a part of it, which is granted anew.
    TooLong,
    /// All of it is wanted, but with other Kubernetes groups: some that it carries are wanted no more.
    OtherGroups,
    /// All that it gives is wanted, and more Kubernetes groups beside.
    MoreGroups,
    /// Another grant of ours covers all of it.
    Duplicate,
    /// strongDM takes one grant only, and an earlier window is wanted.
    InTheWay,
}

impl RevocationReason {
    /// Whether what is right of the grant is granted anew.
    pub(crate) fn is_replaced(self) -> bool {
        match self {
            Self::TooLong | Self::OtherGroups | Self::MoreGroups => true,
            Self::NotWanted | Self::OtherAddress | Self::Duplicate | Self::InTheWay => false,
        }
    }
}

/// A wanted window that strongDM would refuse now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deferred {
    /// The grant that is wanted.
    pub(crate) grant: Grant,
    /// When it is tried again; none while a grant without an end is in the way.
    pub(crate) until: Option<DateTime<Utc>>,
    /// What it waits for.
    pub(crate) wait: Wait,
}

/// What a wanted window waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The end of a grant in its way.
    InTheWay,
    /// Its next turn: strongDM stored something else than what was asked for.
    Altered,
}

impl Plan {
    /// All writes in their order.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.pairs.iter().flat_map(|pair| &pair.actions)
    }

    /// What the next look must know once these grants are revoked: none is to confirm that they should go.
    pub(crate) fn due_without(&self, revoked: &[Grant]) -> DueRevocations {
        let gone: BTreeSet<_> = revoked.iter().map(|grant| &grant.id).collect();
        let mut due = self.due.clone();
        for action in self.actions() {
            if let Action::Revoke(revocation) = action
                && gone.contains(&revocation.grant.id)
            {
                due.due.remove(&revocation.row);
            }
        }
        due
    }
}

impl Action {
    /// The grant it is about.
    pub(crate) fn grant(&self) -> &Grant {
        match self {
            Self::Create(new) => &new.grant,
            Self::Revoke(revocation) => &revocation.grant,
        }
    }

    /// Whether it must not be done because earlier writes of its pair, of these windows, were not. What overlaps waits,
    /// so that nobody loses access to a write that fails. Where strongDM refuses any second grant, a creation waits for
    /// every revocation: sent all the same, it would be refused, and then it would pause for longer than the revocation
    /// does.
    pub(crate) fn waits_for(&self, undone: &[Window], second_grant: SecondGrant) -> bool {
        let window = self.grant().window;
        match self {
            Self::Create(_) if second_grant == SecondGrant::Refused => !undone.is_empty(),
            Self::Create(_) | Self::Revoke(_) => undone.iter().any(|other| other.overlaps(&window)),
        }
    }
}
