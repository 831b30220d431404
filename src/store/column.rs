//! What stands in the columns, to and from our types: instants as numbers, lists and records as JSON, texts that both
//! databases can hold.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

use super::Error;
use crate::model::KubernetesGroups;

/// A text that both databases can hold and find again: PostgreSQL knows no zero character.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

pub(super) fn from_ms(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

pub(super) fn from_seconds(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| Error::corrupt(what, text))
}

pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data always serialises")
}

/// Groups as they are stored: sorted, so that equal ones are equal texts; nothing without any.
pub(super) fn write_groups(groups: &KubernetesGroups) -> Option<String> {
    (!groups.is_empty()).then(|| to_json(groups))
}

pub(super) fn read_groups(text: Option<&str>) -> Result<KubernetesGroups, Error> {
    text.map_or(Ok(KubernetesGroups::default()), |text| from_json("list of Kubernetes groups", text))
}
