//! What one pass saw: the planner's only input beside the clock and the settings. Plain values.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{
    Account, AccountId, Email, Grant, GrantId, Observed, OnCall, PolicyId, Resource, ResourceId,
    ResourceSelector, ScheduleId, Source, UserId, Window,
};

/// Everything a pass observed. What is absent from a map was not asked, which the planner treats like
/// [`Observed::Unknown`]: it justifies no revocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Who is on call, by what PagerDuty was asked about.
    pub on_calls: BTreeMap<Source, Observed<Vec<OnCall>>>,
    /// The login e-mail of everyone on call, as PagerDuty writes it; none for deleted users.
    pub people: BTreeMap<UserId, Observed<Option<String>>>,
    /// strongDM's user accounts by e-mail.
    pub accounts: BTreeMap<Email, Observed<AccountMatch>>,
    /// strongDM's resources by how rules name them.
    pub resources: BTreeMap<ResourceSelector, Observed<ResourceMatch>>,
    /// Our grants that have not ended.
    pub ledger: Vec<OwnGrant>,
    /// Grants that somebody else made; they matter only where strongDM refuses a second one.
    pub foreign: Vec<ForeignGrant>,
    /// Account and resource pairs for which an earlier write has an unknown outcome.
    pub unsettled: Vec<(AccountId, ResourceId)>,
    /// What strongDM was last seen to do with a second grant.
    pub second_grant: SecondGrant,
    /// Pairs for which strongDM refused a grant although none was seen in the way.
    pub refusals: Vec<Refusal>,
}

/// What the look-up of one e-mail address gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountMatch {
    /// Exactly one user account has this address.
    One(Account),
    /// No user account has it.
    None,
    /// Several do; nobody can say which is meant.
    Many,
}

/// What the look-up of one resource selector gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceMatch {
    /// The resources: one for a name, any number for a filter.
    Found(Vec<Resource>),
    /// No resource has this name.
    None,
    /// Several resources have this name.
    Many,
    /// strongDM does not accept the name or filter; the text says why.
    Refused(String),
}

/// A grant of ours with its place in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnGrant {
    /// Its row in our store; older grants have smaller numbers.
    pub row: i64,
    /// The grant; its `id` is always there.
    pub grant: Grant,
    /// Why it was made.
    pub causes: Vec<Cause>,
}

/// A grant in strongDM that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignGrant {
    /// strongDM's identifier.
    pub id: GrantId,
    /// The account.
    pub account_id: AccountId,
    /// The resource.
    pub resource_id: ResourceId,
    /// Its window; one without an end reaches to [`FOREVER`](super::plan::FOREVER).
    pub window: Window,
}

/// What strongDM does with a second grant for the same account and resource. Its documentation does not say, so
/// we assume the best and learn from refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondGrant {
    /// It takes any number.
    #[default]
    Taken,
    /// It refuses one that overlaps another.
    RefusedIfOverlapping,
    /// It refuses any, wherever its window lies.
    Refused,
}

/// strongDM refused a grant and showed no grant that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The account.
    pub account_id: AccountId,
    /// The resource.
    pub resource_id: ResourceId,
    /// Not tried again before.
    pub until: DateTime<Utc>,
}

/// One on-call that, by one rule, wants a grant: its attribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// The rule's name.
    pub rule: String,
    /// What PagerDuty was asked about.
    #[serde(flatten)]
    pub source: Source,
    /// Who is on call.
    pub user: UserId,
    /// The schedule the on-call comes through.
    pub through: Option<ScheduleId>,
    /// The escalation policy of the on-call.
    pub policy: Option<PolicyId>,
    /// The level within it.
    pub level: Option<u32>,
    /// Start of the shift, before `start_early`.
    pub shift_start: Option<DateTime<Utc>>,
    /// End of the shift, before `end_late`.
    pub shift_end: Option<DateTime<Utc>>,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, source, user, through, policy: _, level, shift_start: _, shift_end: _ } = self;
        write!(f, "rule {rule:?}: user {user} is on call for {source}")?;
        if let (Source::Policy(_), Some(level)) = (source, level) {
            write!(f, " at level {level}")?;
        }
        match (source, through) {
            (Source::Policy(_), Some(schedule)) => write!(f, " through schedule {schedule}"),
            (Source::Policy(_) | Source::Schedule(_), _) => Ok(()),
        }
    }
}
