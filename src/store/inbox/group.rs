//! A group of deliveries as both databases take it: each statement gets one list in JSON, whatever its length, since
//! what costs is the number of statements and bound values.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Accepted, Delivery};
use crate::store::column::{plain, to_json};

/// Keys above this length are kept as digests: PostgreSQL's index takes no more than some 2,700 bytes.
const LONGEST_KEY: usize = 512;

/// Deliveries that share a transaction.
pub(crate) struct Group<'d> {
    deliveries: &'d [&'d Delivery],
    /// Their keys as they are stored, in the same order.
    keys: Vec<Cow<'d, str>>,
}

impl<'d> Group<'d> {
    pub(crate) fn of(deliveries: &'d [&'d Delivery]) -> Self {
        let keys = deliveries.iter().map(|delivery| stored_key(&delivery.key)).collect();
        Self { deliveries, keys }
    }

    /// The keys to remember, each once and in order: `[[key, seen_ms], …]`.
    pub(crate) fn keys(&self) -> String {
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for (key, delivery) in self.keys.iter().zip(self.deliveries) {
            first.entry(key).or_insert(delivery.received_at.timestamp_millis());
        }
        to_json(&first.into_iter().collect::<Vec<_>>())
    }

    /// What becomes of each delivery, if the store did not know these keys before: the first of each key is new.
    pub(crate) fn outcomes(&self, unknown: Vec<String>) -> Vec<Accepted> {
        let mut unknown: BTreeSet<String> = unknown.into_iter().collect();
        let both = self.keys.iter().zip(self.deliveries);
        let outcomes = both.map(|(key, delivery)| match unknown.remove(key.as_ref()) {
            false => Accepted::Duplicate,
            true if delivery.marks.is_empty() => Accepted::Ignored,
            true => Accepted::New,
        });
        outcomes.collect()
    }

    /// The marks that the new deliveries set, in order: `[[mark, how often, since_ms], …]`; none if they set none.
    pub(crate) fn marks(&self, outcomes: &[Accepted]) -> Option<String> {
        let mut marks: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let both = self.deliveries.iter().zip(outcomes);
        for (delivery, _) in both.filter(|(_, outcome)| **outcome == Accepted::New) {
            let received = delivery.received_at.timestamp_millis();
            for mark in &delivery.marks {
                let (times, since) = marks.entry(plain(&mark.to_string()).into()).or_insert((0, received));
                *times += 1;
                *since = received.min(*since);
            }
        }
        let list: Vec<_> = marks.into_iter().map(|(mark, (times, since))| (mark, times, since)).collect();
        (!list.is_empty()).then(|| to_json(&list))
    }

    /// The rows of the deliveries; `versions` are those that their marks now have. Each is `[received_ms, event_id,
    /// event_type, webhook_id, subscription, status, marks, versions]`, the last two being texts that hold JSON.
    pub(crate) fn rows(&self, outcomes: &[Accepted], versions: &BTreeMap<String, i64>) -> String {
        let both = self.deliveries.iter().zip(outcomes);
        to_json(&both.map(|(delivery, outcome)| row(delivery, *outcome, versions)).collect::<Vec<_>>())
    }
}

fn row(delivery: &Delivery, outcome: Accepted, versions: &BTreeMap<String, i64>) -> Value {
    let Delivery { key: _, received_at, event_id, event_type, webhook_id, subscription, marks } = delivery;
    let kept = |given: &Option<String>| given.as_deref().map(|given| plain(given).into_owned());
    let marks: Vec<String> = marks.iter().map(|mark| plain(&mark.to_string()).into_owned()).collect();
    let versions: Vec<i64> =
        marks.iter().map(|mark| versions.get(mark).copied().unwrap_or_default()).collect();
    json!([
        received_at.timestamp_millis(),
        kept(event_id),
        kept(event_type),
        kept(webhook_id),
        kept(subscription),
        outcome.as_str(),
        to_json(&marks),
        to_json(&versions),
    ])
}

fn stored_key(key: &str) -> Cow<'_, str> {
    if key.len() > LONGEST_KEY || key.contains('\0') {
        format!("digest:{}", hex::encode(Sha256::digest(key))).into()
    } else {
        key.into()
    }
}
