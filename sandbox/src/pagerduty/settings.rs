//! What the stand-in does where the documentation leaves a choice, and its limits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::ApiToken;

/// The settings; change them at any time through the handle.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The keys that are let in.
    #[serde(skip)]
    pub tokens: Vec<ApiToken>,
    /// The account's zone, as an offset: what `/oncalls` renders in when no `time_zone` is given.
    pub render_offset_minutes: i32,
    /// Cuts `/oncalls` entries at since and until, which the documentation neither promises nor excludes.
    pub cut_oncalls: bool,
    /// Answers 404 instead of 400 when a schedule is asked for at the other generation's endpoint.
    pub wrong_generation_is_404: bool,
    /// Requests a minute over all keys.
    pub budget: u32,
    /// Requests a minute to `/oncalls`, which has a limit of its own.
    pub oncalls_budget: u32,
    /// Whether 429 comes with `ratelimit-*` headers and a body; sometimes it does not.
    pub explain_429: bool,
    /// How deliveries to subscriptions are tried again.
    pub retries: Retries,
}

/// The rules of webhook delivery; the documented ones with short waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// The waits between attempts after 429, 5xx, a timeout or no connection; then the delivery is given up.
    pub waits_ms: Vec<u64>,
    /// How long an answer may take.
    pub timeout_ms: u64,
    /// So many dropped deliveries in a row switch the subscription off.
    pub disable_after: u32,
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
        Self {
            tokens: vec![ApiToken {
                token: crate::world::TOKEN.into(),
                read_only: false,
                denied: std::collections::BTreeSet::default(),
            }],
            render_offset_minutes: 0,
            cut_oncalls: false,
            wrong_generation_is_404: false,
            budget: 960,
            oncalls_budget: 960,
            explain_429: true,
            retries: Retries::default(),
        }
    }
}
