//! The small world: two people, one schedule, one resource, and how much may happen.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    model::{Aliases, OnCall, OwnGrant, SecondGrant, UserId, Window},
    reconcile::{
        plan::{
            Settings,
            tests::builders::{Scene, at, made_for, own, schedule, schedule_rule, shift},
        },
        world::World,
    },
};

/// The people, who also stand for their accounts.
pub(super) const PEOPLE: [&str; 2] = ["day", "night"];
/// How far ahead shifts are granted, in ticks.
pub(super) const HORIZON: u8 = 12;

/// Who is on call, from tick to tick. PagerDuty begins with the first and may change to any other.
pub(super) const ROSTERS: [&[(usize, u8, u8)]; 5] = [
    &[(0, 0, 3), (1, 3, 40)],
    &[(0, 0, 2), (1, 2, 40)],
    &[(1, 0, 40)],
    // Nobody: also what a wrong answer says.
    &[],
    &[(0, 0, 2), (1, 2, 6), (0, 6, 40)],
];
pub(super) const NOBODY: u8 = 3;

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Ten seconds pass.
    pub(super) ticks: u8,
    /// Shifts change in PagerDuty.
    pub(super) changes: u8,
    /// PagerDuty says that nobody is on call, although somebody is.
    pub(super) wrong: u8,
    /// PagerDuty or strongDM do not answer a look.
    pub(super) unseen: u8,
    /// A replica dies.
    pub(super) crashes: u8,
    /// A call or its answer is lost or late.
    pub(super) faults: u8,
    /// The lease runs out under a replica that is at work.
    pub(super) takeovers: u8,
    /// Somebody else makes or removes a grant.
    pub(super) foreign: u8,
    /// Somebody confirms what the guard holds.
    pub(super) confirmations: u8,
}

impl Budget {
    pub(super) const NONE: Self = Self {
        ticks: 0,
        changes: 0,
        wrong: 0,
        unseen: 0,
        crashes: 0,
        faults: 0,
        takeovers: 0,
        foreign: 0,
        confirmations: 0,
    };

    /// The same, and ten seconds more.
    pub(super) fn larger(self) -> Self {
        Self { ticks: self.ticks + 1, ..self }
    }
}

/// What is explored.
pub(super) struct Scope {
    /// What strongDM does with a second grant.
    pub(super) really: SecondGrant,
    pub(super) settings: Settings,
    pub(super) budget: Budget,
    /// Everything but who is on call and what the store knows.
    empty: World,
}

impl Scope {
    pub(super) fn new(really: SecondGrant, max_revocations: usize, budget: Budget) -> Self {
        let Scene { world: empty, .. } = Scene::new([]);
        let settings = Settings {
            rules: vec![schedule_rule("db", &["PS"])],
            aliases: Aliases::default(),
            horizon: instant(HORIZON) - instant(0),
            max_revocations,
        };
        Self { really, settings, budget, empty }
    }

    /// What PagerDuty and strongDM's directory answer at that tick, where this roster is seen; none if it is not.
    pub(super) fn world(&self, roster: Option<u8>, tick: u8) -> World {
        let mut world = World { asked_at: instant(tick), ..self.empty.clone() };
        let answer = match roster {
            Some(roster) => crate::model::Observed::Known(on_calls(roster)),
            None => crate::model::Observed::Unknown("HTTP 500".into()),
        };
        world.on_calls.insert(schedule("PS"), answer);
        world
    }
}

/// One tick is ten seconds: longer than the pause between two looks, and the guard's minute is six of them.
pub(super) fn instant(tick: u8) -> DateTime<Utc> {
    at(0) + TimeDelta::seconds(10) * i32::from(tick)
}

pub(super) fn tick_of(at_instant: DateTime<Utc>) -> u8 {
    u8::try_from((at_instant - at(0)).num_seconds() / 10).expect("nothing lies that far ahead")
}

pub(super) fn window(start: u8, end: u8) -> Window {
    Window::new(instant(start), instant(end)).expect("it is not empty")
}

pub(super) fn is_on(roster: u8, person: usize, tick: u8) -> bool {
    ROSTERS[usize::from(roster)]
        .iter()
        .any(|(who, start, end)| *who == person && (*start..*end).contains(&tick))
}

fn on_calls(roster: u8) -> Vec<OnCall> {
    let one = |(who, start, end): &(usize, u8, u8)| OnCall {
        user: UserId::from(format!("P-{}", PEOPLE[*who])),
        start: Some(instant(*start)),
        end: Some(instant(*end)),
        ..shift(PEOPLE[*who], 0, 1)
    };
    ROSTERS[usize::from(roster)].iter().map(one).collect()
}

/// A grant of ours, as the ledger has it.
pub(super) fn grant(row: u8, id: u8, person: usize, window: Window) -> OwnGrant {
    let mut own = made_for(PEOPLE[person], "PS", own(row.into(), PEOPLE[person], 0, 1));
    (own.grant.id, own.grant.window) = (Some(format!("ag-{id}").into()), window);
    own
}
