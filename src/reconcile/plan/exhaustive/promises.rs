//! What must hold in every state, and what must come up in some.

use stateright::{Model, Property};

use super::{
    replica::{Seen, Step},
    scope::{HORIZON, PEOPLE, Scope, instant, is_on},
    state::{Event, Phase, Replica, Stage, State, pair},
};
use crate::{
    model::SecondGrant,
    reconcile::plan::{Released, specification::Specification},
};

pub(super) const OURS_ONLY: &str = "a grant of somebody else was taken back";
pub(super) const KEEPS: &str = "somebody on call lost access";
pub(super) const GUARDED: &str = "access went that the guard must hold";

pub(super) const MADE: u16 = 0;
pub(super) const TAKEN_BACK: u16 = 1;
pub(super) const ADOPTED: u16 = 2;
pub(super) const LOST: u16 = 3;
pub(super) const LATE_CALL: u16 = 4;
pub(super) const TAKEOVER: u16 = 5;
pub(super) const STOPPED: u16 = 6;
pub(super) const CRASH: u16 = 7;
pub(super) const AWAITING: u16 = 8;
pub(super) const HELD: u16 = 9;
pub(super) const DEFERRED: u16 = 10;
pub(super) const REFUSED: u16 = 11;

fn has_mark(state: &State, bit: u16) -> bool {
    state.marks & (1 << bit) != 0
}

impl Model for Scope {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self)]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.broken.is_some() {
            return;
        }
        state.outside(events);
        state.steps(0, events);
        state.steps(1, events);
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        next.happen(self, &event).then(|| {
            next.remote.sort();
            next.store.rows.sort();
            next
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always("only grants of ours are taken back", |_, state: &State| {
                state.broken != Some(OURS_ONLY)
            }),
            Property::always("nobody on call loses access", |_, state: &State| state.broken != Some(KEEPS)),
            Property::always("the guard holds until somebody confirms", |_, state: &State| {
                state.broken != Some(GUARDED)
            }),
            Property::always("nobody gets access whom no look has named", |_, state: &State| is_named(state)),
            Property::always("no grant of ours is forgotten", |_, state: &State| is_remembered(state)),
            Property::always("left undisturbed, everything comes right", comes_right),
            Property::sometimes("a grant is made", |_, state: &State| has_mark(state, MADE)),
        ];
        let Scope { budget, really, .. } = self;
        let mut sometimes = |is_so: bool, property: Property<Self>| all.extend(is_so.then_some(property));
        sometimes(
            budget.faults > 0,
            Property::sometimes("a lost answer's grant is found again", |_, state: &State| {
                has_mark(state, ADOPTED)
            }),
        );
        sometimes(
            budget.faults > 0,
            Property::sometimes("a lost call is given up", |_, state: &State| has_mark(state, LOST)),
        );
        sometimes(
            budget.faults > 0,
            Property::sometimes("a call arrives late", |_, state: &State| has_mark(state, LATE_CALL)),
        );
        sometimes(
            budget.takeovers > 0,
            Property::sometimes("the lease is lost at work", |_, state: &State| has_mark(state, TAKEOVER)),
        );
        sometimes(
            budget.takeovers > 0,
            Property::sometimes("a replica without the lease stops", |_, state: &State| {
                has_mark(state, STOPPED)
            }),
        );
        sometimes(
            budget.crashes > 0,
            Property::sometimes("a replica dies", |_, state: &State| has_mark(state, CRASH)),
        );
        let changes = budget.changes > 0;
        sometimes(
            changes,
            Property::sometimes("a second look is awaited", |_, state: &State| has_mark(state, AWAITING)),
        );
        sometimes(
            changes,
            Property::sometimes("access is taken back", |_, state: &State| has_mark(state, TAKEN_BACK)),
        );
        sometimes(
            changes && self.settings.max_revocations == 0,
            Property::sometimes("the guard holds something", |_, state: &State| has_mark(state, HELD)),
        );
        sometimes(
            changes && *really == SecondGrant::Refused,
            Property::sometimes("a window waits", |_, state: &State| has_mark(state, DEFERRED)),
        );
        sometimes(
            changes && *really == SecondGrant::Refused,
            Property::sometimes("a second grant is refused", |_, state: &State| has_mark(state, REFUSED)),
        );
        all
    }
}

/// Whether some look said of every instant for which we made a grant that the person is on call then.
fn is_named(state: &State) -> bool {
    let named = |person, tick| {
        (0..).zip(state.named).any(|(roster, was_seen)| was_seen && is_on(roster, person, tick))
    };
    let ours = state.remote.iter().filter(|found| found.is_ours);
    ours.into_iter().all(|found| {
        let span = found.span;
        (span.start..span.end).all(|tick| named(span.person, tick))
    })
}

/// Whether every grant of ours in strongDM is in the ledger: by its ID, or as a write whose outcome is open.
fn is_remembered(state: &State) -> bool {
    let is_known = |id: u8| {
        let rows = &state.store.rows;
        rows.iter().any(|row| matches!(row.stage, Stage::Live(its) | Stage::Revoking(its) if its == id))
    };
    let unknown = state.remote.iter().filter(|found| found.is_ours && !is_known(found.id));
    let open: Vec<_> = state.store.rows.iter().collect();
    unknown.into_iter().all(|found| open.iter().any(|row| row.span == found.span))
}

/// Whether five looks without any trouble, each carried out whole, leave exactly the access that the specification wants.
fn comes_right(scope: &Scope, state: &State) -> bool {
    let mut state = state.clone();
    state.replicas = [Replica::IDLE, Replica::IDLE];
    state.store.lease = None;
    while let Some(call) = state.late.pop() {
        state.reach_strongdm(scope, call, None);
    }
    state.broken = None;
    for _ in 0..5 {
        state.tick += 1;
        state.drop_ended();
        state.look(scope, 0, Seen::Everything, Released::Held(PEOPLE.len()));
        loop {
            let step = match state.replicas[0].phase {
                Phase::Idle => break,
                Phase::Planned => Step::Intend,
                Phase::Intended(_) => Step::Call(super::replica::Fate::Arrives),
                Phase::Answered(..) => Step::Settle,
            };
            state.step(scope, 0, &step);
        }
    }
    is_right(scope, &state)
}

fn is_right(scope: &Scope, state: &State) -> bool {
    let mut world = scope.world(Some(state.roster), state.tick);
    state.recall(&mut world);
    let now = instant(state.tick);
    let specification = Specification { settings: &scope.settings, world: &world, now, noticed: now };
    let takes_second = scope.really == SecondGrant::Taken;
    (0..PEOPLE.len()).all(|person| {
        // Where a second one is refused, a window to come waits for the grant in its way.
        let last = if takes_second { state.tick + HORIZON } else { state.tick + 1 };
        let is_blocked = scope.really == SecondGrant::Refused
            && state.remote.iter().any(|found| !found.is_ours && found.span.person == person);
        is_blocked
            || (state.tick..last).all(|tick| {
                let moment = specification.at(instant(tick));
                let has = state.has(person, tick, takes_second);
                let ours = state.remote.iter().filter(|found| {
                    found.is_ours && found.span.person == person && found.span.contains(tick)
                });
                let is_single = !takes_second || ours.count() <= 1;
                is_single
                    && (has || !moment.is_promised(&pair(person)))
                    && (!state.has(person, tick, true) || moment.wants(&pair(person)))
            })
    })
}
