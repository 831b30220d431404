//! What one pass saw: the planner's only input beside the clock and the settings. Plain values.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::{
    Account, Altered, DueRevocations, Email, Fault, ForeignGrant, Links, Observed, OnCall, OwnGrant, Pair,
    Refusal, Resource, ResourceSelector, SecondGrant, Source, Unknown, UserId, Window,
};

/// Everything a pass observed. What is absent from a map was not asked, which the planner treats like
/// [`Observed::Unknown`]: it justifies no revocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    /// Who is on call, by what PagerDuty was asked about.
    pub(crate) on_calls: BTreeMap<Source, Observed<Vec<OnCall>>>,
    /// What is missing in an answer that told some on-calls: these give access, and nothing is taken away.
    pub(crate) doubts: BTreeMap<Source, Fault>,
    /// The login e-mail of everyone on call, as PagerDuty writes it; none for deleted users.
    pub(crate) people: BTreeMap<UserId, Observed<Option<String>>>,
    /// Where whole domains are mapped: the login e-mail of others, seen in earlier looks, who would be the same strongDM
    /// account as somebody on call.
    pub(crate) acquaintances: BTreeMap<UserId, String>,
    /// strongDM's user accounts by e-mail.
    pub(crate) accounts: BTreeMap<Email, Observed<AccountMatch>>,
    /// strongDM's resources by how rules name them.
    pub(crate) resources: BTreeMap<ResourceSelector, Observed<ResourceMatch>>,
    /// What our own store tells.
    pub(crate) recorded: Recorded,
    /// The stretch of time that PagerDuty was asked about; none if it was not asked.
    pub(crate) asked: Option<Window>,
    /// When the look began: nothing in it is an answer to an earlier question than this, but what the cache trusts.
    pub(crate) asked_at: DateTime<Utc>,
    /// Whether the same look may show more.
    pub(crate) extent: Extent,
    /// When the last upstream answered; what was decided before that moment has seen less.
    pub(crate) seen_at: DateTime<Utc>,
}

/// How much of what was asked for a [`World`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that could be seen.
    #[default]
    Whole,
    /// What was seen so far: the rest is [`Observed::Unknown`], and the same look may show it later. Good for giving access
    /// that is due now; nothing else follows from it.
    Part,
}

impl World {
    /// The on-calls of all schedules and policies that answered.
    pub(crate) fn seen_on_calls(&self) -> impl Iterator<Item = &OnCall> {
        self.on_calls.values().flat_map(|answer| match answer {
            Observed::Known(on_calls) => on_calls.as_slice(),
            Observed::Unknown(_) => &[],
        })
    }

    /// Which schedule was seen under which escalation policy.
    pub(crate) fn links(&self) -> Links {
        let both = |on_call: &OnCall| on_call.schedule.clone().zip(on_call.policy.clone());
        self.seen_on_calls().filter_map(both).collect()
    }
}

/// The part of the [`World`] that our own store tells. Empty for whoever has no store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Our grants that have not ended.
    pub(crate) ledger: Vec<OwnGrant>,
    /// Grants that somebody else made, as last seen; they matter only where strongDM refuses a second one.
    pub(crate) foreign: Vec<ForeignGrant>,
    /// Pairs for which an earlier write has an unknown outcome.
    pub(crate) unsettled: Vec<Pair>,
    /// Rows of our ledger that cannot be read. Their pairs are among the unsettled ones.
    pub(crate) unreadable: Vec<Unknown>,
    /// What strongDM was last seen to do with a second grant.
    pub(crate) second_grant: SecondGrant,
    /// Pairs for which strongDM refused a grant although none was seen in the way, as long as that holds.
    pub(crate) refusals: Vec<Refusal>,
    /// Windows that strongDM altered and that are not to be asked for again yet.
    pub(crate) altered: Vec<Altered>,
    /// What earlier looks found due to be revoked.
    pub(crate) due: DueRevocations,
}

/// What the look-up of one e-mail address gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccountMatch {
    /// Exactly one user account has this address.
    One(Account),
    /// No user account has it.
    None,
    /// Several do; nobody can say which is meant.
    Many,
}

impl ResourceMatch {
    /// What resources of one name come to.
    pub(crate) fn of_name(found: Vec<Resource>) -> Self {
        match found.len() {
            0 => Self::None,
            1 => Self::Found(found),
            _ => Self::Many,
        }
    }
}

/// What the look-up of one resource selector gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResourceMatch {
    /// The resources: one for a name, any number for a filter.
    Found(Vec<Resource>),
    /// No resource has this name.
    None,
    /// Several resources have this name.
    Many,
    /// strongDM does not accept the name or filter; the text says why.
    Refused(String),
}
