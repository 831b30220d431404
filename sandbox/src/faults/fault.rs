//! One fault: the calls that it applies to, how often, and what it does to them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One fault: the calls that it applies to, how often, and what it does to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The start of the call: `GET /oncalls`, `/oncalls` (any method), `AccountGrants.Create`, or empty for all.
    #[serde(default)]
    pub on: String,
    /// Applies only if the decoded query, or the facts of the gRPC request, contain this text.
    #[serde(default)]
    pub containing: Option<String>,
    /// The number of calls that it still applies to; without one, every call until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// Does the work first, so that only the answer is touched.
    #[serde(default)]
    pub after_work: bool,
    /// What happens to the call.
    pub action: Action,
}

/// What a fault does to a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Answers this HTTP status.
    Http {
        /// The status.
        status: u16,
        /// The body, sent as it is.
        #[serde(default)]
        body: String,
        /// Further headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Answers this gRPC status.
    Grpc {
        /// The code, such as 14 for UNAVAILABLE.
        code: i32,
        /// The message.
        #[serde(default)]
        message: String,
        /// Makes strongDM answer `RESOURCE_EXHAUSTED`, with details that name a reset in so many seconds.
        #[serde(default)]
        reset_in_secs: Option<i64>,
    },
    /// Waits; later faults apply as well.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Waits until the fault is cleared; later faults apply as well.
    Stall,
    /// Drops the connection without an answer.
    Cut,
    /// Sends half of the answer, then drops the connection.
    Truncate,
    /// Answers 200 with something that is no JSON.
    InvalidJson,
}

impl Fault {
    /// A fault of the first call that starts with `on`.
    pub fn on(on: impl Into<String>, action: Action) -> Self {
        Self { on: on.into(), containing: None, times: Some(1), after_work: false, action }
    }

    /// Applies only to calls whose query or facts contain this text.
    #[must_use]
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.containing = Some(text.into());
        self
    }

    /// Applies to this many calls instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Applies to every call until the fault is cleared.
    #[must_use]
    pub fn until_cleared(mut self) -> Self {
        self.times = None;
        self
    }

    /// Does the work first: only the answer gets lost.
    #[must_use]
    pub fn after_work(mut self) -> Self {
        self.after_work = true;
        self
    }

    pub(super) fn applies_to(&self, call: &str, facts: &str) -> bool {
        let path = call.split_once(' ').map_or(call, |(_, path)| path);
        (call.starts_with(&self.on) || path.starts_with(&self.on))
            && self.containing.as_ref().is_none_or(|text| facts.contains(text.as_str()))
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.times == Some(0)
    }

    /// Whether it strikes after the work: half an answer and a wrong one both need the work to be done.
    pub(super) fn strikes_late(&self) -> bool {
        self.after_work || matches!(self.action, Action::Truncate | Action::InvalidJson)
    }
}

impl Action {
    /// An HTTP answer without further headers.
    pub fn http(status: u16, body: impl Into<String>) -> Self {
        Self::Http { status, body: body.into(), headers: BTreeMap::new() }
    }

    /// A gRPC status without details.
    pub fn grpc(code: tonic::Code, message: impl Into<String>) -> Self {
        Self::Grpc { code: code.into(), message: message.into(), reset_in_secs: None }
    }

    /// A delay.
    pub fn delay(by: Duration) -> Self {
        Self::Delay { ms: u64::try_from(by.as_millis()).unwrap_or(u64::MAX) }
    }
}
