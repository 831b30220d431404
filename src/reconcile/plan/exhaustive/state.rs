//! One state of the small world, and what anybody but a replica can do in it.

use std::hash::{Hash, Hasher};

use super::scope::{Budget, PEOPLE, ROSTERS, Scope, grant, instant, window};
use crate::{
    model::{DueRevocations, ForeignGrant, GrantId, KubernetesGroups, Pair, Refusal, SecondGrant},
    reconcile::{plan::tests::builders::on_db, world::World},
};

/// A window of one person, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    pub(super) person: usize,
    pub(super) start: u8,
    pub(super) end: u8,
}

impl Span {
    pub(super) fn contains(&self, tick: u8) -> bool {
        (self.start..self.end).contains(&tick)
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.person == other.person && self.start < other.end && other.start < self.end
    }
}

/// A grant in strongDM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Remote {
    pub(super) id: u8,
    pub(super) span: Span,
    /// The truth, which the service does not see.
    pub(super) is_ours: bool,
}

/// What the ledger says of a row, as `store::State`; rows that ended are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stage {
    Creating,
    Lost,
    Live(u8),
    Revoking(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    pub(super) number: u8,
    pub(super) span: Span,
    pub(super) stage: Stage,
}

/// The database that both replicas share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) rows: Vec<Row>,
    pub(super) due: DueRevocations,
    /// Grants of others, and the number that the next row had when each was first seen.
    pub(super) foreign: Vec<(Remote, u8)>,
    pub(super) second_grant: SecondGrant,
    /// Until which tick strongDM is not asked again.
    pub(super) refused: [u8; PEOPLE.len()],
    /// Which replica may write.
    pub(super) lease: Option<usize>,
}

/// One write of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Write {
    Create(Span),
    Revoke(u8, Span),
}

impl Write {
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Create(span) | Self::Revoke(_, span) => *span,
        }
    }
}

/// A call to strongDM, with the row that it is recorded under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Create(u8, Span),
    Delete(u8, u8),
}

/// What strongDM said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Made(u8),
    Refused,
    Gone,
}

/// How far a replica is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Idle,
    /// It has the rest of a plan, made when the store believed this of second grants.
    Planned,
    /// It has written down what it is about to do.
    Intended(Call),
    /// strongDM did it, and the answer is there.
    Answered(Call, Answer),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    pub(super) phase: Phase,
    pub(super) todo: Vec<Write>,
}

impl Replica {
    pub(super) const IDLE: Self = Self { phase: Phase::Idle, todo: Vec::new() };
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) tick: u8,
    pub(super) roster: u8,
    pub(super) left: Budget,
    pub(super) remote: Vec<Remote>,
    pub(super) store: Store,
    pub(super) replicas: [Replica; 2],
    /// Calls whose replica waits no longer, and that have not reached strongDM yet.
    pub(super) late: Vec<Call>,
    /// The next number of a row or a grant.
    pub(super) next: u8,
    /// The rosters that any look saw.
    pub(super) named: [bool; ROSTERS.len()],
    /// Of whom somebody else removed a grant of ours: we notice that when we compare.
    pub(super) robbed: [bool; PEOPLE.len()],
    /// The promise that was broken on the way here.
    pub(super) broken: Option<&'static str>,
    /// What came up on the way here. No part of the state: it tells that the exploration gets somewhere.
    pub(super) marks: u16,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { tick, roster, left, remote, store, replicas, late, next, named, robbed, broken, marks: _ } =
            self;
        (tick, roster, left, remote, store, replicas, late, next, named, robbed, broken).hash(state);
    }
}

/// What anybody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    TimePasses,
    ShiftsChange(u8),
    SomebodyMakes(Span),
    SomebodyRemoves(u8),
    LateCallArrives(usize),
    Replica(usize, super::replica::Step),
}

impl State {
    pub(super) fn first(scope: &Scope) -> Self {
        let store = Store {
            rows: Vec::new(),
            due: DueRevocations::default(),
            foreign: Vec::new(),
            second_grant: SecondGrant::default(),
            refused: [0; PEOPLE.len()],
            lease: None,
        };
        Self {
            tick: 0,
            roster: 0,
            left: scope.budget,
            remote: Vec::new(),
            store,
            replicas: [Replica::IDLE, Replica::IDLE],
            late: Vec::new(),
            next: 1,
            named: [false; ROSTERS.len()],
            robbed: [false; PEOPLE.len()],
            broken: None,
            marks: 0,
        }
    }

    pub(super) fn mark(&mut self, bit: u16) {
        self.marks |= 1 << bit;
    }

    pub(super) fn number(&mut self) -> u8 {
        self.next += 1;
        self.next - 1
    }

    /// Everything that may happen next but for replicas.
    pub(super) fn outside(&self, events: &mut Vec<Event>) {
        if self.left.ticks > 0 {
            events.push(Event::TimePasses);
        }
        if self.left.changes > 0 {
            let others = (0..).zip(ROSTERS).map(|(roster, _)| roster).filter(|roster| *roster != self.roster);
            events.extend(others.map(Event::ShiftsChange));
        }
        if self.left.foreign > 0 {
            // In the way of what is there, and of what is to come.
            let theirs = [(0, 2), (1, 5)].map(|(start, end)| Span { person: 0, start, end });
            events.extend(theirs.into_iter().filter(|span| span.end > self.tick).map(Event::SomebodyMakes));
            events.extend(self.remote.iter().map(|found| Event::SomebodyRemoves(found.id)));
        }
        events.extend((0..self.late.len()).map(Event::LateCallArrives));
    }

    /// False if it cannot happen.
    pub(super) fn happen(&mut self, scope: &Scope, event: &Event) -> bool {
        match event {
            Event::TimePasses => {
                (self.left.ticks, self.tick) = (self.left.ticks - 1, self.tick + 1);
                self.drop_ended();
            }
            Event::ShiftsChange(roster) => {
                (self.left.changes, self.roster) = (self.left.changes - 1, *roster);
            }
            Event::SomebodyMakes(span) => {
                self.left.foreign -= 1;
                if self.refuses(scope, span) {
                    return false;
                }
                let id = self.number();
                self.remote.push(Remote { id, span: *span, is_ours: false });
            }
            Event::SomebodyRemoves(id) => {
                self.left.foreign -= 1;
                if let Some(found) = self.remote.iter().find(|found| found.id == *id && found.is_ours) {
                    self.robbed[found.span.person] = true;
                }
                self.remote.retain(|found| found.id != *id);
            }
            Event::LateCallArrives(which) => {
                let call = self.late.remove(*which);
                self.mark(super::promises::LATE_CALL);
                self.reach_strongdm(scope, call, None);
            }
            Event::Replica(which, step) => return self.step(scope, *which, step),
        }
        true
    }

    /// What ended is of no interest to anybody.
    pub(super) fn drop_ended(&mut self) {
        let tick = self.tick;
        self.remote.retain(|found| found.span.end > tick);
        self.store.rows.retain(|row| row.span.end > tick);
        self.store.foreign.retain(|(found, _)| found.span.end > tick);
        for until in self.store.refused.iter_mut().filter(|until| **until <= tick) {
            *until = 0;
        }
    }

    /// Whether strongDM refuses a grant because of another one.
    pub(super) fn refuses(&self, scope: &Scope, span: &Span) -> bool {
        let mut others = self.remote.iter().filter(|other| other.span.person == span.person);
        match scope.really {
            SecondGrant::Taken => false,
            SecondGrant::RefusedIfOverlapping => others.any(|other| other.span.overlaps(span)),
            SecondGrant::Refused => others.next().is_some(),
        }
    }

    /// Puts what the store knows into `world`.
    pub(super) fn recall(&self, world: &mut World) {
        let recorded = &mut world.recorded;
        for row in &self.store.rows {
            let (id, is_unsettled) = match row.stage {
                Stage::Creating => (None, true),
                Stage::Lost => (None, false),
                Stage::Live(id) => (Some(id), false),
                Stage::Revoking(id) => (Some(id), true),
            };
            let Span { person, start, end } = row.span;
            recorded.ledger.extend(id.map(|id| grant(row.number, id, person, window(start, end))));
            recorded.unsettled.extend(is_unsettled.then(|| pair(person)));
        }
        recorded.foreign = self.store.foreign.iter().map(|(found, _)| theirs(found)).collect();
        recorded.second_grant = self.store.second_grant;
        let refused = self.store.refused.iter().enumerate().filter(|(_, until)| **until > self.tick);
        recorded.refusals =
            refused.map(|(person, until)| Refusal { pair: pair(person), until: instant(*until) }).collect();
        recorded.due = self.store.due.clone();
    }

    /// Whether anybody's grant, or one of ours, gives this person access.
    pub(super) fn has(&self, person: usize, tick: u8, only_ours: bool) -> bool {
        let theirs =
            self.remote.iter().filter(|found| found.span.person == person && found.span.contains(tick));
        theirs.into_iter().any(|found| found.is_ours || !only_ours)
    }
}

pub(super) fn pair(person: usize) -> Pair {
    on_db(PEOPLE[person])
}

fn theirs(found: &Remote) -> ForeignGrant {
    let Span { person, start, end } = found.span;
    ForeignGrant {
        id: GrantId::from(format!("fg-{}", found.id)),
        pair: pair(person),
        window: window(start, end),
        groups: KubernetesGroups::default(),
    }
}
