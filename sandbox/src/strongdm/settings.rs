//! The accepted keys, the rate limits, and a choice for each question that the documentation leaves open.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::access_rule::{PrivilegesNeed, StoredGroups};
use super::filter::SeveralIds;
use crate::credentials;

/// The settings of the stand-in. A test changes them at any time through the handle.
#[expect(clippy::struct_excessive_bools, reason = "each is a question that the documentation leaves open")]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The accepted API keys.
    #[serde(skip)]
    pub keys: Vec<ApiKey>,
    /// The answer to a second grant for one account and resource.
    pub second_grant: SecondGrant,
    /// What becomes of the end that a request asks for.
    pub stored_end: StoredEnd,
    /// What becomes of the start.
    pub stored_start: StoredStart,
    /// What becomes of the Kubernetes groups.
    pub stored_groups: StoredGroups,
    /// What an access rule with privileges needs beside them.
    pub privileges_need: PrivilegesNeed,
    /// Answers a creation with what was asked for, whatever was stored.
    pub answer_as_asked: bool,
    /// Lists grants that have ended, until they are removed.
    pub list_ended: bool,
    /// Refuses a list whose page would be larger than the largest; otherwise such a page has as many as the largest.
    pub refuse_large_pages: bool,
    /// How far the clock that answers tell is ahead of the stand-in's own, in seconds.
    pub clock_ahead_secs: i64,
    /// Refuses a start that lies more than a minute in the past.
    pub refuse_past_start: bool,
    /// Refuses a grant to a suspended account.
    pub refuse_suspended: bool,
    /// Keeps the nanoseconds of times; otherwise cuts them to microseconds.
    pub keep_nanos: bool,
    /// Sends `grpc-status-details-bin` with errors.
    pub error_details: bool,
    /// Sends the details that say when to come back with `RESOURCE_EXHAUSTED`.
    pub explain_rate_limit: bool,
    /// Lets a filter value of `""` match everything; otherwise it matches nothing.
    pub empty_value_matches_all: bool,
    /// What several `id:` terms mean.
    pub several_ids: SeveralIds,
    /// Checks the day of signatures against the stand-in's clock; otherwise against real time.
    pub date_follows_clock: bool,
    /// Accepts signatures of the day before and after as well.
    pub accept_neighbour_days: bool,
    /// The size of a page if the client asks for none.
    pub default_page: usize,
    /// The largest page.
    pub max_page: usize,
    /// Reads a minute; more are answered `RESOURCE_EXHAUSTED`.
    pub read_budget: u32,
    /// Writes a minute, likewise.
    pub write_budget: u32,
}

/// The answer to a second grant for one account and resource: nobody documents it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondGrant {
    /// Makes it.
    #[default]
    TakesAll,
    /// Answers `ALREADY_EXISTS` if the two overlap.
    RefusesOverlapping,
    /// Answers `ALREADY_EXISTS` if the two overlap or one begins when the other ends.
    RefusesTouching,
    /// Answers `ALREADY_EXISTS` until the first one has ended.
    RefusesAny,
}

/// What becomes of the end that a request asks for. What is empty then is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredEnd {
    /// Stores it.
    #[default]
    AsAsked,
    /// No grant lasts longer than so many seconds.
    SecondsFromStart(i64),
    /// No grant ends later than so many seconds from now.
    SecondsFromNow(i64),
    /// Ends so many seconds later.
    Later(i64),
    /// Forgets it: access for ever.
    Dropped,
}

/// What becomes of the start that a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredStart {
    /// Stores it.
    #[default]
    AsAsked,
    /// A start that lies in the past becomes now.
    NotInThePast,
    /// No grant begins earlier than so many seconds from now.
    SecondsFromNow(i64),
    /// Forgets it: access from now on.
    Dropped,
}

impl StoredEnd {
    /// The end that is stored.
    pub(super) fn of(
        self,
        asked: Option<DateTime<Utc>>,
        start: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let asked = asked?;
        match self {
            Self::AsAsked => Some(asked),
            Self::SecondsFromStart(seconds) => Some(asked.min(start + TimeDelta::seconds(seconds))),
            Self::SecondsFromNow(seconds) => Some(asked.min(now + TimeDelta::seconds(seconds))),
            Self::Later(seconds) => Some(asked + TimeDelta::seconds(seconds)),
            Self::Dropped => None,
        }
    }
}

impl StoredStart {
    /// The start that is stored.
    pub(super) fn of(self, asked: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::AsAsked => asked,
            Self::NotInThePast => asked.max(now),
            Self::SecondsFromNow(seconds) => asked.max(now + TimeDelta::seconds(seconds)),
            Self::Dropped => now,
        }
    }
}

/// An API key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The public half.
    pub access_key: String,
    /// The secret half, base64.
    pub secret_key: String,
    /// Such as `grant:write`.
    pub permissions: BTreeSet<String>,
}

impl ApiKey {
    /// A key with these permissions.
    pub fn new(access_key: &str, secret_key: &str, permissions: &[&str]) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            permissions: permissions.iter().copied().map(Into::into).collect(),
        }
    }
}

/// The permissions that the service needs, and no others.
pub const LEAST_PERMISSIONS: [&str; 4] = ["datasource:list", "user:list", "grant:read", "grant:write"];

impl Default for Settings {
    fn default() -> Self {
        let key = ApiKey::new(credentials::ACCESS_KEY, credentials::SECRET_KEY, &LEAST_PERMISSIONS);
        Self {
            keys: vec![key],
            second_grant: SecondGrant::default(),
            stored_end: StoredEnd::default(),
            stored_start: StoredStart::default(),
            stored_groups: StoredGroups::default(),
            privileges_need: PrivilegesNeed::default(),
            answer_as_asked: false,
            list_ended: false,
            refuse_large_pages: false,
            clock_ahead_secs: 0,
            refuse_past_start: false,
            refuse_suspended: false,
            keep_nanos: true,
            error_details: false,
            explain_rate_limit: true,
            empty_value_matches_all: true,
            several_ids: SeveralIds::default(),
            date_follows_clock: true,
            accept_neighbour_days: false,
            default_page: 50,
            max_page: 1000,
            read_budget: 5000,
            write_budget: 500,
        }
    }
}
