//! Look-ups that rarely change: accounts, resources and e-mail addresses. The usual pass asks nothing of them again;
//! an answer grows old, and one that a write proves wrong is forgotten at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;

use super::{acquaintances::Acquaintances, failures::Failures};
use crate::{
    model::{
        Email, Group, Incident, IncidentId, IncidentState, Pair, PolicyId, ResourceSelector, Source, UserId,
    },
    pagerduty::PolicyInfo,
    reconcile::{
        scope::Scope,
        world::{AccountMatch, PagedInVain, PagedThrough, ResourceMatch},
    },
};

/// How long a usable answer is trusted. Renames and new members of a filter show within this time.
const FOUND: TimeDelta = TimeDelta::minutes(5);
/// How long an answer is trusted that leaves somebody without access; whoever mends it does not want to wait.
const MISSING: TimeDelta = TimeDelta::seconds(30);

/// So many things that failed are tried again at once.
const TRIES: usize = 8;

/// The answers of earlier looks, and what failed in them.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// PagerDuty's e-mail addresses.
    pub(crate) people: Answers<UserId, Option<String>>,
    /// strongDM's accounts.
    pub(crate) accounts: Answers<Email, AccountMatch>,
    /// strongDM's resources.
    pub(crate) resources: Answers<ResourceSelector, ResourceMatch>,
    /// Who was seen on call before, for as long as it takes until everybody is seen again.
    pub(super) acquaintances: Acquaintances,
    /// Whom PagerDuty's escalation policies page.
    pub(crate) policies: Answers<PolicyId, PolicyInfo>,
    /// What became of incidents that are in no list any more.
    pub(crate) incidents: Answers<IncidentId, Incident>,
    /// Who belongs to the groups whose members may get access because of an incident.
    pub(crate) members: Answers<Group, BTreeSet<UserId>>,
    /// Whom incidents may pull in.
    pub(super) standby: Mutex<Standby>,
    /// Held while that is learned.
    pub(super) preparing: tokio::sync::Mutex<()>,
    /// The questions that found no answer.
    pub(super) failures: AllFailures,
    /// When each schedule and policy was last asked about with success: who waited longest is asked first.
    pub(super) seen: Mutex<BTreeMap<Source, DateTime<Utc>>>,
}

/// The questions that found no answer, by what was asked.
#[derive(Debug)]
pub(super) struct AllFailures {
    pub(super) sources: Failures<Source>,
    pub(super) people: Failures<UserId>,
    pub(super) accounts: Failures<Email>,
    pub(super) resources: Failures<ResourceSelector>,
    pub(super) incidents: Failures<IncidentId>,
    pub(super) members: Failures<Group>,
    /// Held by those that are tried again.
    pub(super) tries: Semaphore,
}

impl Default for AllFailures {
    fn default() -> Self {
        let (sources, people, accounts, resources) =
            (Failures::default(), Failures::default(), Failures::default(), Failures::default());
        let (incidents, members) = (Failures::default(), Failures::default());
        Self { sources, people, accounts, resources, incidents, members, tries: Semaphore::new(TRIES) }
    }
}

/// Whom the escalation policies of the rules' services page within the horizon, as last seen.
#[derive(Debug, Default)]
pub(super) struct Standby {
    /// When that was asked; none if it is to be asked anew. What is known is told until then.
    pub(super) asked: Option<DateTime<Utc>>,
    pub(super) paged: BTreeMap<Email, BTreeSet<PagedThrough>>,
    /// Those of them who would get nothing.
    pub(super) in_vain: Vec<PagedInVain>,
}

impl Cache {
    /// Forgets everything, failures as well: somebody asked for a fresh look. Who else there is, only a look at everything
    /// can show again.
    pub(crate) fn clear(&self, scope: &Scope) {
        if *scope == Scope::All {
            self.acquaintances.clear();
        }
        self.people.entries().clear();
        self.accounts.entries().clear();
        self.resources.entries().clear();
        self.policies.entries().clear();
        self.incidents.entries().clear();
        self.members.entries().clear();
        self.standby.lock().asked = None;
        self.failures.sources.clear();
        self.failures.people.clear();
        self.failures.accounts.clear();
        self.failures.resources.clear();
        self.failures.incidents.clear();
        self.failures.members.clear();
    }

    /// Drops what nobody asked for again.
    pub(super) fn prune(&self, now: DateTime<Utc>) {
        self.people.prune(now);
        self.accounts.prune(now);
        self.resources.prune(now);
        self.policies.prune(now);
        self.incidents.prune(now);
        self.members.prune(now);
        self.acquaintances.prune(now);
    }

    /// Forgets what led to this account and resource, because strongDM does not know one of them.
    pub(crate) fn forget(&self, pair: &Pair) {
        self.accounts
            .entries()
            .retain(|_, entry| !matches!(&entry.answer, AccountMatch::One(one) if one.id == pair.account));
        self.resources.entries().retain(|_, entry| {
            !matches!(&entry.answer, ResourceMatch::Found(all) if all.iter().any(|one| one.id == pair.resource))
        });
    }
}

/// Which answers of earlier looks will do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Demand {
    /// All that are trusted.
    Trusted,
    /// Those that are not about to grow old. A look at everything asks again before anybody has to wait for that.
    Lasting,
    /// Those that were asked for by looks that began then or later: what an earlier look asked for is no second look,
    /// whenever the answer came.
    Since(DateTime<Utc>),
}

/// Answers of one kind.
#[derive(Debug)]
pub(crate) struct Answers<K, V>(Mutex<BTreeMap<K, Entry<V>>>);

#[derive(Debug)]
struct Entry<V> {
    answer: V,
    /// When the look began that asked for it, at the latest.
    asked: DateTime<Utc>,
    /// From when on a look at everything asks again: a different one for each, so that a thousand are not asked for at once.
    renewed: DateTime<Utc>,
    /// Until when it is trusted.
    until: DateTime<Utc>,
}

impl<V> Entry<V> {
    fn meets(&self, demand: Demand, now: DateTime<Utc>) -> bool {
        // One that was asked for in the future was so before the clock was set back.
        self.asked <= now
            && match demand {
                Demand::Trusted => now < self.until,
                Demand::Lasting => now < self.renewed,
                Demand::Since(then) => self.asked >= then,
            }
    }
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Hash + Clone, V: Clone + Usable> Answers<K, V> {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<K, Entry<V>>> {
        self.0.lock()
    }

    /// The answer, if one will do at `now`.
    pub(super) fn get(&self, key: &K, now: DateTime<Utc>, demand: Demand) -> Option<V> {
        self.entries().get(key).filter(|entry| entry.meets(demand, now)).map(|entry| entry.answer.clone())
    }

    /// Remembers the answer to what a look asked that began at `asked`, unless a younger one was answered before.
    pub(super) fn put(&self, key: K, answer: V, asked: DateTime<Utc>) {
        let mut entries = self.entries();
        // One that is much younger was asked for before the clock was set back.
        let is_late = |known: &Entry<V>| known.asked > asked && known.asked - asked < FOUND;
        if entries.get(&key).is_some_and(is_late) {
            return;
        }
        let trusted = if answer.is_usable() { FOUND } else { MISSING };
        let renewed = asked
            + TimeDelta::milliseconds(fastrand::i64(
                trusted.num_milliseconds() / 2..trusted.num_milliseconds(),
            ));
        entries.insert(key, Entry { answer, asked, renewed, until: asked + trusted });
    }

    fn prune(&self, now: DateTime<Utc>) {
        self.entries().retain(|_, entry| now < entry.until + FOUND);
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

impl Usable for Incident {
    // One that is open is soon in a list again, or moved away.
    fn is_usable(&self) -> bool {
        self.state != IncidentState::Open
    }
}

impl Usable for BTreeSet<UserId> {
    fn is_usable(&self) -> bool {
        !self.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_thousand_answers_of_one_moment_are_asked_for_again_at_a_thousand_moments() {
        let answers = Answers::<UserId, Option<String>>::default();
        let users: Vec<UserId> = (0..1_000).map(|n| UserId::from(format!("P{n}"))).collect();
        for user in &users {
            answers.put(user.clone(), Some("ana@example.com".to_owned()), at(0));
        }
        let lasting = |second| {
            users.iter().filter(|user| answers.get(user, at(second), Demand::Lasting).is_some()).count()
        };
        assert_eq!((lasting(149), lasting(300)), (1_000, 0));
        for minute in [150, 180, 210, 240] {
            let asked = lasting(minute) - lasting(minute + 30);
            assert!(asked < 400, "{asked} at once after {minute} s");
        }
        // Nobody who asks about one of them has to wait meanwhile.
        assert!(users.iter().all(|user| answers.get(user, at(299), Demand::Trusted).is_some()));
        assert!(users.iter().all(|user| answers.get(user, at(300), Demand::Trusted).is_none()));
    }

    #[test]
    fn a_second_look_believes_no_answer_of_the_first() {
        let answers = Answers::<UserId, Option<String>>::default();
        let user = UserId::from("PA");
        answers.put(user.clone(), Some("ana@example.com".to_owned()), at(0));
        assert!(answers.get(&user, at(2), Demand::Since(at(2))).is_none());
        answers.put(user.clone(), None, at(2));
        assert_eq!(answers.get(&user, at(2), Demand::Since(at(2))), Some(None));
        // The first look goes on asking beside, and its answer comes late.
        answers.put(user.clone(), Some("ana@example.com".to_owned()), at(0));
        assert_eq!(answers.get(&user, at(2), Demand::Since(at(2))), Some(None));
        answers.put(user.clone(), Some("ana@example.com".to_owned()), at(3));
        assert!(answers.get(&user, at(-1), Demand::Trusted).is_none(), "the clock was set back");
    }
}
