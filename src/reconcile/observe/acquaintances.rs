//! Who was seen on call before. Where whole domains are mapped, two people may count under one address of strongDM. A look
//! at one schedule does not show the other of them, so that it takes a memory to know.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::model::{Aliases, Email, UserId};

/// A full look comes at least once a day.
const REMEMBERED: TimeDelta = TimeDelta::hours(25);

/// The people whom earlier looks saw on call; nobody where no domain is mapped.
#[derive(Debug, Default)]
pub(super) struct Acquaintances(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    seen: BTreeMap<UserId, Seen>,
    /// The users by the strongDM address under which they count.
    by_email: BTreeMap<Email, BTreeSet<UserId>>,
}

/// What PagerDuty told of somebody, and when.
#[derive(Debug)]
struct Seen {
    raw: String,
    email: Email,
    at: DateTime<Utc>,
}

impl Acquaintances {
    /// Remembers somebody with the address that PagerDuty tells, and returns the others who count under the same address of
    /// strongDM.
    pub(super) fn meet(
        &self,
        aliases: &Aliases,
        user: &UserId,
        raw: &str,
        now: DateTime<Utc>,
    ) -> Vec<(UserId, String)> {
        if aliases.domains().is_empty() {
            return Vec::new();
        }
        let mut known = self.0.lock();
        known.forget(user);
        let Ok(email) = aliases.account_email(raw) else { return Vec::new() };
        let same = known.by_email.entry(email.clone()).or_default();
        let others: Vec<UserId> = same.iter().cloned().collect();
        same.insert(user.clone());
        known.seen.insert(user.clone(), Seen { raw: raw.to_owned(), email, at: now });
        others
            .into_iter()
            .filter_map(|other| Some((other.clone(), known.seen.get(&other)?.raw.clone())))
            .collect()
    }

    pub(super) fn prune(&self, now: DateTime<Utc>) {
        let mut known = self.0.lock();
        let is_old = |seen: &Seen| (now - seen.at).abs() > REMEMBERED;
        let old: Vec<UserId> =
            known.seen.iter().filter(|(_, seen)| is_old(seen)).map(|(user, _)| user.clone()).collect();
        for user in old {
            known.forget(&user);
        }
    }

    pub(super) fn clear(&self) {
        *self.0.lock() = Known::default();
    }
}

impl Known {
    fn forget(&mut self, user: &UserId) {
        let Some(Seen { email, .. }) = self.seen.remove(user) else { return };
        if let Some(same) = self.by_email.get_mut(&email) {
            same.remove(user);
            if same.is_empty() {
                self.by_email.remove(&email);
            }
        }
    }
}
