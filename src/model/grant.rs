//! Grants, ours and other people's, with what strongDM says of a second one.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AccountId, Cause, Email, Fault, GrantId, KubernetesGroups, Name, Names, ResourceId, Terms, Window,
    names::name_and_id,
};

/// A strongDM user account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its identifier.
    pub id: AccountId,
    /// Whether it may not log in.
    pub suspended: bool,
}

/// A strongDM resource: a database, a server, a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resource {
    /// Its identifier.
    pub id: ResourceId,
    /// Its name, as people know it.
    pub name: String,
}

/// One account and one resource: what grants are counted, decided and refused by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pair {
    /// The account.
    pub account: AccountId,
    /// The resource.
    pub resource: ResourceId,
}

/// The text names no account and resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form ACCOUNT on RESOURCE")]
pub struct NoPair;

impl From<Pair> for String {
    fn from(pair: Pair) -> Self {
        pair.to_string()
    }
}

impl TryFrom<String> for Pair {
    type Error = NoPair;

    fn try_from(text: String) -> Result<Self, NoPair> {
        let (account, resource) = text.split_once(" on ").ok_or(NoPair)?;
        Ok(Self { account: account.into(), resource: resource.into() })
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, resource } = self;
        write!(f, "{account} on {resource}")
    }
}

/// A grant of ours: one account, one resource, one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// strongDM's identifier; none while it is only planned.
    pub id: Option<GrantId>,
    /// The account's e-mail address.
    pub email: Email,
    /// The person's name in PagerDuty, where it is told to people; nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<Name>,
    /// The account.
    pub account_id: AccountId,
    /// The resource's name.
    pub resource: String,
    /// The resource.
    pub resource_id: ResourceId,
    /// When it is in force, in UTC.
    #[serde(flatten)]
    pub window: Window,
    /// The Kubernetes groups that it carries; left out without any.
    #[serde(default, skip_serializing_if = "KubernetesGroups::is_empty")]
    pub kubernetes_groups: KubernetesGroups,
    /// Names of the rules that want it.
    pub rules: Vec<String>,
}

impl Grant {
    /// The same with the name of the person, for whoever reads it.
    #[must_use]
    pub fn named(self, names: &Names) -> Self {
        Self { name: names.person(self.email.as_str()).cloned().or(self.name), ..self }
    }

    /// The person as people read it: `Ana Lima (ana@example.com)`.
    pub fn whose(&self) -> String {
        name_and_id(self.name.as_ref(), self.email.as_str())
    }

    /// Whose access to what.
    pub fn pair(&self) -> Pair {
        Pair { account: self.account_id.clone(), resource: self.resource_id.clone() }
    }

    /// The same without copies.
    pub(crate) fn pair_ids(&self) -> (&AccountId, &ResourceId) {
        (&self.account_id, &self.resource_id)
    }

    /// When it gives access, and with which groups.
    pub fn terms(&self) -> Terms {
        Terms { window: self.window, groups: self.kubernetes_groups.clone() }
    }

    /// Whether it joins this account and this resource.
    pub fn joins(&self, pair: &Pair) -> bool {
        self.account_id == pair.account && self.resource_id == pair.resource
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id: _,
            email: _,
            name: _,
            account_id: _,
            resource,
            resource_id: _,
            window,
            kubernetes_groups,
            rules,
        } = self;
        write!(f, "{} on {resource}{kubernetes_groups} {window} (rules: {})", self.whose(), rules.join(", "))
    }
}

/// A grant to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// The grant, without an `id` yet.
    pub grant: Grant,
    /// Why it is wanted; never empty.
    pub causes: Vec<Cause>,
}

/// The number of a row of our ledger; older grants have smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerRow(i64);

impl LedgerRow {
    /// The number itself, as the store has it.
    pub fn number(self) -> i64 {
        self.0
    }
}

impl From<i64> for LedgerRow {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

/// A grant of ours with its place in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnGrant {
    /// Its row in our ledger.
    pub row: LedgerRow,
    /// The grant; its `id` is always there.
    pub grant: Grant,
    /// Why it was made.
    pub causes: Vec<Cause>,
}

impl OwnGrant {
    /// What to sort grants by: by pair, then by window and age.
    pub(crate) fn by_pair(&self) -> ((&AccountId, &ResourceId), Window, LedgerRow) {
        (self.grant.pair_ids(), self.grant.window, self.row)
    }
}

/// A grant in strongDM that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignGrant {
    /// strongDM's identifier.
    pub id: GrantId,
    /// The account and the resource.
    pub pair: Pair,
    /// Its window; one without an end reaches to [`FOREVER`](super::FOREVER).
    pub window: Window,
    /// The Kubernetes groups that it carries.
    pub groups: KubernetesGroups,
}

/// What strongDM does with a second grant for the same account and resource. Its documentation does not say, so
/// we assume the best and learn from refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The account and the resource.
    pub pair: Pair,
    /// Not tried again before.
    pub until: DateTime<Utc>,
}

/// strongDM did not store a grant with the window that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// The account and the resource.
    pub pair: Pair,
    /// What is missing of the window that was asked for.
    pub window: Window,
    /// Not asked for again before.
    pub until: DateTime<Utc>,
    /// Why nothing of the grant was left; none if it stayed, with another window.
    pub fault: Option<Fault>,
}
