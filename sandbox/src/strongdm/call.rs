//! What the log keeps of a gRPC call.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use prost::Message;
use prost_types::Timestamp;
use serde::Serialize;

use super::{timestamp, v1};

/// One call that arrived, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// As it is signed: `AccountGrants.Create`.
    pub method: String,
    /// When it arrived, by the stand-in's clock.
    pub at: DateTime<Utc>,
    /// The number of its connection.
    pub connection: u64,
    /// The value of `x-sdm-user-agent`.
    pub user_agent: String,
    /// What the request says, without empty fields: of a list `filter`, `cursor` and `limit`; of a creation
    /// `account_id`, `resource_id`, `start_from`, `valid_until` and `access_rule`; else `id`.
    pub facts: BTreeMap<String, String>,
    /// The gRPC code of the answer; nothing while it is under way or if its connection was dropped.
    pub code: Option<i32>,
}

impl Call {
    /// One fact; empty if the request does not say it.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

/// What a request says, for the log and for matching faults.
pub(super) fn facts(method: &str, message: &[u8]) -> BTreeMap<String, String> {
    let facts = if method.ends_with(".List") {
        // All list requests have the same two fields.
        let request = v1::AccountListRequest::decode(message).unwrap_or_default();
        let meta = request.meta.unwrap_or_default();
        let limit = if meta.limit == 0 { String::new() } else { meta.limit.to_string() };
        vec![("filter", request.filter), ("cursor", meta.cursor), ("limit", limit)]
    } else if method == "AccountGrants.Create" {
        let request = v1::AccountGrantCreateRequest::decode(message).unwrap_or_default();
        let grant = request.account_grant.unwrap_or_default();
        vec![
            ("start_from", time(grant.start_from.as_ref())),
            ("valid_until", time(grant.valid_until.as_ref())),
            ("account_id", grant.account_id),
            ("resource_id", grant.resource_id),
            ("access_rule", grant.access_rule),
        ]
    } else {
        vec![("id", v1::AccountGetRequest::decode(message).unwrap_or_default().id)]
    };
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.into(), value))
        .collect()
}

fn time(stamp: Option<&Timestamp>) -> String {
    timestamp::read(stamp).ok().flatten().map(|time| time.to_rfc3339()).unwrap_or_default()
}
