//! PagerDuty and strongDM as the simulated service sees them: the configuration, the truth, and the outages that
//! stand between.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::rotas::{Minute, Rota, Shift};
use crate::{
    model::{
        Account, AccountId, Aliases, Observed, OnCall, Pair, ResourceId, ResourceSelector, Rule, ScheduleId,
        Source, UserId,
    },
    reconcile::{
        plan::{
            Settings,
            tests::builders::{
                always, email, filter, level, named, policy, policy_rule, policy_rule_with_always, resource,
                schedule, schedule_rule, shift,
            },
        },
        world::{AccountMatch, ResourceMatch, World},
    },
};

pub(super) const PEOPLE: usize = 6;
/// The last person has no strongDM account.
pub(super) const ACCOUNTS: usize = PEOPLE - 1;
pub(super) const RESOURCES: [&str; 3] = ["db", "web", "files"];
/// The Kubernetes groups that rules give.
pub(super) const GROUPS: [&str; 3] = ["daily", "second", "first"];
pub(super) const SCHEDULES: [&str; 3] = ["NEWYORK", "BERLIN", "HOWE"];
const POLICY: &str = "POLICY";
const FILTER: &str = "tags:env=prod";

pub(super) fn settings(horizon: i64) -> Settings {
    let resources = |names: &[&str]| -> Vec<ResourceSelector> { names.iter().copied().map(named).collect() };
    let (early, late) = (TimeDelta::minutes(EARLY), TimeDelta::minutes(LATE));
    Settings {
        rules: vec![
            Rule { resources: resources(&["db"]), ..schedule_rule("weekly", &["NEWYORK"]) },
            Rule {
                resources: resources(&["db", "web"]),
                kubernetes_groups: [GROUPS[0]].into_iter().collect(),
                start_early: early,
                end_late: late,
                ..schedule_rule("daily", &["BERLIN", "HOWE"])
            },
            Rule {
                resources: resources(&["files"]),
                kubernetes_groups: GROUPS[1..].iter().copied().collect(),
                ..policy_rule_with_always("first", POLICY, &[1, 3])
            },
            Rule {
                resources: vec![filter(FILTER)],
                kubernetes_groups: [GROUPS[1]].into_iter().collect(),
                ..policy_rule("second", POLICY, &[2])
            },
        ],
        aliases: Aliases::from_iter([(email("p1"), email("one"))]),
        horizon: TimeDelta::days(horizon),
        // Whoever loses access without a successor waits for the operator.
        max_revocations: 0,
    }
}

/// Margins of the rule about the daily rotations, in minutes.
const EARLY: i64 = 10;
const LATE: i64 = 30;

/// Everything outside of the service.
pub(super) struct Upstream {
    pub(super) start: DateTime<Utc>,
    pub(super) rotas: [Rota; 3],
    /// Who is permanently on call.
    pub(super) always: Option<usize>,
    /// Whether the filter matches `files` beside `web`.
    pub(super) wide: bool,
    pub(super) suspended: Option<usize>,
    /// No answer before these minutes.
    pub(super) pagerduty_down: Minute,
    pub(super) look_ups_down: Minute,
    pub(super) writes_down: Minute,
    pub(super) vanished: [Minute; 3],
    /// How many days ahead the service asks.
    pub(super) horizon: i64,
    /// How much has happened.
    pub(super) changes: u32,
}

/// All that the upstreams' answers depend on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    changes: u32,
    /// Which of them are down, and which schedules have vanished.
    down: [bool; 5],
    /// The first shift of each schedule that is listed, and the one after the last.
    listed: [(usize, usize); 3],
}

impl Upstream {
    /// `zones` says in which places people work, `horizon` how many days ahead shifts are granted.
    pub(super) fn new(start: DateTime<Utc>, zones: u64, horizon: i64) -> Self {
        Self {
            start,
            rotas: Rota::all(start, zones),
            always: None,
            wide: false,
            suspended: None,
            pagerduty_down: 0,
            look_ups_down: 0,
            writes_down: 0,
            vanished: [0; 3],
            horizon,
            changes: 0,
        }
    }

    /// The oracle: whether `person` should reach `resource` in this minute.
    pub(super) fn wants(&self, person: usize, resource: &str, now: Minute) -> bool {
        let [weekly, daily, half_daily] = &self.rotas;
        let (first, last) = (now - LATE, now + EARLY);
        let daily_rule = daily.on_call(person, first, last) || half_daily.on_call(person, first, last);
        let policy_second = daily.on_call(person, now, now);
        match resource {
            "db" => weekly.on_call(person, now, now) || daily_rule,
            "web" => daily_rule || policy_second,
            _ => {
                weekly.on_call(person, now, now) || self.always == Some(person) || self.wide && policy_second
            }
        }
    }

    /// Which of [`GROUPS`] should go with it.
    pub(super) fn groups(&self, person: usize, resource: &str, now: Minute) -> [bool; GROUPS.len()] {
        let [weekly, daily, half_daily] = &self.rotas;
        let (first, last) = (now - LATE, now + EARLY);
        let by_daily = daily.on_call(person, first, last) || half_daily.on_call(person, first, last);
        let by_second = daily.on_call(person, now, now);
        let by_first = weekly.on_call(person, now, now) || self.always == Some(person);
        match resource {
            "db" => [by_daily, false, false],
            "web" => [by_daily, by_second, false],
            _ => [false, by_first || self.wide && by_second, by_first],
        }
    }

    /// Whether a pass can see everything that decides about `resource`, and can write.
    pub(super) fn visible(&self, resource: &str, now: Minute) -> bool {
        let schedules = match resource {
            "db" => 0..3,
            "web" => 1..3,
            _ => 0..1,
        };
        let vanished = |which: usize| now < self.vanished[which];
        // The policy goes through the first two schedules, and its filter could mean any resource.
        now >= self.pagerduty_down.max(self.look_ups_down).max(self.writes_down)
            && !schedules.into_iter().any(vanished)
            && !vanished(0)
            && !vanished(1)
    }

    pub(super) fn shown(&self, now: Minute) -> Shown {
        let [first, second, third] = self.vanished;
        Shown {
            changes: self.changes,
            down: [self.pagerduty_down, self.look_ups_down, first, second, third].map(|until| now < until),
            listed: [0, 1, 2].map(|which| self.in_view(which, now)),
        }
    }

    /// What a look tells in this minute.
    pub(super) fn observe(&self, minute: Minute) -> World {
        let mut world = World::default();
        for person in 0..PEOPLE {
            let address = format!("P{person}@corp.example");
            world.people.insert(UserId::from(format!("P-p{person}")), Observed::Known(Some(address)));
            let found = if person < ACCOUNTS {
                let suspended = self.suspended == Some(person);
                AccountMatch::One(Account { id: account(person), suspended })
            } else {
                AccountMatch::None
            };
            let name = if person == 1 { "one".to_owned() } else { format!("p{person}") };
            world.accounts.insert(email(&name), self.looked_up(minute, found));
        }
        for name in RESOURCES {
            let found = ResourceMatch::Found(vec![resource(name)]);
            world.resources.insert(named(name), self.looked_up(minute, found));
        }
        let matches: &[&str] = if self.wide { &["web", "files"] } else { &["web"] };
        let found = ResourceMatch::Found(matches.iter().copied().map(resource).collect());
        world.resources.insert(filter(FILTER), self.looked_up(minute, found));
        world.on_calls = self.on_calls(minute);
        world
    }

    fn looked_up<T>(&self, minute: Minute, found: T) -> Observed<T> {
        if minute < self.look_ups_down {
            Observed::Unknown("unavailable".into())
        } else {
            Observed::Known(found)
        }
    }

    fn on_calls(&self, minute: Minute) -> BTreeMap<Source, Observed<Vec<OnCall>>> {
        let unknown = || Observed::Unknown("HTTP 503".into());
        let down = minute < self.pagerduty_down;
        let mut answers = BTreeMap::new();
        for (which, id) in SCHEDULES.iter().enumerate() {
            let answer = if down || minute < self.vanished[which] {
                unknown()
            } else {
                Observed::Known(self.listed(which, minute))
            };
            answers.insert(schedule(id), answer);
        }
        let through = |number, which: usize| {
            self.listed(which, minute).into_iter().map(move |on_call| level(number, on_call))
        };
        let permanent = self.always.map(|person| level(3, always(&format!("p{person}"))));
        let answer = if down || minute < self.vanished[0].max(self.vanished[1]) {
            unknown()
        } else {
            Observed::Known(through(1, 0).chain(through(2, 1)).chain(permanent).collect())
        };
        answers.insert(policy(POLICY), answer);
        answers
    }

    /// The places of the shifts of one schedule from an hour ago until after the horizon.
    fn in_view(&self, which: usize, now: Minute) -> (usize, usize) {
        let shifts = &self.rotas[which].shifts;
        let horizon = now + self.horizon * 24 * 60 + EARLY;
        (
            shifts.partition_point(|shift| shift.end <= now - 60),
            shifts.partition_point(|shift| shift.start < horizon),
        )
    }

    fn listed(&self, which: usize, now: Minute) -> Vec<OnCall> {
        let rota = &self.rotas[which];
        let (first, after) = self.in_view(which, now);
        let pieces = rota.shifts[first..after].iter().flat_map(|shift| {
            let middle = i64::midpoint(shift.start, shift.end);
            let cut = if rota.in_pieces && middle > shift.start { middle } else { shift.end };
            [Shift { end: cut, ..*shift }, Shift { start: cut, ..*shift }]
        });
        let pieces = pieces.filter(|piece| piece.start < piece.end);
        let on_call = |piece: Shift| OnCall {
            schedule: Some(ScheduleId::from(SCHEDULES[which])),
            start: Some(self.instant(piece.start)),
            end: Some(self.instant(piece.end)),
            ..shift(&format!("p{}", piece.person), 0, 1)
        };
        pieces.map(on_call).collect()
    }

    pub(super) fn instant(&self, minute: Minute) -> DateTime<Utc> {
        self.start + TimeDelta::minutes(minute)
    }
}

pub(super) fn account(person: usize) -> AccountId {
    AccountId::from(format!("a-p{person}"))
}

pub(super) fn pair(person: usize, name: &str) -> Pair {
    Pair { account: account(person), resource: resource_id(name) }
}

pub(super) fn resource_id(name: &str) -> ResourceId {
    resource(name).id
}
