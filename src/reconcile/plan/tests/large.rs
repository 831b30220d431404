//! Worlds of any size, for measuring what a decision costs.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::builders::{
    Scene, agree, at, email, named, own, resource, schedule, schedule_rule, shift, with_groups,
};
use crate::{
    model::{
        Account, AccountId, Grant, LedgerRow, Observed, OwnGrant, Pair, Refusal, Rule, SecondGrant, UserId,
    },
    reconcile::{
        plan::{Action, Plan, Released, Settings, plan},
        world::{AccountMatch, ResourceMatch, World},
    },
};

/// In hours; no window of any size lies behind it.
const HORIZON: i64 = 500_000;
/// Shifts of a schedule.
const SHIFTS: usize = 14;
/// People of a schedule, who take turns.
const PEOPLE: usize = 5;

/// What there is so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Large {
    /// Schedules with a few people each; nothing is granted yet.
    FirstPass,
    /// The same; everything is granted as it should be.
    NothingChanged,
    /// The same; only the first schedule was looked at, as after an event.
    OneIsAsked,
    /// The same; nobody is on call any more, and a second look agrees.
    NobodyIsWanted,
    /// The same; most people and some resources cannot be found, and strongDM refuses every pair.
    Doubtful,
    /// One person's windows on one resource, none granted yet.
    OnePair,
    /// The same; each is granted twice, and for too long.
    OnePairReplaced,
    /// The same; somebody else's grants are in the way of half of them.
    OnePairInTheWay,
    /// The same; every other one overlaps the next by another rule with other groups, and each is granted without any.
    OnePairInGroups,
}

impl Large {
    pub(crate) const ALL: [Self; 9] = [
        Self::FirstPass,
        Self::NothingChanged,
        Self::OneIsAsked,
        Self::NobodyIsWanted,
        Self::Doubtful,
        Self::OnePair,
        Self::OnePairReplaced,
        Self::OnePairInTheWay,
        Self::OnePairInGroups,
    ];

    /// A decision about so many windows.
    pub(crate) fn decision(self, windows: usize) -> Decision {
        match self {
            Self::FirstPass => rotas(windows),
            Self::NothingChanged => rotas(windows).carried_out(),
            Self::OneIsAsked => {
                let mut decision = rotas(windows).carried_out();
                decision.world.on_calls.retain(|source, _| *source == schedule("S0"));
                decision.world.resources.retain(|name, _| [named("r0"), named("r1")].contains(name));
                decision
            }
            Self::NobodyIsWanted => {
                let mut decision = rotas(windows).carried_out();
                for on_calls in decision.world.on_calls.values_mut() {
                    *on_calls = Observed::Known(Vec::new());
                }
                decision.seen_twice()
            }
            Self::Doubtful => doubtful(windows),
            Self::OnePair => one_pair(windows),
            Self::OnePairReplaced => {
                let mut decision = one_pair(windows);
                let (rows, hours) = (1..=2 * number(windows), (0..number(windows)).flat_map(|n| [4 * n; 2]));
                let ours = rows.zip(hours).map(|(row, hour)| own(row, "day", hour - 1, hour + 3));
                decision.world.recorded.ledger = ours.collect();
                decision.seen_twice()
            }
            Self::OnePairInTheWay => {
                let mut decision = one_pair(windows);
                let foreign = (0..number(windows)).step_by(2).map(|n| {
                    super::builders::foreign(
                        &format!("fg-{n}"),
                        "day",
                        super::builders::span(4 * n + 1, 4 * n + 4),
                    )
                });
                decision.world.recorded.foreign = foreign.collect();
                decision.world.recorded.second_grant = SecondGrant::RefusedIfOverlapping;
                decision
            }
            Self::OnePairInGroups => in_groups(windows).seen_twice(),
        }
    }
}

/// All that a decision takes.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    now: DateTime<Utc>,
    settings: Settings,
    world: World,
}

impl Decision {
    fn plan(&self) -> Plan {
        plan(self.now, &self.settings, &self.world, Released::Nothing)
    }

    /// What the decision and its words take, at best of so many times; and how many writes it led to.
    pub(crate) fn cost(&self, times: usize) -> (Duration, usize) {
        let once = || {
            let began = Instant::now();
            let plan = self.plan();
            let words = plan.to_string();
            let took = began.elapsed();
            assert!(!words.is_empty());
            (took, plan.actions().count())
        };
        (0..times).map(|_| once()).min().expect("at least once")
    }

    /// As if an earlier look had found the same.
    fn seen_twice(mut self) -> Self {
        let recorded = &mut self.world.recorded;
        agree(&mut recorded.due, &recorded.ledger, self.now);
        self
    }

    /// The world after it.
    fn carried_out(mut self) -> Self {
        let plan = self.plan();
        let made = plan.actions().filter_map(|action| match action {
            Action::Create(new) => Some(new),
            Action::Revoke(_) => None,
        });
        let made = (1..).map(LedgerRow::from).zip(made).map(|(row, new)| {
            let id = Some(format!("ag-{}", row.number()).into());
            OwnGrant { row, grant: Grant { id, ..new.grant.clone() }, causes: new.causes.clone() }
        });
        self.world.recorded.ledger = made.collect();
        self
    }
}

fn number(windows: usize) -> i64 {
    i64::try_from(windows).expect("not so many")
}

fn large(Scene { settings, world, .. }: Scene) -> Decision {
    let settings = Settings { horizon: TimeDelta::hours(HORIZON), ..settings };
    Decision { now: at(0), settings, world }
}

/// Day is on call for three hours of every four.
fn one_pair(windows: usize) -> Decision {
    large(Scene::with_shifts((0..number(windows)).map(|n| shift("day", 4 * n, 4 * n + 3 - n % 2))))
}

/// Day is on call all the time, by one rule for five hours of every eight, by another for five that overlap them.
fn in_groups(windows: usize) -> Decision {
    let rules =
        [("a", "SA"), ("b", "SB")].map(|(group, id)| with_groups(&[group], schedule_rule(group, &[id])));
    let shifts =
        |first: i64| (0..number(windows) / 2).map(move |n| shift("day", 8 * n + first, 8 * n + first + 5));
    let ours = (0..number(windows)).map(|n| own(n + 1, "day", 4 * n, 4 * n + 4));
    let scene = Scene::new(rules).on_call(schedule("SA"), shifts(0)).on_call(schedule("SB"), shifts(4));
    large(scene.ours(ours))
}

/// Schedules whose people take turns of twelve hours, on two resources each.
fn rotas(windows: usize) -> Decision {
    let schedules = windows.div_ceil(2 * SHIFTS);
    let resources = |rota: usize| [0, 1].map(|which| named(&format!("r{}", 2 * rota + which)));
    let rules = (0..schedules).map(|rota| {
        let (name, id) = (format!("rule {rota}"), format!("S{rota}"));
        Rule { resources: resources(rota).to_vec(), ..schedule_rule(&name, &[id.as_str()]) }
    });
    let mut scene = Scene::new(rules);
    for rota in 0..schedules {
        let who = |turn: usize| format!("p{}", rota * PEOPLE + turn % PEOPLE);
        let turns = (0..SHIFTS).map(|turn| {
            let start = 12 * number(turn);
            shift(&who(turn), start, start + 12)
        });
        scene = scene.on_call(schedule(&format!("S{rota}")), turns);
        for turn in 0..PEOPLE {
            let who = who(turn);
            let address = format!("{who}@corp.example");
            scene.world.people.insert(UserId::from(format!("P-{who}")), Observed::Known(Some(address)));
            let account = Account { id: AccountId::from(format!("a-{who}")), suspended: false };
            scene.world.accounts.insert(email(&who), Observed::Known(AccountMatch::One(account)));
        }
        for which in [0, 1] {
            let name = format!("r{}", 2 * rota + which);
            let found = ResourceMatch::Found(vec![resource(&name)]);
            scene.world.resources.insert(named(&name), Observed::Known(found));
        }
    }
    large(scene)
}

/// Everything was granted; now most people have other addresses or no usable account, every seventh resource is not
/// found, and every pair is refused.
fn doubtful(windows: usize) -> Decision {
    let mut decision = rotas(windows).carried_out();
    let world = &mut decision.world;
    for (n, (_, found)) in world.accounts.iter_mut().enumerate() {
        match n % 4 {
            0 => *found = Observed::Known(AccountMatch::None),
            1 => *found = Observed::Unknown("HTTP 500".into()),
            2 => {
                if let Observed::Known(AccountMatch::One(account)) = found {
                    account.suspended = true;
                }
            }
            _ => {}
        }
    }
    for address in world.people.values_mut().step_by(5) {
        *address = Observed::Known(Some("stranger@corp.example".to_owned()));
    }
    for found in world.resources.values_mut().step_by(7) {
        *found = Observed::Known(ResourceMatch::None);
    }
    for own in &mut world.recorded.ledger {
        let later = own.grant.window.end() + TimeDelta::hours(5);
        own.grant.window =
            crate::model::Window::new(own.grant.window.start(), later).expect("it became longer");
    }
    let pairs: Vec<Pair> = world.recorded.ledger.iter().map(|own| own.grant.pair()).collect();
    world.recorded.unsettled = pairs.iter().step_by(9).cloned().collect();
    world.recorded.refusals = pairs.into_iter().map(|pair| Refusal { pair, until: at(1) }).collect();
    decision
}
