//! What a replica does, one step at a time: between any two of them something else may happen. As `reconcile/execute`
//! does it.

use super::{
    promises as promised,
    scope::{NOBODY, PEOPLE, Scope, instant, is_on, tick_of},
    state::{Answer, Call, Event, Phase, Remote, Replica, Row, Span, Stage, State, Write},
};
use crate::{
    model::SecondGrant,
    reconcile::plan::{Action, Released, plan},
};

/// What a look sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Everything,
    /// PagerDuty says that nobody is on call.
    Nobody,
    /// PagerDuty does not answer.
    NoOnCalls,
    /// strongDM does not answer.
    NoGrants,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    RequestLost,
    AnswerLost,
    /// It arrives when nobody waits for the answer any more.
    Late,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Takes the lease, settles what is open, compares, observes and plans. With the word of somebody that what is held
    /// may go.
    Look(Seen, Released),
    Intend,
    Call(Fate),
    Settle,
    Crash,
}

impl State {
    /// What this replica may do next.
    pub(super) fn steps(&self, which: usize, events: &mut Vec<Event>) {
        let (mine, other) = (&self.replicas[which], &self.replicas[1 - which]);
        let mut add = |step| events.push(Event::Replica(which, step));
        match &mine.phase {
            Phase::Idle => {
                // Two that do nothing are alike: it is enough that one of them looks.
                let may_look = match (self.store.lease, &other.phase) {
                    (lease, Phase::Idle) => lease.unwrap_or(0) == which,
                    (lease, _) => lease != Some(1 - which) || self.left.takeovers > 0,
                };
                if !may_look {
                    return;
                }
                add(Step::Look(Seen::Everything, Released::Nothing));
                if self.left.wrong > 0 && self.roster != NOBODY {
                    add(Step::Look(Seen::Nobody, Released::Nothing));
                }
                if self.left.unseen > 0 {
                    add(Step::Look(Seen::NoOnCalls, Released::Nothing));
                    add(Step::Look(Seen::NoGrants, Released::Nothing));
                }
                let held = self.held();
                if self.left.confirmations > 0 && held > 0 {
                    add(Step::Look(Seen::Everything, Released::Held(held)));
                }
                return;
            }
            Phase::Planned => add(Step::Intend),
            Phase::Intended(_) => {
                add(Step::Call(Fate::Arrives));
                if self.left.faults > 0 {
                    for fate in [Fate::RequestLost, Fate::AnswerLost, Fate::Late] {
                        add(Step::Call(fate));
                    }
                }
            }
            Phase::Answered(..) => add(Step::Settle),
        }
        if self.left.crashes > 0 {
            add(Step::Crash);
        }
    }

    fn held(&self) -> usize {
        self.store.due.held_among(self.store.rows.iter().map(|row| i64::from(row.number).into()))
    }

    pub(super) fn step(&mut self, scope: &Scope, which: usize, step: &Step) -> bool {
        match step {
            Step::Look(seen, released) => self.look(scope, which, *seen, *released),
            Step::Intend => self.intend(which),
            Step::Call(fate) => self.call(scope, which, *fate),
            Step::Settle => self.settle_answer(which),
            Step::Crash => {
                self.left.crashes -= 1;
                self.mark(promised::CRASH);
                self.replicas[which] = Replica::IDLE;
            }
        }
        true
    }

    pub(super) fn look(&mut self, scope: &Scope, which: usize, seen: Seen, released: Released) {
        if self.store.lease == Some(1 - which) && self.replicas[1 - which].phase != Phase::Idle {
            self.left.takeovers = self.left.takeovers.saturating_sub(1);
            self.mark(promised::TAKEOVER);
        }
        self.store.lease = Some(which);
        let roster = match seen {
            Seen::Nobody => Some(NOBODY),
            Seen::NoOnCalls => None,
            Seen::Everything | Seen::NoGrants => Some(self.roster),
        };
        match seen {
            Seen::Nobody => self.left.wrong -= 1,
            Seen::NoOnCalls | Seen::NoGrants => self.left.unseen -= 1,
            Seen::Everything => {}
        }
        if released != Released::Nothing {
            self.left.confirmations = self.left.confirmations.saturating_sub(1);
        }
        if seen != Seen::NoGrants {
            self.settle_rows();
            self.compare();
        }
        let mut world = scope.world(roster, self.tick);
        self.recall(&mut world);
        let plan = plan(instant(self.tick), &scope.settings, &world, released);
        if let Some(roster) = roster {
            self.named[usize::from(roster)] = true;
        }
        let (awaits, holds, defers) =
            (!plan.awaiting.is_empty(), !plan.held.is_empty(), !plan.deferred.is_empty());
        for (is_so, bit) in
            [(awaits, promised::AWAITING), (holds, promised::HELD), (defers, promised::DEFERRED)]
        {
            self.marks |= u16::from(is_so) << bit;
        }
        self.store.due = plan.due.clone();
        let write = |action: &Action| {
            let grant = action.grant();
            let person = PEOPLE.iter().position(|name| grant.email.as_str().starts_with(name));
            let (start, end) = (tick_of(grant.window.start()), tick_of(grant.window.end()));
            let span = Span { person: person.expect("one of them"), start, end };
            match action {
                Action::Create(_) => Write::Create(span),
                Action::Revoke(due) => {
                    Write::Revoke(u8::try_from(due.row.number()).expect("there are few"), span)
                }
            }
        };
        self.replicas[which].todo = plan.actions().map(write).collect();
        self.go_on(which);
    }

    fn go_on(&mut self, which: usize) {
        let replica = &mut self.replicas[which];
        replica.phase = if replica.todo.is_empty() { Phase::Idle } else { Phase::Planned };
    }

    /// Finds out what became of the writes whose outcome is open.
    fn settle_rows(&mut self) {
        for index in 0..self.store.rows.len() {
            match self.store.rows[index].stage {
                Stage::Creating | Stage::Lost => {
                    let found = self.adoptable(&self.store.rows[index]);
                    self.mark(if found.is_some() { promised::ADOPTED } else { promised::LOST });
                    self.store.rows[index].stage = found.map_or(Stage::Lost, Stage::Live);
                    self.store.foreign.retain(|(theirs, _)| Some(theirs.id) != found);
                }
                Stage::Revoking(id) if self.remote.iter().any(|found| found.id == id) => {
                    self.store.rows[index].stage = Stage::Live(id);
                }
                Stage::Revoking(_) | Stage::Live(_) => {}
            }
        }
        self.store.rows.retain(|row| !matches!(row.stage, Stage::Revoking(_)));
    }

    /// The grant that this row may have made: the same window, not ours yet, and not seen before the row was written.
    fn adoptable(&self, row: &Row) -> Option<u8> {
        let seen_before =
            |id: u8| self.store.foreign.iter().any(|(found, seen)| found.id == id && *seen <= row.number);
        let alike = self.remote.iter().filter(|found| found.span == row.span);
        alike.map(|found| found.id).find(|id| !self.is_recorded(*id) && !seen_before(*id))
    }

    fn is_recorded(&self, id: u8) -> bool {
        self.store
            .rows
            .iter()
            .any(|row| matches!(row.stage, Stage::Live(its) | Stage::Revoking(its) if its == id))
    }

    /// Reads strongDM's whole list.
    fn compare(&mut self) {
        let there: Vec<u8> = self.remote.iter().map(|found| found.id).collect();
        self.store.rows.retain(|row| !matches!(row.stage, Stage::Live(id) if !there.contains(&id)));
        let others = self.remote.iter().filter(|found| !self.is_recorded(found.id));
        let seen = |found: &Remote| {
            let before = self.store.foreign.iter().find(|(known, _)| known.id == found.id);
            before.map_or(self.next, |(_, seen)| *seen)
        };
        self.store.foreign = others.map(|found| (found.clone(), seen(found))).collect();
    }

    fn intend(&mut self, which: usize) {
        if self.store.lease != Some(which) {
            self.mark(promised::STOPPED);
            self.replicas[which] = Replica::IDLE;
            return;
        }
        let call = match self.replicas[which].todo.remove(0) {
            Write::Create(span) => {
                let number = self.number();
                self.store.rows.push(Row { number, span, stage: Stage::Creating });
                Some(Call::Create(number, span))
            }
            Write::Revoke(number, span) => {
                let row = self.store.rows.iter_mut().find(|row| row.number == number);
                if let Some((Stage::Live(id), row)) = row.map(|row| (row.stage, row)) {
                    row.stage = Stage::Revoking(id);
                    Some(Call::Delete(number, id))
                } else {
                    self.skip_what_waits(which, span);
                    None
                }
            }
        };
        match call {
            Some(call) => self.replicas[which].phase = Phase::Intended(call),
            None => self.go_on(which),
        }
    }

    /// A write is not done if an earlier one that it waits for was not: see `Action::waits_for`.
    fn skip_what_waits(&mut self, which: usize, failed: Span) {
        let mut undone = vec![failed];
        let is_alone = self.store.second_grant == SecondGrant::Refused;
        self.replicas[which].todo.retain(|write| {
            let span = write.span();
            let waits_for_any = is_alone && matches!(write, Write::Create(_));
            let is_undone = undone
                .iter()
                .any(|other| other.overlaps(&span) || waits_for_any && other.person == span.person);
            undone.extend(is_undone.then_some(span));
            !is_undone
        });
    }

    fn call(&mut self, scope: &Scope, which: usize, fate: Fate) {
        let Replica { phase: Phase::Intended(call), todo } = self.replicas[which].clone() else {
            unreachable!("it is offered in this phase alone")
        };
        if fate == Fate::Arrives {
            let answer = self.reach_strongdm(scope, call, Some(&todo));
            self.replicas[which].phase = Phase::Answered(call, answer);
            return;
        }
        self.left.faults -= 1;
        match fate {
            Fate::AnswerLost => {
                self.reach_strongdm(scope, call, Some(&todo));
            }
            Fate::Late => self.late.push(call),
            Fate::Arrives | Fate::RequestLost => {}
        }
        let row = match call {
            Call::Create(number, _) | Call::Delete(number, _) => number,
        };
        let span = self.store.rows.iter().find(|other| other.number == row).map(|row| row.span);
        if let Some(span) = span {
            self.skip_what_waits(which, span);
        }
        self.go_on(which);
    }

    /// strongDM's side. `todo` is what the caller is going to do next, if it still waits.
    pub(super) fn reach_strongdm(&mut self, scope: &Scope, call: Call, todo: Option<&[Write]>) -> Answer {
        match call {
            Call::Create(_, span) => {
                if self.refuses(scope, &span) {
                    return Answer::Refused;
                }
                self.mark(promised::MADE);
                let id = self.number();
                let made = Remote { id, span, is_ours: true };
                self.remote.extend((span.end > self.tick).then_some(made));
                Answer::Made(id)
            }
            Call::Delete(_, id) => {
                self.delete(scope, id, todo);
                Answer::Gone
            }
        }
    }

    fn delete(&mut self, scope: &Scope, id: u8, todo: Option<&[Write]>) {
        let Some(index) = self.remote.iter().position(|found| found.id == id) else { return };
        let Remote { span, is_ours, .. } = self.remote.remove(index);
        if !is_ours {
            self.broken = Some(promised::OURS_ONLY);
        }
        let (person, tick) = (span.person, self.tick);
        let is_lost = span.contains(tick) && !self.has(person, tick, false);
        if !is_lost {
            return;
        }
        self.mark(promised::TAKEN_BACK);
        let comes_back =
            |write: &Write| matches!(write, Write::Create(new) if new.person == person && new.contains(tick));
        if self.robbed[person] {
            return;
        }
        if is_on(self.roster, person, tick) {
            // Where a second grant is refused, the old one must go before the new one comes.
            if scope.really == SecondGrant::Taken || todo.is_some_and(|todo| !todo.iter().any(comes_back)) {
                self.broken = Some(promised::KEEPS);
            }
        } else if scope.settings.max_revocations == 0
            && self.left.confirmations == scope.budget.confirmations
            && !self.has(1 - person, tick, false)
        {
            self.broken = Some(promised::GUARDED);
        }
    }

    fn settle_answer(&mut self, which: usize) {
        let Phase::Answered(call, answer) = self.replicas[which].phase.clone() else {
            unreachable!("it is offered in this phase alone")
        };
        match (call, answer) {
            (Call::Create(number, span), Answer::Made(id)) => {
                self.become_ours(number, span, id);
                self.store.refused[span.person] = 0;
            }
            (Call::Create(number, span), _) => {
                self.store.rows.retain(|row| {
                    row.number != number || matches!(row.stage, Stage::Live(_) | Stage::Revoking(_))
                });
                self.learn(span);
                self.mark(promised::REFUSED);
                // What follows was planned without knowing this.
                self.replicas[which] = Replica::IDLE;
                return;
            }
            (Call::Delete(number, _), _) => self.store.rows.retain(|row| row.number != number),
        }
        self.go_on(which);
    }

    /// Records a grant, under another row if its own was given another one meanwhile.
    fn become_ours(&mut self, number: u8, span: Span, id: u8) {
        if self.is_recorded(id) {
            return;
        }
        self.store.foreign.retain(|(found, _)| found.id != id);
        match self.store.rows.iter_mut().find(|row| row.number == number) {
            Some(row) if matches!(row.stage, Stage::Creating | Stage::Lost) => row.stage = Stage::Live(id),
            Some(_) => {
                let number = self.number();
                self.store.rows.push(Row { number, span, stage: Stage::Live(id) });
            }
            None => {}
        }
    }

    /// What a refusal teaches.
    fn learn(&mut self, span: Span) {
        let late =
            self.store.rows.iter().filter(|row| row.stage == Stage::Lost && row.span.person == span.person);
        let late: Vec<(u8, Span, u8)> =
            late.filter_map(|row| Some((row.number, row.span, self.adoptable(row)?))).collect();
        if let Some((number, span, id)) = late.first() {
            return self.become_ours(*number, *span, *id);
        }
        let (person, planned_with) = (span.person, self.store.second_grant);
        let in_the_way: Vec<Remote> =
            self.remote.iter().filter(|found| found.span.person == person).cloned().collect();
        let foreign = in_the_way.iter().filter(|found| !self.is_recorded(found.id));
        let foreign: Vec<(Remote, u8)> = foreign.map(|found| (found.clone(), self.next)).collect();
        let is_foreign = !foreign.is_empty();
        let is_ours = in_the_way.iter().any(|found| self.is_recorded(found.id));
        self.store.foreign.retain(|(found, _)| found.span.person != person);
        self.store.foreign.extend(foreign);
        let learned = if in_the_way.iter().any(|found| found.span.overlaps(&span)) {
            SecondGrant::RefusedIfOverlapping
        } else {
            SecondGrant::Refused
        };
        if !in_the_way.is_empty() {
            self.store.second_grant = learned.max(planned_with);
        }
        if in_the_way.is_empty() || learned <= planned_with && !is_foreign && !is_ours {
            self.store.refused[person] = self.tick + 1;
        }
    }
}
