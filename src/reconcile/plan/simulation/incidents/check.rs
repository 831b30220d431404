//! Whether everybody in a story has access when the specification wants it, and what excuses it if not.

use chrono::{DateTime, Utc};

use super::{LONGEST, PEOPLE, pair, story::Story, user};
use crate::{
    model::SecondGrant,
    reconcile::plan::{
        simulation::check::{Minutes, Wrong},
        specification::Specification,
    },
};

/// What came up in stories.
#[derive(Debug, Default)]
pub(super) struct Lived {
    /// Minutes of one person, …
    minutes: u64,
    /// … of these with access, …
    given: u64,
    /// … and without it, or with too much of it.
    wrong: Minutes,
    /// The longest that access was missing, in minutes, that somebody had had and was still meant to have.
    longest_lost: u64,
}

impl Lived {
    pub(super) fn add(&mut self, more: Self) {
        let Self { minutes, given, wrong, longest_lost } = more;
        self.minutes += minutes;
        self.given += given;
        self.wrong.add(wrong);
        self.longest_lost = self.longest_lost.max(longest_lost);
    }

    pub(super) fn is_busy(&self, stories: u64) -> bool {
        self.given > 1_000 * stories && self.wrong.total() > 0
    }

    pub(super) fn print(&self, title: &str) {
        println!("{title}: {} of {} minutes with access", self.given, self.minutes);
        self.wrong.print(title);
        println!("{title}: who had access was without it for {} minutes at most", self.longest_lost);
    }
}

impl Story {
    pub(super) fn check(&mut self, minute: i64, now: DateTime<Utc>) {
        let truth = self.truth();
        let specification =
            Specification { settings: &self.settings, world: &truth, now, noticed: now }.at(now);
        for person in 0..PEOPLE {
            let id = pair(person);
            let until = self.twin.ours_gives_until(&id, now);
            let (has, wants) = (until.is_some(), specification.wants(&id));
            self.given_until.extend(until.map(|until| (person, until)));
            self.lived.minutes += 1;
            self.lived.given += u64::from(has);
            let is_known = self.is_known_to_play(person, now);
            let is_lost = wants && !has && is_known && self.in_force.contains(&person);
            let wrong = match (wants, has) {
                (true, false) => Some(Wrong::Lacks),
                (false, true) => Some(Wrong::StillHas),
                (true, true) | (false, false) => None,
            };
            if let Some(wrong) = wrong {
                let Some(excuse) = self.excuse(person, is_lost, now) else {
                    panic!(
                        "SIMULATION_SEED={}: minute {minute}: person {person} {wrong:?} (lost: {is_lost})\n{}\n{:#?}",
                        self.seed,
                        self.plan,
                        self.known.iter().filter(|part| part.user == user(person)).collect::<Vec<_>>(),
                    );
                };
                self.lived.wrong.count(wrong, excuse);
            }
            let missing_for = self.missing_for.entry(person).or_default();
            *missing_for = if is_lost { *missing_for + 1 } else { 0 };
            self.lived.longest_lost = self.lived.longest_lost.max(*missing_for);
            // Once it is lost it stays so until it comes back, or the part is over.
            if wants && (has || is_lost) && is_known {
                self.in_force.insert(person);
            } else {
                self.in_force.remove(&person);
            }
        }
    }

    /// Whether passes know a part of this person that goes on.
    fn is_known_to_play(&self, person: usize, now: DateTime<Utc>) -> bool {
        let user = user(person);
        let mut theirs = self.known.iter().filter(|part| part.user == user);
        theirs.any(|part| part.ends.is_none() && now < part.since + LONGEST)
    }

    fn excuse(&self, person: usize, is_lost: bool, now: DateTime<Utc>) -> Option<&'static str> {
        let id = pair(person);
        let refuses = self.twin.really != SecondGrant::Taken;
        let waits = refuses && self.waiting.contains(&id);
        let ended = self.given_until.get(&person).is_some_and(|until| *until <= now);
        let failed = self.failed.contains(&id) && (refuses || !is_lost || ended && !self.sees_all);
        let excuses = [
            (!self.sees_all && !is_lost, "PagerDuty, strongDM or the process is or was away"),
            (failed, "a change that nobody announced, or a write that failed"),
            (waits, "strongDM refuses a second grant, so it waits"),
        ];
        excuses.into_iter().find(|(is_so, _)| *is_so).map(|(_, excuse)| excuse)
    }
}
