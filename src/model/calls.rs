//! How many requests the upstreams were sent.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the service asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Upstream {
    /// Who is on call.
    PagerDuty,
    /// Who has access.
    StrongDm,
}

impl Upstream {
    /// The word for it in metrics and reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PagerDuty => "pagerduty",
            Self::StrongDm => "strongdm",
        }
    }

    /// How people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PagerDuty => "PagerDuty",
            Self::StrongDm => "strongDM",
        }
    }
}

/// How many requests each upstream was sent, by operation; those that were sent again count again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Calls {
    /// Requests to PagerDuty, by operation.
    pub pagerduty: BTreeMap<String, u64>,
    /// Requests to strongDM, by operation.
    pub strongdm: BTreeMap<String, u64>,
}

impl Calls {
    /// Counts one more.
    pub(crate) fn add(&mut self, upstream: Upstream, operation: &str) {
        let by_operation = match upstream {
            Upstream::PagerDuty => &mut self.pagerduty,
            Upstream::StrongDm => &mut self.strongdm,
        };
        *by_operation.entry(operation.to_owned()).or_default() += 1;
    }

    /// Whether none was sent, or it is not known.
    pub fn is_empty(&self) -> bool {
        self.pagerduty.is_empty() && self.strongdm.is_empty()
    }
}

impl fmt::Display for Calls {
    /// For people: `3 requests to PagerDuty (2 on_calls, 1 user), 1 request to strongDM (1 Accounts.List)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pagerduty, strongdm } = self;
        let of = |upstream: Upstream, by_operation: &BTreeMap<String, u64>| {
            let all: u64 = by_operation.values().sum();
            let each: Vec<String> =
                by_operation.iter().map(|(name, count)| format!("{count} {name}")).collect();
            let requests = if all == 1 { "request" } else { "requests" };
            format!("{all} {requests} to {} ({})", upstream.name(), each.join(", "))
        };
        let each = [(Upstream::PagerDuty, pagerduty), (Upstream::StrongDm, strongdm)];
        let told: Vec<String> = each
            .into_iter()
            .filter(|(_, calls)| !calls.is_empty())
            .map(|(upstream, calls)| of(upstream, calls))
            .collect();
        if told.is_empty() { f.write_str("no requests") } else { f.write_str(&told.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_in_words_and_read_back() {
        let mut calls = Calls::default();
        assert_eq!(calls.to_string(), "no requests");
        for operation in ["user", "on_calls", "on_calls"] {
            calls.add(Upstream::PagerDuty, operation);
        }
        calls.add(Upstream::StrongDm, "Accounts.List");
        let words = "3 requests to PagerDuty (2 on_calls, 1 user), 1 request to strongDM (1 Accounts.List)";
        assert_eq!(calls.to_string(), words);
        let text = serde_json::to_string(&calls).unwrap();
        assert_eq!(text, r#"{"pagerduty":{"on_calls":2,"user":1},"strongdm":{"Accounts.List":1}}"#);
        assert_eq!(serde_json::from_str::<Calls>(&text).unwrap(), calls);
        assert!(serde_json::from_str::<Calls>("{}").unwrap().is_empty());
    }
}
