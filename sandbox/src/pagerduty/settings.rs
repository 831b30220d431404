//! The accepted keys, the rate limits, and a choice for each question that the documentation leaves open.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::identity::OAuthApp;
use crate::credentials;

/// The settings of the stand-in. A test changes them at any time through the handle.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The accepted keys.
    #[serde(skip)]
    pub tokens: Vec<ApiToken>,
    /// The OAuth app that may ask for tokens.
    pub oauth: OAuthApp,
    /// The offset of the account's zone, in which `/oncalls` renders times unless the request names another.
    pub render_offset_minutes: i32,
    /// Cuts `/oncalls` entries at `since` and `until`; the documentation neither promises nor excludes it.
    pub cut_oncalls: bool,
    /// Answers 404 instead of 400 to a request for a schedule at the other generation's endpoint.
    pub wrong_generation_is_404: bool,
    /// What the account's plan does not include.
    pub lacks: BTreeSet<Ability>,
    /// The answer to what needs an ability that the account lacks; the documentation names 402 and 400.
    pub missing_ability_status: u16,
    /// Requests a minute over all keys; more are answered 429.
    pub budget: u32,
    /// Requests a minute to `/oncalls`, which has a rate limit of its own.
    pub oncalls_budget: u32,
    /// Sends `ratelimit-*` headers and a body with 429; the real service sometimes leaves them out.
    pub explain_429: bool,
    /// How the stand-in retries deliveries to subscriptions.
    pub retries: Retries,
}

/// A feature that not every account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// Priorities: without it `GET /priorities` is refused.
    Priorities,
    /// Requests for help: without it incidents have no `incidents_responders`.
    Responders,
    /// Teams: without it `team_ids[]` is refused.
    Teams,
    /// Urgencies: without it `urgencies[]` is refused, as is sorting by urgency.
    Urgencies,
}

/// The retry rules of webhook deliveries: the documented ones with shorter waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// The waits before each retry, in milliseconds, after 429, 5xx, a timeout or no connection. When they are used up,
    /// the delivery is dropped.
    pub waits_ms: Vec<u64>,
    /// How long the receiver may take to answer, in milliseconds.
    pub timeout_ms: u64,
    /// The number of dropped deliveries in a row that disables the subscription.
    pub disable_after: u32,
}

/// A REST API key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    /// The text of the key.
    pub token: String,
    /// Answers 403 to writes.
    #[serde(default)]
    pub read_only: bool,
    /// Answers 403 to paths that start with one of these.
    #[serde(default)]
    pub denied: BTreeSet<String>,
}

impl Retries {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self { waits_ms: vec![50, 100, 200, 400, 800], timeout_ms: 5_000, disable_after: 3 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let token = ApiToken { token: credentials::TOKEN.into(), read_only: false, denied: BTreeSet::new() };
        Self {
            tokens: vec![token],
            oauth: OAuthApp::default(),
            render_offset_minutes: 0,
            cut_oncalls: false,
            wrong_generation_is_404: false,
            lacks: BTreeSet::new(),
            missing_ability_status: 402,
            budget: 960,
            oncalls_budget: 960,
            explain_429: true,
            retries: Retries::default(),
        }
    }
}
