//! What happens in a simulation, and when: decided by the seed alone.

use chrono::TimeDelta;

use super::{
    rotas::{Minute, Override},
    service::Simulation,
    upstream::{ACCOUNTS, PEOPLE, RESOURCES, pair},
};
use crate::model::{GrantId, SecondGrant, Window};

const HOUR: Minute = 60;
const DAY: Minute = 24 * HOUR;
/// One event in so many minutes, on average.
pub(super) const EVERY: i64 = 340;

/// A small generator whose numbers are the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// At least zero and less than `limit`.
    pub(super) fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        i64::try_from(mixed % limit.unsigned_abs()).unwrap()
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(i64::try_from(limit).unwrap())).unwrap()
    }
}

impl Simulation {
    /// Something happens at the start of `minute`.
    pub(super) fn happen(&mut self, minute: Minute) {
        match self.random.below(18) {
            0 | 1 => self.swap(minute),
            2 | 3 => self.cover(minute),
            4 => self.remove_override(minute),
            5 => self.vanish(minute),
            6 => {
                let which = self.random.index(3);
                self.upstream.rotas[which].in_pieces ^= true;
            }
            7 => self.upstream.pagerduty_down = minute + 1 + self.random.below(2 * HOUR),
            8 => self.strongdm_fails(minute),
            9 => {
                self.process_down = minute + self.random.below(10);
                self.take_over(self.upstream.instant(minute));
            }
            10 => self.reorganise(minute),
            11 | 14 => self.foreign(minute),
            12 => self.reconfigure(minute),
            15 => self.wrong_clock(minute),
            16 => self.take_over(self.upstream.instant(minute)),
            17 => self.dies_after = Some(self.random.below(3)),
            _ => {
                let chosen = self.random.index(2 * ACCOUNTS);
                let before = self.upstream.suspended;
                self.upstream.suspended = (chosen < ACCOUNTS).then_some(chosen);
                self.changed(minute, before.into_iter().chain(Some(chosen)).collect::<Vec<_>>().as_slice());
            }
        }
    }

    /// Notes that the access of these people may be wrong now, and perhaps announces it.
    fn changed(&mut self, minute: Minute, people: &[usize]) {
        for person in people.iter().filter(|person| **person < ACCOUNTS) {
            for name in RESOURCES {
                self.stale.entry(pair(*person, name)).or_insert(minute);
            }
        }
        if self.random.below(5) > 0 {
            let delay = TimeDelta::seconds(self.random.below(3 * HOUR));
            self.hint = Some(self.upstream.instant(minute) + delay);
        }
    }

    /// A schedule that still exists.
    fn some_rota(&mut self, minute: Minute) -> Option<usize> {
        let which = self.random.index(3);
        (minute >= self.upstream.vanished[which]).then_some(which)
    }

    fn add_overrides(&mut self, minute: Minute, which: usize, overrides: &[Override]) {
        let rota = &mut self.upstream.rotas[which];
        let mut people: Vec<usize> = overrides.iter().map(|new| new.person).collect();
        for new in overrides {
            let covered = rota.shifts.iter().filter(|it| it.start < new.until && new.from < it.end);
            people.extend(covered.map(|shift| shift.person));
        }
        rota.overrides.extend_from_slice(overrides);
        rota.work_out();
        self.changed(minute, &people);
    }

    /// Two coming shifts change hands.
    fn swap(&mut self, minute: Minute) {
        let Some(which) = self.some_rota(minute) else { return };
        let shifts = &self.upstream.rotas[which].shifts;
        let first = shifts.partition_point(|shift| shift.end <= minute) + self.random.index(3);
        let second = first + 1 + self.random.index(3);
        let Some((first, second)) = shifts.get(first).copied().zip(shifts.get(second).copied()) else {
            return;
        };
        let from = first.start.max(minute);
        let there = Override { from, until: first.end, person: second.person };
        let back = Override { from: second.start, until: second.end, person: first.person };
        self.add_overrides(minute, which, &[there, back]);
    }

    /// Somebody covers a stretch of time, perhaps from now on.
    fn cover(&mut self, minute: Minute) {
        let Some(which) = self.some_rota(minute) else { return };
        let from = minute + (self.random.below(4) - 1).max(0) * self.random.below(DAY);
        let until = from + 30 + self.random.below(36 * HOUR);
        let person = self.random.index(PEOPLE);
        self.add_overrides(minute, which, &[Override { from, until, person }]);
    }

    fn remove_override(&mut self, minute: Minute) {
        let Some(which) = self.some_rota(minute) else { return };
        let rota = &mut self.upstream.rotas[which];
        let open = (0..rota.overrides.len()).filter(|index| rota.overrides[*index].until > minute);
        let open: Vec<usize> = open.collect();
        if !open.is_empty() {
            let chosen = open[self.random.index(open.len())];
            rota.remove_override(chosen, minute);
            self.changed(minute, &(0..ACCOUNTS).collect::<Vec<_>>());
        }
    }

    fn vanish(&mut self, minute: Minute) {
        let which = self.random.index(3);
        self.upstream.vanished[which] = minute + 10 + self.random.below(HOUR);
        if self.random.below(16) == 0 {
            self.upstream.vanished[which] += DAY;
        }
    }

    fn strongdm_fails(&mut self, minute: Minute) {
        let until = minute + 1 + self.random.below(2 * HOUR);
        self.upstream.writes_down = until;
        if self.random.below(2) == 0 {
            self.upstream.look_ups_down = until;
        }
    }

    /// The service's clock is up to ten minutes fast or slow for a while.
    fn wrong_clock(&mut self, minute: Minute) {
        let seconds = 1 + self.random.below(600);
        let is_slow = self.random.below(2) == 0;
        self.set_clock(minute, TimeDelta::seconds(if is_slow { -seconds } else { seconds }));
        self.clock_wrong_until = minute + 10 + self.random.below(2 * HOUR);
    }

    /// Everyone's shift changes hands at once.
    fn reorganise(&mut self, minute: Minute) {
        for which in 0..3 {
            let until = minute + 4 * HOUR + self.random.below(8 * HOUR);
            let person = self.random.index(PEOPLE);
            if minute >= self.upstream.vanished[which] {
                self.add_overrides(minute, which, &[Override { from: minute, until, person }]);
            }
        }
    }

    /// Somebody else makes or removes a grant.
    fn foreign(&mut self, minute: Minute) {
        let theirs = self.twin.remote.iter().filter(|found| found.id.as_str().starts_with("fg-"));
        let theirs: Vec<GrantId> = theirs.map(|found| found.id.clone()).collect();
        let person = self.random.index(ACCOUNTS);
        if theirs.is_empty() || self.random.below(3) > 0 {
            // Behind the horizon nothing of ours is in the way yet. Where any second grant is refused, such a one
            // would stand in the way of everything.
            let far = if self.twin.really == SecondGrant::Refused { 0 } else { self.upstream.horizon * DAY };
            let start = minute + self.random.below(2) * (far + self.random.below(2 * DAY));
            let end = start + HOUR + self.random.below(12 * HOUR);
            let resource = RESOURCES[self.random.index(RESOURCES.len())];
            let window = Window::new(self.upstream.instant(start), self.upstream.instant(end)).unwrap();
            self.twin.add(self.upstream.instant(minute) + self.twin.ahead, pair(person, resource), window);
            self.changed(minute, &[person]);
        } else {
            let chosen = &theirs[self.random.index(theirs.len())];
            self.twin.delete(Some(chosen));
            self.changed(minute, &(0..ACCOUNTS).collect::<Vec<_>>());
        }
    }

    /// The tags of a resource, or the permanent member of the policy, change.
    fn reconfigure(&mut self, minute: Minute) {
        if self.random.below(2) == 0 {
            self.upstream.wide ^= true;
        } else {
            self.upstream.always = (self.random.below(3) > 0).then(|| self.random.index(PEOPLE));
        }
        self.changed(minute, &(0..ACCOUNTS).collect::<Vec<_>>());
    }
}
