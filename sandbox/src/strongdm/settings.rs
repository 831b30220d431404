//! What the stand-in does where the documentation leaves a choice, and its limits.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The settings; change them at any time through the handle.
#[expect(clippy::struct_excessive_bools, reason = "each is a question that the documentation leaves open")]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The API keys that are let in.
    #[serde(skip)]
    pub keys: Vec<ApiKey>,
    /// What happens to a second grant for one account and resource.
    pub second_grant: SecondGrant,
    /// Refuses a start that lies more than a minute in the past.
    pub refuse_past_start: bool,
    /// Refuses a grant to a suspended account.
    pub refuse_suspended: bool,
    /// Keeps nanoseconds; else times are cut to microseconds.
    pub keep_nanos: bool,
    /// Errors carry `grpc-status-details-bin`.
    pub error_details: bool,
    /// `RESOURCE_EXHAUSTED` carries the details that say when to come back.
    pub explain_rate_limit: bool,
    /// A filter value of `""` matches everything; else nothing.
    pub empty_value_matches_all: bool,
    /// Signatures are checked against the stand-in's clock; else against real time.
    pub date_follows_clock: bool,
    /// Signatures of the day before and after are taken as well.
    pub accept_neighbour_days: bool,
    /// The size of a page when the client asks for none.
    pub default_page: usize,
    /// The largest page.
    pub max_page: usize,
    /// Reads a minute.
    pub read_budget: u32,
    /// Writes a minute.
    pub write_budget: u32,
}

/// What happens to a second grant for one account and resource: nobody documents it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondGrant {
    /// It is made.
    #[default]
    TakesAll,
    /// `ALREADY_EXISTS` if the two overlap.
    RefusesOverlapping,
    /// `ALREADY_EXISTS` as long as the first one has not ended.
    RefusesAny,
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

/// What the service needs, and nothing else.
pub const LEAST_PERMISSIONS: [&str; 4] = ["datasource:list", "user:list", "grant:read", "grant:write"];

impl Default for Settings {
    fn default() -> Self {
        let key = ApiKey::new(crate::world::ACCESS_KEY, crate::world::SECRET_KEY, &LEAST_PERMISSIONS);
        Self {
            keys: vec![key],
            second_grant: SecondGrant::default(),
            refuse_past_start: false,
            refuse_suspended: false,
            keep_nanos: true,
            error_details: false,
            explain_rate_limit: true,
            empty_value_matches_all: true,
            date_follows_clock: true,
            accept_neighbour_days: false,
            default_page: 50,
            max_page: 1000,
            read_budget: 5000,
            write_budget: 500,
        }
    }
}
