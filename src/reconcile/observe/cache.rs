//! Look-ups that rarely change: accounts, resources and e-mail addresses. The usual pass asks nothing of them again;
//! an answer grows old, and one that a write proves wrong is forgotten at once.

use std::{collections::BTreeMap, hash::Hash};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

use crate::{
    model::{Email, Pair, PolicyId, ResourceSelector, UserId},
    pagerduty::PolicyInfo,
    reconcile::world::{AccountMatch, ResourceMatch},
};

/// How long a usable answer is trusted. Renames and new members of a filter show within this time.
const FOUND: TimeDelta = TimeDelta::minutes(5);
/// How long an answer is trusted that leaves somebody without access; whoever mends it does not want to wait.
const MISSING: TimeDelta = TimeDelta::seconds(30);

/// The answers of earlier passes.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// PagerDuty's e-mail addresses.
    pub(crate) people: Answers<UserId, Option<String>>,
    /// strongDM's accounts.
    pub(crate) accounts: Answers<Email, AccountMatch>,
    /// strongDM's resources.
    pub(crate) resources: Answers<ResourceSelector, ResourceMatch>,
    /// Whom PagerDuty's escalation policies page.
    pub(crate) policies: Answers<PolicyId, PolicyInfo>,
}

impl Cache {
    /// Forgets everything: somebody asked for a fresh look.
    pub(crate) fn clear(&self) {
        self.people.entries().clear();
        self.accounts.entries().clear();
        self.resources.entries().clear();
        self.policies.entries().clear();
    }

    /// Forgets what led to this account and resource, because strongDM does not know one of them.
    pub(crate) fn forget(&self, pair: &Pair) {
        self.accounts
            .entries()
            .retain(|_, (_, found)| !matches!(found, AccountMatch::One(one) if one.id == pair.account));
        self.resources.entries().retain(|_, (_, found)| {
            !matches!(found, ResourceMatch::Found(all) if all.iter().any(|one| one.id == pair.resource))
        });
    }
}

/// Answers of one kind, each with the moment until which it is trusted.
#[derive(Debug)]
pub(crate) struct Answers<K, V>(Mutex<BTreeMap<K, (DateTime<Utc>, V)>>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Hash + Clone, V: Clone + Usable> Answers<K, V> {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<K, (DateTime<Utc>, V)>> {
        self.0.lock()
    }

    /// The answer, if one is trusted at `now`.
    pub(crate) fn get(&self, key: &K, now: DateTime<Utc>) -> Option<V> {
        let entries = self.entries();
        // An answer from the future was given before the clock was set back.
        let fresh = entries.get(key).filter(|(until, _)| now < *until && *until <= now + FOUND);
        fresh.map(|(_, answer)| answer.clone())
    }

    /// Remembers an answer given at `now`, and drops those that nobody asked for again.
    pub(crate) fn put(&self, key: K, answer: V, now: DateTime<Utc>) {
        let trusted = if answer.is_usable() { FOUND } else { MISSING };
        let mut entries = self.entries();
        entries.retain(|_, (until, _)| now < *until + FOUND);
        entries.insert(key, (now + trusted, answer));
    }
}

/// Whether an answer gives somebody access.
pub(crate) trait Usable {
    /// True if it does.
    fn is_usable(&self) -> bool;
}

impl Usable for Option<String> {
    fn is_usable(&self) -> bool {
        self.is_some()
    }
}

impl Usable for PolicyInfo {
    fn is_usable(&self) -> bool {
        true
    }
}

impl Usable for AccountMatch {
    fn is_usable(&self) -> bool {
        matches!(self, Self::One(account) if !account.suspended)
    }
}

impl Usable for ResourceMatch {
    fn is_usable(&self) -> bool {
        matches!(self, Self::Found(found) if !found.is_empty())
    }
}
