//! The words of this program as plain data: identifiers, on-calls, rules, windows, grants.
//!
//! Nothing here talks to a network, a clock or a database, and no foreign format (JSON of PagerDuty, protobuf of
//! strongDM, SQL) is visible here.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::window::{Window, Windows, later};

mod window;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The identifier as its owner writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

id!(
    /// A PagerDuty schedule, layer-based or shift-based. Opaque: PagerDuty promises no pattern.
    ScheduleId
);
id!(
    /// A PagerDuty escalation policy.
    PolicyId
);
id!(
    /// A PagerDuty user.
    UserId
);
id!(
    /// A strongDM account, `a-…`.
    AccountId
);
id!(
    /// A strongDM resource, `rs-…`.
    ResourceId
);
id!(
    /// A strongDM account grant, `ag-…`.
    GrantId
);

/// A whole e-mail address that is safe to look up: lower-cased, without wildcard, quote, blank or control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(example = "ana@example.com")]
pub struct Email(String);

/// The text is no address that may be looked up in strongDM, whose filters treat `*` as a wildcard even in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)")]
pub struct InvalidEmail;

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let refused = |c: char| c.is_control() || c.is_whitespace() || "*\"\\,".contains(c);
        let parts = text.split_once('@');
        if text.chars().any(refused)
            || !parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        {
            return Err(InvalidEmail);
        }
        Ok(Self(text.to_lowercase()))
    }
}

impl Email {
    /// The address in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this address, without regard to case.
    pub fn matches(&self, other: &str) -> bool {
        other.to_lowercase() == self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What PagerDuty is asked about: the schedules or the escalation policies that rules name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Everyone on call through this schedule.
    Schedule(ScheduleId),
    /// Everyone on call through this escalation policy.
    #[serde(rename = "escalation_policy")]
    Policy(PolicyId),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schedule(id) => write!(f, "schedule {id}"),
            Self::Policy(id) => write!(f, "escalation policy {id}"),
        }
    }
}

/// One user on call for a stretch of time, as PagerDuty answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OnCall {
    /// Who is on call.
    pub user: UserId,
    /// The login e-mail, where the answer carried it. Unchecked text.
    pub email: Option<String>,
    /// The schedule it comes through; none for a direct target of an escalation policy.
    pub schedule: Option<ScheduleId>,
    /// The escalation policy it was listed under; none if asked through the schedule itself.
    pub policy: Option<PolicyId>,
    /// The escalation level within that policy, counted from 1.
    pub level: Option<u32>,
    /// Start of the shift in UTC; none for a permanent on-call.
    pub start: Option<DateTime<Utc>>,
    /// End of the shift in UTC; none if the user never goes off call.
    pub end: Option<DateTime<Utc>>,
}

/// The configuration's word on which on-calls give access to which resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique name; it is the attribution of every grant.
    pub name: String,
    /// Whose on-calls count.
    pub on_calls: OnCallSelector,
    /// Which resources they get.
    pub resources: Vec<ResourceSelector>,
    /// Access starts this much before the shift.
    pub start_early: TimeDelta,
    /// Access ends this much after the shift.
    pub end_late: TimeDelta,
}

/// The on-calls that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnCallSelector {
    /// Everyone on call through one of these schedules, in whatever policy and level.
    Schedules(Vec<ScheduleId>),
    /// On-calls of these escalation policies.
    Policies {
        /// The policies.
        ids: Vec<PolicyId>,
        /// Only these levels; empty means all.
        levels: Vec<u32>,
        /// Whether on-calls without start and end (direct user targets) count.
        include_always_on_call: bool,
    },
}

impl Rule {
    /// What PagerDuty must be asked about for this rule.
    pub fn sources(&self) -> Vec<Source> {
        match &self.on_calls {
            OnCallSelector::Schedules(ids) => ids.iter().cloned().map(Source::Schedule).collect(),
            OnCallSelector::Policies { ids, .. } => ids.iter().cloned().map(Source::Policy).collect(),
        }
    }

    /// Whether this on-call, listed under one of the rule's sources, gives access.
    pub fn selects(&self, on_call: &OnCall) -> bool {
        match &self.on_calls {
            OnCallSelector::Schedules(_) => true,
            OnCallSelector::Policies { levels, include_always_on_call, ids: _ } => {
                let always = on_call.start.is_none() && on_call.end.is_none();
                (*include_always_on_call || !always)
                    && (levels.is_empty() || on_call.level.is_some_and(|level| levels.contains(&level)))
            }
        }
    }
}

/// How a rule names resources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceSelector {
    /// The one resource of exactly this name.
    Name(String),
    /// Every resource that this strongDM filter expression matches now.
    Filter(String),
}

impl fmt::Display for ResourceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "resource {name:?}"),
            Self::Filter(filter) => write!(f, "resource filter {filter:?}"),
        }
    }
}

/// A strongDM user account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its identifier.
    pub id: AccountId,
    /// Whether it may not log in.
    pub suspended: bool,
}

/// A strongDM resource: a database, a server, a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// Its identifier.
    pub id: ResourceId,
    /// Its name, as people know it.
    pub name: String,
}

/// PagerDuty e-mail → strongDM e-mail where they differ; keys and values compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(pub BTreeMap<Email, Email>);

impl Aliases {
    /// The strongDM address of the person whom PagerDuty knows under `raw`.
    pub fn account_email(&self, raw: &str) -> Result<Email, InvalidEmail> {
        let email: Email = raw.parse()?;
        Ok(self.0.get(&email).cloned().unwrap_or(email))
    }

    /// The PagerDuty addresses that are mapped to this strongDM address.
    pub fn leading_to(&self, account: &str) -> Vec<&str> {
        self.0.iter().filter(|(_, to)| to.matches(account)).map(|(from, _)| from.as_str()).collect()
    }
}

/// A grant of ours: one account, one resource, one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Grant {
    /// strongDM's identifier; none while it is only planned.
    pub id: Option<GrantId>,
    /// The account's e-mail address.
    pub email: Email,
    /// The account.
    pub account_id: AccountId,
    /// The resource's name.
    pub resource: String,
    /// The resource.
    pub resource_id: ResourceId,
    /// When it is in force, in UTC.
    #[serde(flatten)]
    pub window: Window,
    /// Names of the rules that want it.
    pub rules: Vec<String>,
}

impl Grant {
    /// Whether strongDM knows it under this identifier.
    pub fn has_id(&self, id: Option<&str>) -> bool {
        id.is_some() && self.id.as_ref().map(GrantId::as_str) == id
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, email, account_id: _, resource, resource_id: _, window, rules } = self;
        write!(f, "{email} on {resource} {window} (rules: {})", rules.join(", "))
    }
}

/// What was seen, or why it could not be seen. Unknown is never read as empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<T> {
    /// The answer.
    Known(T),
    /// No answer.
    Unknown(Unseen),
}

impl<T> Observed<T> {
    /// Whether it was seen.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// Why something could not be seen or done, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unseen {
    /// What went wrong.
    pub error: String,
    /// What somebody must do about it; empty if it may well pass by itself.
    pub remedy: String,
}

impl From<&str> for Unseen {
    fn from(error: &str) -> Self {
        error.to_owned().into()
    }
}

impl From<String> for Unseen {
    fn from(error: String) -> Self {
        Self { error, remedy: String::new() }
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, remedy } = self;
        f.write_str(error)?;
        if remedy.is_empty() { Ok(()) } else { write!(f, "; {remedy}") }
    }
}
