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

/// What gives no answer; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Down {
    pagerduty: bool,
    look_ups: bool,
    /// Which schedules.
    vanished: [bool; 3],
}

/// All that the upstreams' answers depend on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    changes: u32,
    down: Down,
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

    pub(super) fn down(&self, now: Minute) -> Down {
        Down {
            pagerduty: now < self.pagerduty_down,
            look_ups: now < self.look_ups_down,
            vanished: self.vanished.map(|until| now < until),
        }
    }

    pub(super) fn shown(&self, now: Minute, down: Down) -> Shown {
        Shown { changes: self.changes, down, listed: [0, 1, 2].map(|which| self.in_view(which, now)) }
    }

    /// What they tell of this minute and the time until the horizon.
    pub(super) fn tell(&self, minute: Minute, down: Down) -> World {
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
            world.accounts.insert(email(&name), down.looked_up(found));
        }
        for name in RESOURCES {
            let found = ResourceMatch::Found(vec![resource(name)]);
            world.resources.insert(named(name), down.looked_up(found));
        }
        let matches: &[&str] = if self.wide { &["web", "files"] } else { &["web"] };
        let found = ResourceMatch::Found(matches.iter().copied().map(resource).collect());
        world.resources.insert(filter(FILTER), down.looked_up(found));
        world.on_calls = self.on_calls(minute, down);
        world
    }

    fn on_calls(&self, minute: Minute, down: Down) -> BTreeMap<Source, Observed<Vec<OnCall>>> {
        let unknown = || Observed::Unknown("HTTP 503".into());
        let mut answers = BTreeMap::new();
        for (which, id) in SCHEDULES.iter().enumerate() {
            let answer = if down.pagerduty || down.vanished[which] {
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
        let answer = if down.pagerduty || down.vanished[0] || down.vanished[1] {
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

    pub(super) fn minute(&self, at: DateTime<Utc>) -> Minute {
        (at - self.start).num_minutes()
    }

    pub(super) fn instant(&self, minute: Minute) -> DateTime<Utc> {
        self.start + TimeDelta::minutes(minute)
    }
}

impl Down {
    fn looked_up<T>(self, found: T) -> Observed<T> {
        if self.look_ups { Observed::Unknown("unavailable".into()) } else { Observed::Known(found) }
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
