//! What the log keeps of a REST request.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// One REST request that arrived, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// The path alone.
    pub path: String,
    /// The query, decoded: `schedule_ids[]=PI7DH85&time_zone=UTC`.
    pub query: String,
    /// When it arrived, by the stand-in's clock.
    pub at: DateTime<Utc>,
    /// The number of its connection.
    pub connection: u64,
    /// All headers but `Authorization`.
    pub headers: BTreeMap<String, String>,
    /// The status of the answer; nothing while it is under way or if its connection was dropped.
    pub status: Option<u16>,
}

/// The headers that the log may keep: all but the key.
pub(super) fn loggable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let shown = headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
    shown.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}
