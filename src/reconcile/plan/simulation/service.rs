//! The service in a simulation: when it looks, what comes of that, and what it remembers.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use super::{
    INTERVAL,
    check::{Access, Seen},
    rotas::{DAYS, Minute},
    story::{EVERY, Random},
    truth::Truth,
    upstream::{ACCOUNTS, RESOURCES, Shown, Upstream, pair, settings},
};
use crate::{
    model::{Pair, SecondGrant},
    reconcile::{
        plan::{
            Plan, Released, Settings, plan,
            tests::twin::{Fault, Twin},
        },
        world::{Recorded, World},
    },
};

/// The longest pause between retries, in seconds.
const LONGEST_PAUSE: i64 = 60;
/// How many days ahead shifts are granted: what two seeds do, one in each season.
const HORIZONS: [i64; 4] = [7, 1, 2, 3];

/// One life of the service.
pub(super) struct Simulation {
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) upstream: Upstream,
    pub(super) settings: Settings,
    pub(super) twin: Twin,
    /// The process does not run before this minute.
    pub(super) process_down: Minute,
    pub(super) last_pass: DateTime<Utc>,
    pub(super) wake: Option<DateTime<Utc>>,
    pub(super) retry_at: Option<DateTime<Utc>>,
    pub(super) failures: u32,
    /// When a webhook arrives.
    pub(super) hint: Option<DateTime<Utc>>,
    /// When an operator lets the held revocations through.
    pub(super) operator: Option<DateTime<Utc>>,
    /// Pairs whose access may be wrong, since when.
    pub(super) stale: BTreeMap<Pair, Minute>,
    pub(super) last_invisible: BTreeMap<&'static str, Minute>,
    /// When that last stretch of being invisible began.
    pub(super) invisible_since: BTreeMap<&'static str, Minute>,
    pub(super) plan: Plan,
    pub(super) access: Vec<Access>,
    /// What the last pass saw of the upstreams, which is what they look like until one of [`Shown`] differs.
    world: World,
    shown: Option<Shown>,
    pub(super) truth: Truth,
    /// The service's clock is wrong until then.
    pub(super) clock_wrong_until: Minute,
    pub(super) last_wrong_clock: Option<Minute>,
    /// How many writes the replica in charge does before it dies, if it is about to.
    pub(super) dies_after: Option<i64>,
    /// When another one took over for the last time.
    pub(super) taken_over: Option<Minute>,
    pub(super) seen: Seen,
}

impl Simulation {
    pub(super) fn new(seed: u64, really: SecondGrant) -> Self {
        let autumn = Utc.with_ymd_and_hms(2026, 9, 10, 0, 0, 0).unwrap();
        let spring = Utc.with_ymd_and_hms(2027, 2, 20, 0, 0, 0).unwrap();
        let odd = really == SecondGrant::RefusedIfOverlapping;
        let start = if seed.is_multiple_of(2) == odd { spring } else { autumn };
        let horizon = HORIZONS[usize::try_from(seed / 2).unwrap() % HORIZONS.len()];
        Self {
            seed,
            random: Random::new(seed),
            upstream: Upstream::new(start, seed + really as u64, horizon),
            settings: settings(horizon),
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
            invisible_since: BTreeMap::new(),
            plan: Plan::default(),
            access: Vec::new(),
            world: World::default(),
            shown: None,
            truth: Truth::default(),
            clock_wrong_until: 0,
            last_wrong_clock: None,
            dies_after: None,
            taken_over: None,
            seen: Seen::default(),
        }
    }

    pub(super) fn run(mut self) -> Seen {
        for minute in 0..DAYS * 24 * 60 {
            let begins = self.upstream.instant(minute);
            self.run_passes(begins - TimeDelta::seconds(1));
            if self.random.below(EVERY) == 0 {
                self.happen(minute);
                self.upstream.changes += 1;
                self.list_access();
            }
            if minute < self.clock_wrong_until {
                self.last_wrong_clock = Some(minute);
            } else {
                self.set_clock(minute, TimeDelta::zero());
            }
            for name in RESOURCES {
                let is_invisible = minute < self.process_down || !self.upstream.visible(name, minute);
                if is_invisible && self.last_invisible.insert(name, minute) != Some(minute - 1) {
                    self.invisible_since.insert(name, minute);
                }
            }
            self.run_passes(begins + TimeDelta::seconds(1));
            self.compare(minute);
        }
        self.seen
    }

    /// Sets the service's clock. One that finds its last pass in the future was set back, and looks at once.
    pub(super) fn set_clock(&mut self, minute: Minute, ahead: TimeDelta) {
        let now = self.upstream.instant(minute);
        if self.last_pass + self.twin.ahead > now + ahead + TimeDelta::seconds(2) {
            self.hint = Some(now);
        }
        self.twin.ahead = ahead;
    }

    /// Runs what is due until `until`, each at its time.
    fn run_passes(&mut self, until: DateTime<Utc>) {
        loop {
            let interval = Some(self.last_pass + TimeDelta::minutes(INTERVAL));
            // The service sleeps until its own clock shows that time.
            let wake = self.wake.map(|wake| wake - self.twin.ahead);
            let reasons = [interval, wake, self.retry_at, self.hint, self.operator];
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
        let minute = self.upstream.minute(now);
        let shown_now = now + self.twin.ahead;
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
            self.twin.verify(shown_now);
        }
        self.look(minute, self.upstream.minute(shown_now));
        let writes_down = minute < self.upstream.writes_down;
        let dies_after = self.dies_after;
        let (random, mut troubled) = (&mut self.random, Vec::new());
        let mut writes: i64 = 0;
        let (plan, failed) =
            self.twin.pass_in(shown_now, &self.settings, &mut self.world, released, &mut |action| {
                let fault = match (writes_down, random.below(300)) {
                    _ if dies_after.is_some_and(|done| writes > done) => Fault::Fails,
                    (_, lost) if dies_after == Some(writes) => {
                        if lost < 150 {
                            Fault::RequestLost
                        } else {
                            Fault::AnswerLost
                        }
                    }
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
        self.seen.writes += usize::try_from(writes).unwrap();
        self.seen.failed += u32::from(failed);
        self.seen.unknown += u32::from(!plan.unknown.is_empty());
        self.seen.held += u32::from(!plan.held.is_empty());
        self.seen.deferred += u32::from(!plan.deferred.is_empty());
        // What was held may go once successors have come.
        if !failed && plan.held.is_empty() && self.random.below(10) == 0 {
            self.plan_again(shown_now, released);
        }

        self.wake = plan.next_wake;
        if failed || !(plan.unknown.is_empty() && plan.unsettled.is_empty() && plan.awaiting.is_empty()) {
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
        if writes > 0 {
            self.list_access();
        }
        if dies_after.is_some_and(|done| writes > done) {
            self.take_over(now);
        }
    }

    /// Another replica goes on, with what the store holds and nothing else.
    pub(super) fn take_over(&mut self, now: DateTime<Utc>) {
        self.dies_after = None;
        (self.failures, self.wake, self.shown) = (0, None, None);
        self.retry_at = Some(now + TimeDelta::seconds(self.random.below(30)));
        self.taken_over = Some(self.upstream.minute(now));
    }

    /// Asks both upstreams in this minute, for what comes after the minute that the service's clock shows.
    fn look(&mut self, minute: Minute, shown_minute: Minute) {
        let down = self.upstream.down(minute);
        let shown = self.upstream.shown(shown_minute, down);
        if self.shown.as_ref() == Some(&shown) {
            self.world.recorded = Recorded::default();
        } else {
            self.world = self.upstream.tell(shown_minute, down);
            self.shown = Some(shown);
        }
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
    fn plan_again(&self, now: DateTime<Utc>, released: Released) {
        let mut world = World { recorded: Recorded::default(), ..self.world.clone() };
        self.twin.recall(now, &mut world);
        let again = plan(now, &self.settings, &world, released);
        assert!(again.pairs.is_empty() && again.relabelled.is_empty(), "seed {}, {now}: {again}", self.seed);
    }
}
