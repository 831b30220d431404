//! What the newest look at each source was told. Passes look at the same time, and one that asked long ago may decide last:
//! it then decides by what a younger look was told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::world::World;
use crate::model::{Observed, ServiceId, Source};

/// The newest looks of this process.
#[derive(Debug, Default)]
pub(super) struct NewestLooks {
    begun: AtomicU64,
    /// The youngest look that saw everything, and whose pass has decided.
    whole: AtomicU64,
    /// By source, the youngest look that was answered.
    answered: Mutex<BTreeMap<Source, Answered>>,
}

/// A look that was answered.
#[derive(Clone, Debug)]
struct Answered {
    look: LookNumber,
    seen: Arc<World>,
}

/// Younger looks have larger numbers, whatever the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LookNumber(u64);

/// By which look a pass decides about each source.
#[derive(Clone, Debug)]
pub(super) struct DecidedBy {
    own: LookNumber,
    younger: BTreeMap<Source, LookNumber>,
}

impl DecidedBy {
    /// The pass's own look.
    pub(super) fn own(look: LookNumber) -> Self {
        Self { own: look, younger: BTreeMap::new() }
    }

    fn at(&self, source: &Source) -> LookNumber {
        self.younger.get(source).copied().unwrap_or(self.own)
    }
}

impl NewestLooks {
    /// Begins a look.
    pub(super) fn begin(&self) -> LookNumber {
        LookNumber(self.begun.fetch_add(1, Ordering::Relaxed))
    }

    /// Records what a look was told.
    pub(super) fn record(&self, look: LookNumber, world: &World) {
        let seen = Arc::new(World { recorded: super::world::Recorded::default(), ..world.clone() });
        let mut answered = self.answered.lock();
        for source in world.asked_sources() {
            let is_newer = answered.get(&source).is_none_or(|newest| newest.look <= look);
            if is_newer && world.is_answered(&source) {
                answered.insert(source, Answered { look, seen: Arc::clone(&seen) });
            }
        }
    }

    /// Records that a look at everything left nothing unknown.
    pub(super) fn record_whole(&self, decided_by: &DecidedBy) {
        self.whole.fetch_max(decided_by.own.0, Ordering::Relaxed);
    }

    /// Whether a younger look saw everything. One that did not knows less than this one may.
    pub(super) fn is_superseded(&self, look: LookNumber) -> bool {
        self.whole.load(Ordering::Relaxed) > look.0
    }

    /// Whether a look at `source` was answered that is younger than the one that was decided by.
    pub(super) fn is_outdated(&self, decided_by: &DecidedBy, source: &Source) -> bool {
        self.answered.lock().get(source).is_some_and(|newest| newest.look > decided_by.at(source))
    }

    /// Puts what younger looks were told into `world`. Together they are one look that was over when the last of them was.
    pub(super) fn bring_up_to_date(&self, decided_by: &mut DecidedBy, world: &mut World) {
        let younger: BTreeMap<Source, Answered> = {
            let answered = self.answered.lock();
            let answers =
                world.asked_sources().filter_map(|source| Some((answered.get(&source)?.clone(), source)));
            let younger = answers.filter(|(newest, source)| newest.look > decided_by.at(source));
            younger.map(|(newest, source)| (source, newest)).collect()
        };
        for (source, Answered { look, seen }) in younger {
            let World { on_calls, doubts, people, accounts, seen_at, .. } = &*seen;
            if let Source::Service(id) = &source {
                take_incidents(world, &seen, id);
            }
            if let Some(Observed::Known(told)) = on_calls.get(&source) {
                for user in told.iter().map(|on_call| &on_call.user) {
                    world.people.extend(people.get(user).map(|person| (user.clone(), person.clone())));
                }
                world.on_calls.insert(source.clone(), Observed::Known(told.clone()));
            }
            match doubts.get(&source) {
                Some(doubt) => drop(world.doubts.insert(source.clone(), doubt.clone())),
                None => drop(world.doubts.remove(&source)),
            }
            world.seen_at = world.seen_at.max(*seen_at);
            for (email, account) in accounts {
                if !world.accounts.contains_key(email) {
                    world.accounts.insert(email.clone(), account.clone());
                }
            }
            decided_by.younger.insert(source, look);
        }
    }
}

/// Puts what a younger look was told about a service into `world`.
fn take_incidents(world: &mut World, seen: &World, service: &ServiceId) {
    let Some(Observed::Known(told)) = seen.incidents.get(service) else { return };
    let before = world.incidents.insert(service.clone(), Observed::Known(told.clone()));
    if let Some(Observed::Known(before)) = before {
        for incident in before {
            world.unseen_incidents.remove(&incident.about.id);
        }
    }
    for incident in told {
        world.unseen_incidents.remove(&incident.about.id);
    }
    world.unseen_incidents.extend(seen.unseen_incidents.clone());
    // Whose part is over may keep access for a while, and is in no answer any more.
    world.people.extend(seen.people.iter().map(|(user, person)| (user.clone(), person.clone())));
    world.acquaintances.extend(seen.acquaintances.clone());
    world.members.extend(seen.members.iter().map(|(group, members)| (group.clone(), members.clone())));
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{OnCall, UserId};

    fn source(id: &str) -> Source {
        Source::Schedule(id.into())
    }

    fn on_call(who: &str) -> OnCall {
        OnCall {
            user: UserId::from(who),
            email: None,
            schedule: None,
            policy: None,
            level: None,
            start: None,
            end: None,
        }
    }

    fn world(second: i64, told: &[(&str, &str)]) -> World {
        let mut world = World { seen_at: DateTime::from_timestamp(second, 0).unwrap(), ..World::default() };
        for (id, who) in told {
            world.on_calls.insert(source(id), Observed::Known(vec![on_call(who)]));
            world.people.insert(UserId::from(*who), Observed::Known(Some(format!("{who}@corp.example"))));
        }
        world
    }

    #[test]
    fn an_old_look_is_decided_by_what_a_younger_one_was_told() {
        let looks = NewestLooks::default();
        let (old, young) = (looks.begin(), looks.begin());
        let (mut of_old, mut of_young) =
            (world(9, &[("PA", "ana"), ("PB", "bo")]), world(5, &[("PB", "cem")]));
        of_young.on_calls.insert(source("PA"), Observed::Unknown("HTTP 500".into()));
        of_old.doubts.insert(source("PB"), "a doubt".into());
        looks.record(young, &of_young);
        looks.record(old, &of_old);
        assert!(!looks.is_superseded(old), "the younger one did not see everything");
        looks.record_whole(&DecidedBy::own(young));
        assert!(looks.is_superseded(old) && !looks.is_superseded(young));
        let mut decided_by = DecidedBy::own(old);
        assert!(
            looks.is_outdated(&decided_by, &source("PB")) && !looks.is_outdated(&decided_by, &source("PA"))
        );
        looks.bring_up_to_date(&mut decided_by, &mut of_old);
        let mut both = world(9, &[("PA", "ana"), ("PB", "bo"), ("PB", "cem")]);
        assert_eq!(of_old, both, "who was told about PA stays, since the younger look was not answered");
        assert!(!looks.is_outdated(&decided_by, &source("PB")));
        both.seen_at = of_young.seen_at;
        let unchanged = of_young.clone();
        looks.bring_up_to_date(&mut DecidedBy::own(young), &mut of_young);
        assert_eq!(of_young, unchanged);
    }
}
