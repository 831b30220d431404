//! Two months in the life of the service, compared minute by minute with what the rotations want.
//!
//! `SIMULATION_SEED` sets the first seed (a failure prints its own), `SIMULATION_SEEDS` how many are tried. Even
//! seeds live through an autumn, odd ones through a spring (the other way round where overlaps are refused).
//!
//! In every minute everyone must have exactly the access and the Kubernetes groups that are wanted, one second after its start, except
//!
//! * for a quarter of an hour after a change that nothing announced, or from when it could be seen and acted upon;
//! * for grants that the guard holds;
//! * for a suspended account, which keeps what it has and gets nothing;
//! * where strongDM refuses a second grant: while a foreign grant of the pair is in the way, and, for access that is
//!   missing, until a minute after an outage, because what was deferred to then could not be granted.

mod incidents;
mod rotas;
mod story;
mod upstream;

use std::{collections::BTreeMap, env};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use self::{
    rotas::{DAYS, Minute},
    story::{EVERY, Random},
    upstream::{ACCOUNTS, GROUPS, RESOURCES, Upstream, account, pair, resource_id, settings},
};
use super::{
    Plan, Released, Settings, plan,
    tests::twin::{Fault, Twin},
};
use crate::{
    model::{AccountId, Pair, SecondGrant},
    reconcile::world::World,
};

/// Minutes between full passes without a reason.
const INTERVAL: Minute = 15;
/// The longest pause between retries, in seconds.
const LONGEST_PAUSE: i64 = 60;

struct Simulation {
    seed: u64,
    random: Random,
    upstream: Upstream,
    settings: Settings,
    twin: Twin,
    /// The process does not run before this minute.
    process_down: Minute,
    last_pass: DateTime<Utc>,
    wake: Option<DateTime<Utc>>,
    retry_at: Option<DateTime<Utc>>,
    failures: u32,
    /// When a webhook arrives.
    hint: Option<DateTime<Utc>>,
    /// When an operator lets the held revocations through.
    operator: Option<DateTime<Utc>>,
    /// Pairs whose access may be wrong, since when.
    stale: BTreeMap<Pair, Minute>,
    last_invisible: BTreeMap<&'static str, Minute>,
    plan: Plan,
    access: Vec<Access>,
    seen: Seen,
}

/// A grant that strongDM has, in seconds from the start.
struct Access {
    start: i64,
    end: i64,
    person: usize,
    resource: usize,
    ours: bool,
    groups: [bool; GROUPS.len()],
}

/// What somebody has of one resource.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    access: bool,
    groups: [bool; GROUPS.len()],
}

impl Given {
    fn add(&mut self, access: &Access) {
        self.access = true;
        for (has, more) in self.groups.iter_mut().zip(access.groups) {
            *has |= more;
        }
    }
}

/// How somebody's access differs from what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Lacks,
    StillHas,
}

/// What came up, so that a simulation in which nothing happens is noticed.
#[derive(Debug, Default)]
struct Seen {
    passes: u32,
    writes: usize,
    held: u32,
    deferred: u32,
    failed: u32,
    unknown: u32,
    /// Minutes of wrong access to one resource, by what excuses them.
    wrong: BTreeMap<(Wrong, &'static str), u64>,
}

impl Seen {
    fn add(&mut self, more: Self) {
        let Self { passes, writes, held, deferred, failed, unknown, wrong } = more;
        self.passes += passes;
        self.writes += writes;
        self.held += held;
        self.deferred += deferred;
        self.failed += failed;
        self.unknown += unknown;
        for (kind, minutes) in wrong {
            *self.wrong.entry(kind).or_default() += minutes;
        }
    }
}

#[test]
fn access_is_as_wanted_for_two_months_where_a_second_grant_is_taken() {
    live_through(SecondGrant::Taken);
}

#[test]
fn access_is_as_wanted_for_two_months_where_overlaps_are_refused() {
    live_through(SecondGrant::RefusedIfOverlapping);
}

#[test]
fn access_is_as_wanted_for_two_months_where_any_second_grant_is_refused() {
    live_through(SecondGrant::Refused);
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn live_through(really: SecondGrant) {
    let first: u64 = number("SIMULATION_SEED", 1);
    let seeds = number("SIMULATION_SEEDS", 1);
    let mut all = Seen::default();
    for seed in first..first + seeds {
        all.add(Simulation::new(seed, really).run());
    }
    // Together: a seed in which nothing is ever held shows something else.
    let Seen { passes, writes, held, deferred, failed, unknown, wrong } = &all;
    let busy = u64::from(*passes) > 6000 * seeds && *writes > 300 && *failed > 0 && *unknown > 0 && *held > 0;
    assert!(busy, "{seeds} seeds from {first} on are too quiet: {all:?}");
    assert!(
        *deferred > 0 || really == SecondGrant::Taken,
        "{seeds} seeds from {first} on defer nothing: {all:?}"
    );
    println!("simulation: {really:?}: {seeds} seeds of {DAYS} days");
    for ((wrong, excuse), minutes) in wrong {
        let word = if *wrong == Wrong::Lacks { "too short" } else { "too long" };
        println!("simulation: {really:?}: {minutes:>8} minutes {word}: {excuse}");
    }
}

impl Simulation {
    fn new(seed: u64, really: SecondGrant) -> Self {
        let autumn = Utc.with_ymd_and_hms(2026, 9, 10, 0, 0, 0).unwrap();
        let spring = Utc.with_ymd_and_hms(2027, 2, 20, 0, 0, 0).unwrap();
        let odd = really == SecondGrant::RefusedIfOverlapping;
        let start = if seed.is_multiple_of(2) == odd { spring } else { autumn };
        Self {
            seed,
            random: Random::new(seed),
            upstream: Upstream::new(start, seed + really as u64),
            settings: settings(),
            twin: Twin::new(really, &World::default()),
            process_down: 0,
            last_pass: start - TimeDelta::minutes(INTERVAL),
            wake: None,
            retry_at: None,
            failures: 0,
            hint: None,
            operator: None,
            stale: BTreeMap::new(),
            last_invisible: BTreeMap::new(),
            plan: Plan::default(),
            access: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn run(mut self) -> Seen {
        for minute in 0..DAYS * 24 * 60 {
            let begins = self.upstream.instant(minute);
            self.run_passes(begins - TimeDelta::seconds(1));
            if self.random.below(EVERY) == 0 {
                self.happen(minute);
                self.list_access();
            }
            for name in RESOURCES {
                if minute < self.process_down || !self.upstream.visible(name, minute) {
                    self.last_invisible.insert(name, minute);
                }
            }
            self.run_passes(begins + TimeDelta::seconds(1));
            self.compare(minute);
        }
        self.seen
    }

    /// Runs what is due until `until`, each at its time.
    fn run_passes(&mut self, until: DateTime<Utc>) {
        loop {
            let interval = Some(self.last_pass + TimeDelta::minutes(INTERVAL));
            let reasons = [interval, self.wake, self.retry_at, self.hint, self.operator];
            let due = reasons.into_iter().flatten().min().unwrap().max(self.last_pass);
            let due = due.max(self.upstream.instant(self.process_down));
            if due > until {
                return;
            }
            // The clock's rest of a second.
            let now = due + TimeDelta::milliseconds(self.random.below(900));
            self.pass(now);
        }
    }

    fn pass(&mut self, now: DateTime<Utc>) {
        let minute = (now - self.upstream.start).num_minutes();
        let is_confirmed = self.operator.is_some_and(|at| at <= now);
        let ours = self.twin.ledger.iter().map(|own| own.row);
        let held = self.twin.due.held_among(ours);
        let released = if is_confirmed { Released::Held(held) } else { Released::Nothing };
        let due = |at: Option<DateTime<Utc>>| at.filter(|at| *at > now);
        (self.hint, self.operator) = (due(self.hint), due(self.operator));
        self.last_pass = now;
        self.seen.passes += 1;

        if minute >= self.upstream.look_ups_down {
            self.twin.settle();
            // An operator's and every quarter's pass compare the ledger.
            self.twin.verify(now);
        }
        let world = self.upstream.observe(now);
        let writes_down = minute < self.upstream.writes_down;
        let (random, mut troubled) = (&mut self.random, Vec::new());
        let mut writes = 0;
        let (plan, failed) = self.twin.pass(now, &self.settings, &world, released, &mut |action| {
            let fault = match (writes_down, random.below(300)) {
                (true, 0..200) | (false, 0) => Fault::Fails,
                (true, 200..250) | (false, 1) => Fault::RequestLost,
                (true, _) | (false, 2) => Fault::AnswerLost,
                (false, _) => Fault::None,
            };
            writes += 1;
            if fault != Fault::None {
                troubled.push(action.grant().pair());
            }
            fault
        });
        self.record_pass(minute, &plan, &troubled);
        self.seen.writes += writes;
        self.seen.failed += u32::from(failed);
        self.seen.unknown += u32::from(!plan.unknown.is_empty());
        self.seen.held += u32::from(!plan.held.is_empty());
        self.seen.deferred += u32::from(!plan.deferred.is_empty());
        // What was held may go once successors have come.
        if !failed && plan.held.is_empty() && self.random.below(10) == 0 {
            self.plan_again(now, &world, released);
        }

        self.wake = plan.next_wake;
        if failed || !plan.unknown.is_empty() || !plan.unsettled.is_empty() {
            let pause = (1_i64 << self.failures.min(6)).min(LONGEST_PAUSE);
            self.failures += 1;
            self.retry_at = Some(now + TimeDelta::seconds(pause));
        } else {
            (self.failures, self.retry_at) = (0, None);
        }
        if !plan.held.is_empty() && self.operator.is_none() {
            self.operator = Some(now + TimeDelta::minutes(1 + self.random.below(120)));
        }
        self.plan = plan;
        self.list_access();
    }

    /// Records which pairs are as they should be after a pass, and which are not.
    fn record_pass(&mut self, minute: Minute, plan: &Plan, troubled: &[Pair]) {
        for name in RESOURCES {
            if !self.upstream.visible(name, minute) {
                continue;
            }
            for person in 0..ACCOUNTS {
                let id = pair(person, name);
                if !plan.unsettled.contains(&id) {
                    self.stale.remove(&id);
                }
            }
        }
        for id in troubled {
            self.stale.entry(id.clone()).or_insert(minute);
        }
        // What is held stays wrong if the next pass cannot see any more that it is due.
        self.stale.extend(plan.held.iter().map(|grant| (grant.pair(), minute)));
    }

    /// Planning the result of a pass gives nothing to write.
    fn plan_again(&self, now: DateTime<Utc>, observed: &World, released: Released) {
        let mut world = World { asked_at: now, ..observed.clone() };
        self.twin.recall(now, &mut world);
        let again = plan(now, &self.settings, &world, released);
        assert!(again.pairs.is_empty() && again.relabelled.is_empty(), "seed {}, {now}: {again}", self.seed);
    }

    fn compare(&mut self, minute: Minute) {
        let second = minute * 60 + 1;
        let mut given = [[[Given::default(); 2]; RESOURCES.len()]; ACCOUNTS];
        for access in self.access.iter().filter(|access| access.start <= second && second < access.end) {
            let [ours, anyone] = &mut given[access.person][access.resource];
            anyone.add(access);
            if access.ours {
                ours.add(access);
            }
        }
        let anyone_counts = self.twin.really != SecondGrant::Taken;
        for (person, given) in given.iter().enumerate() {
            for (name, [ours, anyone]) in RESOURCES.into_iter().zip(given) {
                let has = if anyone_counts { anyone } else { ours };
                let groups = self.upstream.groups(person, name, minute);
                let lacks = groups.into_iter().zip(has.groups).any(|(wanted, has)| wanted && !has);
                let too_many = groups.into_iter().zip(ours.groups).any(|(wanted, has)| has && !wanted);
                let wrong = match self.upstream.wants(person, name, minute) {
                    true if !has.access || lacks => Wrong::Lacks,
                    false if ours.access => Wrong::StillHas,
                    _ if too_many => Wrong::StillHas,
                    true | false => continue,
                };
                let Some(excuse) = self.excuse(minute, person, name, wrong) else {
                    panic!("{}", self.complaint(minute, person, name, wrong));
                };
                *self.seen.wrong.entry((wrong, excuse)).or_default() += 1;
            }
        }
    }

    fn complaint(&self, minute: Minute, person: usize, name: &str, wrong: Wrong) -> String {
        let id = pair(person, name);
        let instant = |minute: &Minute| self.upstream.instant(*minute);
        let ours: Vec<String> = self
            .twin
            .ledger
            .iter()
            .filter(|own| own.grant.joins(&id))
            .map(|own| own.grant.terms().to_string())
            .collect();
        format!(
            "SIMULATION_SEED={}: at {} p{person} {} {name}; wrong since {:?}, last unseen at {:?}\n{}\nours: {ours:#?}",
            self.seed,
            instant(&minute),
            match wrong {
                Wrong::Lacks => "lacks",
                Wrong::StillHas => "still has",
            },
            self.stale.get(&id).map(instant),
            self.last_invisible.get(name).map(instant),
            self.plan,
        )
    }

    /// Reads strongDM's list anew, after somebody wrote to it.
    fn list_access(&mut self) {
        let since = |at: DateTime<Utc>| (at - self.upstream.start).num_seconds();
        let people: Vec<AccountId> = (0..ACCOUNTS).map(account).collect();
        let resources = RESOURCES.map(resource_id);
        let access = self.twin.remote.iter().map(|found| Access {
            start: since(found.window.start()),
            end: since(found.window.end()),
            person: people.iter().position(|id| *id == found.pair.account).unwrap(),
            resource: resources.iter().position(|id| *id == found.pair.resource).unwrap(),
            ours: found.id.as_str().starts_with("ag-"),
            groups: GROUPS.map(|group| found.groups.contain(group)),
        });
        self.access = access.collect();
    }

    /// What excuses wrong access, if anything does.
    fn excuse(&self, minute: Minute, person: usize, name: &str, wrong: Wrong) -> Option<&'static str> {
        let id = &pair(person, name);
        let refuses = self.twin.really != SecondGrant::Taken;
        let invisible = self.last_invisible.get(name).copied();
        let stale = self
            .stale
            .get(id)
            .is_some_and(|since| minute - (*since).max(invisible.unwrap_or(*since)) <= INTERVAL + 1);
        let held =
            self.plan.held.iter().any(|grant| grant.joins(id)) && (wrong == Wrong::StillHas || refuses);
        let foreign = refuses
            && self.twin.remote.iter().any(|found| {
                found.id.as_str().starts_with("fg-")
                    && found.pair == *id
                    && found.window.end() > self.upstream.instant(minute)
            });
        let outage = refuses && wrong == Wrong::Lacks && invisible.is_some_and(|last| minute - last <= 2);
        let was_away = invisible.is_some_and(|last| minute - last <= INTERVAL + 1);
        let excuses = [
            (self.upstream.suspended == Some(person), "the account is suspended"),
            (held, "the guard holds it"),
            (foreign, "a foreign grant is in the way"),
            (outage || stale && was_away, "PagerDuty, strongDM or the process is or was away"),
            (stale, "a change that nobody announced, or a write that failed"),
        ];
        excuses.into_iter().find(|(is_so, _)| *is_so).map(|(_, excuse)| excuse)
    }
}
