//! strongDM, our ledger and the executor in memory: the real rules of refusal, of order and of learning, no wire.

use std::{collections::BTreeSet, mem};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    model::{
        BETWEEN_LOOKS, DueRevocations, ForeignGrant, Grant, GrantId, KubernetesGroups, LedgerRow, NewGrant,
        OwnGrant, Pair, Refusal, RememberedPart, SecondGrant, Window,
    },
    reconcile::{
        plan::{Action, PairActions, Plan, Released, Settings, plan},
        world::World,
    },
};

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reconcile::plan) enum Fault {
    None,
    /// Nothing is done, and we know.
    Fails,
    /// It is done, and we do not know.
    AnswerLost,
    /// Nothing is done, and we do not know.
    RequestLost,
}

/// A row of the ledger whose write has no known outcome.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are few at a time")]
enum Unclear {
    Creating(LedgerRow, NewGrant),
    Revoking(LedgerRow),
}

/// What came of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::reconcile::plan) struct Outcome {
    pub(in crate::reconcile::plan) failed: bool,
    pub(in crate::reconcile::plan) learned: bool,
}

#[derive(Clone, Debug)]
pub(in crate::reconcile::plan) struct Twin {
    /// What strongDM really does with a second grant.
    pub(in crate::reconcile::plan) really: SecondGrant,
    /// How much the service's clock is ahead of strongDM's.
    pub(in crate::reconcile::plan) ahead: TimeDelta,
    /// Every grant in strongDM, ours and foreign.
    pub(in crate::reconcile::plan) remote: Vec<ForeignGrant>,
    pub(in crate::reconcile::plan) ledger: Vec<OwnGrant>,
    unclear: Vec<Unclear>,
    seen_foreign: Vec<ForeignGrant>,
    second_grant: SecondGrant,
    believed_until: DateTime<Utc>,
    refusals: Vec<(Refusal, u32)>,
    pub(in crate::reconcile::plan) due: DueRevocations,
    parts: Vec<RememberedPart>,
    next: i64,
}

impl Twin {
    /// strongDM as `world` describes it.
    pub(in crate::reconcile::plan) fn new(really: SecondGrant, world: &World) -> Self {
        let ours = world.recorded.ledger.iter().map(|own| remote(&own.grant));
        Self {
            really,
            ahead: TimeDelta::zero(),
            remote: ours.chain(world.recorded.foreign.iter().cloned()).collect(),
            ledger: world.recorded.ledger.clone(),
            unclear: Vec::new(),
            seen_foreign: world.recorded.foreign.clone(),
            second_grant: world.recorded.second_grant,
            believed_until: DateTime::<Utc>::MAX_UTC,
            refusals: world.recorded.refusals.iter().map(|refusal| (refusal.clone(), 1)).collect(),
            due: world.recorded.due.clone(),
            parts: world.recorded.parts.clone(),
            next: 1 + world.recorded.ledger.iter().map(|own| own.row.number()).max().unwrap_or(0),
        }
    }

    /// Puts what the store knows into `world`.
    pub(in crate::reconcile::plan) fn recall(&self, now: DateTime<Utc>, world: &mut World) {
        world.recorded.ledger =
            self.ledger.iter().filter(|own| own.grant.window.end() > now).cloned().collect();
        world.recorded.foreign.clone_from(&self.seen_foreign);
        self.recall_facts(now, world);
    }

    fn recall_facts(&self, now: DateTime<Utc>, world: &mut World) {
        world.recorded.second_grant = self.knows(now);
        world.recorded.due = self.due.clone();
        world.recorded.parts.clone_from(&self.parts);
        let refusals = self.refusals.iter().filter(|known| known.0.until > now && is_of_the_past(known, now));
        world.recorded.refusals = refusals.map(|(refusal, _)| refusal.clone()).collect();
        world.recorded.unsettled.extend(self.unclear.iter().filter_map(|unclear| match unclear {
            Unclear::Creating(_, new) => Some(new.grant.pair()),
            Unclear::Revoking(row) => {
                self.ledger.iter().find(|own| own.row == *row).map(|own| own.grant.pair())
            }
        }));
    }

    fn knows(&self, now: DateTime<Utc>) -> SecondGrant {
        if now < self.believed_until { self.second_grant } else { SecondGrant::default() }
    }

    /// Plans and carries out until nothing more is learned, as a pass does, in two looks if it takes two. Returns the
    /// last plan and whether any write failed.
    pub(in crate::reconcile::plan) fn pass(
        &mut self,
        now: DateTime<Utc>,
        settings: &Settings,
        observed: &World,
        released: Released,
        fault: &mut dyn FnMut(&Action) -> Fault,
    ) -> (Plan, bool) {
        self.pass_in(now, settings, &mut observed.clone(), released, fault)
    }

    /// The same, with what the store knows put into `world`.
    pub(in crate::reconcile::plan) fn pass_in(
        &mut self,
        now: DateTime<Utc>,
        settings: &Settings,
        world: &mut World,
        released: Released,
        fault: &mut dyn FnMut(&Action) -> Fault,
    ) -> (Plan, bool) {
        let mut failed = false;
        for round in 1.. {
            world.asked_at = now;
            let decided = self.decide(now, settings, world, released);
            self.due = decided.due.clone();
            for (news, _) in &decided.parts {
                self.parts.retain(|part| part.key() != news.key());
                self.parts.push(news.clone());
            }
            let outcome = self.carry_out(now, &decided, fault);
            failed |= outcome.failed;
            if !outcome.learned && (decided.awaiting.is_empty() || self.was_ahead(now, &decided)) {
                return (decided, failed);
            }
            assert!(round < 10, "every plan is refused again: {decided}");
            self.let_time_pass();
        }
        unreachable!("the loop ends by returning")
    }

    /// Whether the first look was made by a clock that was ahead of this one: the second one is made later.
    fn was_ahead(&self, now: DateTime<Utc>, decided: &Plan) -> bool {
        let awaiting = self.ledger.iter().filter(|own| decided.awaiting.contains(&own.grant));
        awaiting.filter_map(|own| decided.due.due.get(&own.row)).any(|due| due.since > now)
    }

    fn decide(
        &mut self,
        now: DateTime<Utc>,
        settings: &Settings,
        world: &mut World,
        released: Released,
    ) -> Plan {
        self.recall_facts(now, world);
        // Lent: to copy them for every plan costs as much as planning does.
        let (current, mut ended): (Vec<_>, Vec<_>) =
            mem::take(&mut self.ledger).into_iter().partition(|own| own.grant.window.end() > now);
        world.recorded.ledger = current;
        mem::swap(&mut world.recorded.foreign, &mut self.seen_foreign);
        let decided = plan(now, settings, world, released);
        mem::swap(&mut world.recorded.foreign, &mut self.seen_foreign);
        ended.append(&mut world.recorded.ledger);
        self.ledger = ended;
        decided
    }

    /// The pause between two looks goes by.
    fn let_time_pass(&mut self) {
        for due in self.due.due.values_mut() {
            due.since -= BETWEEN_LOOKS;
        }
    }

    pub(in crate::reconcile::plan) fn carry_out(
        &mut self,
        now: DateTime<Utc>,
        plan: &Plan,
        fault: &mut dyn FnMut(&Action) -> Fault,
    ) -> Outcome {
        for (row, causes) in &plan.relabelled {
            let own = self.ledger.iter_mut().find(|own| own.row == *row);
            own.expect("only known rows are relabelled").causes.clone_from(causes);
        }
        let knew = self.knows(now);
        let mut outcome = Outcome::default();
        for PairActions { pair: _, urgency: _, actions } in &plan.pairs {
            let mut undone: Vec<Window> = Vec::new();
            for action in actions {
                let window = action.grant().window;
                if action.waits_for(&undone, knew)
                    || !self.write((now, knew), action, fault(action), &mut outcome)
                {
                    undone.push(window);
                }
            }
        }
        outcome
    }

    fn write(
        &mut self,
        (now, knew): (DateTime<Utc>, SecondGrant),
        action: &Action,
        fault: Fault,
        outcome: &mut Outcome,
    ) -> bool {
        outcome.failed |= fault != Fault::None;
        match (action, fault) {
            (_, Fault::Fails) => false,
            (Action::Create(new), Fault::None) => {
                let made = self.create(now, &new.grant);
                let done = made.is_some();
                if let Some(id) = made {
                    self.record_created(new, id);
                } else {
                    self.learn(now, knew, &new.grant);
                    outcome.learned = true;
                }
                done
            }
            (Action::Create(new), Fault::AnswerLost | Fault::RequestLost) => {
                if fault == Fault::AnswerLost {
                    self.create(now, &new.grant);
                }
                self.unclear.push(Unclear::Creating(self.next.into(), new.clone()));
                self.next += 1;
                false
            }
            (Action::Revoke(revocation), Fault::None) => {
                self.delete(revocation.grant.id.as_ref());
                self.ledger.retain(|own| own.row != revocation.row);
                true
            }
            (Action::Revoke(revocation), Fault::AnswerLost | Fault::RequestLost) => {
                if fault == Fault::AnswerLost {
                    self.delete(revocation.grant.id.as_ref());
                }
                self.unclear.push(Unclear::Revoking(revocation.row));
                false
            }
        }
    }

    fn record_created(&mut self, new: &NewGrant, id: GrantId) {
        let grant = Grant { id: Some(id), ..new.grant.clone() };
        self.ledger.push(OwnGrant { row: self.next.into(), grant, causes: new.causes.clone() });
        self.next += 1;
        self.refusals.retain(|(refusal, _)| !new.grant.joins(&refusal.pair));
    }

    /// strongDM's side: the new grant's ID, or a refusal.
    fn create(&mut self, now: DateTime<Utc>, grant: &Grant) -> Option<GrantId> {
        let id = GrantId::from(format!("ag-{}", self.next));
        let new = remote(&Grant { id: Some(id.clone()), ..grant.clone() });
        (!self.refuses(now, &new)).then(|| {
            self.remote.push(new);
            id
        })
    }

    fn refuses(&self, now: DateTime<Utc>, new: &ForeignGrant) -> bool {
        let mut others = self.others(now - self.ahead, &new.pair);
        others.any(|other| match self.really {
            SecondGrant::Taken => false,
            SecondGrant::RefusedIfOverlapping => other.window.overlaps(&new.window),
            SecondGrant::Refused => true,
        })
    }

    /// Somebody makes a grant that is not ours, if strongDM lets them.
    pub(in crate::reconcile::plan) fn add(&mut self, now: DateTime<Utc>, pair: Pair, window: Window) -> bool {
        let id = GrantId::from(format!("fg-{}", self.next));
        self.next += 1;
        let foreign = ForeignGrant { id, pair, window, groups: KubernetesGroups::default() };
        let free = !self.refuses(now, &foreign);
        self.remote.extend(free.then_some(foreign));
        free
    }

    pub(in crate::reconcile::plan) fn delete(&mut self, id: Option<&GrantId>) {
        self.remote.retain(|other| Some(&other.id) != id);
    }

    fn others<'a>(&'a self, now: DateTime<Utc>, pair: &'a Pair) -> impl Iterator<Item = &'a ForeignGrant> {
        self.remote.iter().filter(move |other| other.pair == *pair && other.window.end() > now)
    }

    /// What the executor learns from a refusal.
    fn learn(&mut self, now: DateTime<Utc>, knew: SecondGrant, grant: &Grant) {
        let pair = grant.pair();
        // What has just ended by our clock may not have ended by strongDM's.
        let in_the_way: Vec<ForeignGrant> = self.others(now, &pair).cloned().collect();
        let foreign: Vec<ForeignGrant> =
            in_the_way.iter().filter(|other| !self.is_ours(&other.id)).cloned().collect();
        self.seen_foreign.retain(|other| other.pair != pair);
        self.seen_foreign.extend(foreign.iter().cloned());
        let learned = if in_the_way.iter().any(|other| other.window.overlaps(&grant.window)) {
            SecondGrant::RefusedIfOverlapping
        } else {
            SecondGrant::Refused
        };
        if !in_the_way.is_empty() {
            self.second_grant = learned.max(self.knows(now));
            self.believed_until = now + TimeDelta::hours(24);
        }
        let is_ours_in_the_way = in_the_way.len() > foreign.len();
        if in_the_way.is_empty() || (learned <= knew && foreign.is_empty() && !is_ours_in_the_way) {
            self.refuse(now, pair);
        }
    }

    fn refuse(&mut self, now: DateTime<Utc>, pair: Pair) {
        let earlier = self.refusals.iter().position(|(refusal, _)| refusal.pair == pair);
        let earlier = earlier.map(|index| self.refusals.remove(index));
        let is_in_a_row =
            |known: &(Refusal, u32)| known.0.until > now - TimeDelta::hours(1) && is_of_the_past(known, now);
        let attempts = earlier.filter(is_in_a_row).map_or(0, |(_, attempts)| attempts);
        let until = now + pause_after(attempts);
        self.refusals.push((Refusal { pair, until }, attempts + 1));
    }

    fn is_ours(&self, id: &GrantId) -> bool {
        self.ledger.iter().any(|own| own.grant.id.as_ref() == Some(id))
    }

    /// Finds out what became of the writes without an answer.
    pub(in crate::reconcile::plan) fn settle(&mut self) {
        for unclear in mem::take(&mut self.unclear) {
            match unclear {
                Unclear::Creating(row, new) => {
                    let made = self.remote.iter().find(|found| {
                        **found == ForeignGrant { id: found.id.clone(), ..remote(&new.grant) }
                            && !self.is_ours(&found.id)
                    });
                    let Some(id) = made.map(|found| found.id.clone()) else { continue };
                    let grant = Grant { id: Some(id), ..new.grant };
                    self.ledger.push(OwnGrant { row, grant, causes: new.causes });
                }
                Unclear::Revoking(row) => {
                    let there: BTreeSet<GrantId> = self.remote.iter().map(|found| found.id.clone()).collect();
                    let there = |own: &OwnGrant| own.grant.id.as_ref().is_some_and(|id| there.contains(id));
                    self.ledger.retain(|own| own.row != row || there(own));
                }
            }
        }
    }

    /// Reads strongDM's whole list.
    pub(in crate::reconcile::plan) fn verify(&mut self, now: DateTime<Utc>) {
        self.remote.retain(|found| found.window.end() > now - self.ahead);
        self.ledger.retain(|own| own.grant.window.end() > now);
        let ours: BTreeSet<&GrantId> = self.ledger.iter().filter_map(|own| own.grant.id.as_ref()).collect();
        self.seen_foreign = self.remote.iter().filter(|found| !ours.contains(&found.id)).cloned().collect();
    }

    /// Whether strongDM has a grant, whoever made it, that gives access.
    pub(in crate::reconcile::plan) fn any_gives(&self, pair: &Pair, at: DateTime<Utc>) -> bool {
        self.giving(pair, at).next().is_some()
    }

    /// The same with all these groups.
    pub(in crate::reconcile::plan) fn any_gives_groups(
        &self,
        pair: &Pair,
        at: DateTime<Utc>,
        groups: &KubernetesGroups,
    ) -> bool {
        self.giving(pair, at).any(|found| found.groups.include(groups))
    }

    /// Whether strongDM has a grant of ours that gives access with all these groups.
    pub(in crate::reconcile::plan) fn ours_gives_groups(
        &self,
        pair: &Pair,
        at: DateTime<Utc>,
        groups: &KubernetesGroups,
    ) -> bool {
        self.giving(pair, at)
            .any(|found| found.id.as_str().starts_with("ag-") && found.groups.include(groups))
    }

    /// Whether strongDM has a grant of ours that gives access.
    pub(in crate::reconcile::plan) fn ours_gives(&self, pair: &Pair, at: DateTime<Utc>) -> bool {
        self.ours_gives_until(pair, at).is_some()
    }

    /// Until when grants of ours that give access at this instant give it.
    pub(in crate::reconcile::plan) fn ours_gives_until(
        &self,
        pair: &Pair,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let ours = self.giving(pair, at).filter(|found| found.id.as_str().starts_with("ag-"));
        ours.map(|found| found.window.end()).max()
    }

    fn giving(&self, pair: &Pair, at: DateTime<Utc>) -> impl Iterator<Item = &ForeignGrant> {
        self.remote.iter().filter(move |found| found.pair == *pair && found.window.contains(at))
    }
}

/// How long a refusal holds after so many before it.
fn pause_after(attempts: u32) -> TimeDelta {
    TimeDelta::seconds(2 << attempts.min(9)).min(TimeDelta::minutes(15))
}

/// Whether it was not written by a clock that was ahead of this one.
fn is_of_the_past((refusal, attempts): &(Refusal, u32), now: DateTime<Utc>) -> bool {
    refusal.until - pause_after(attempts - 1) <= now
}

fn remote(grant: &Grant) -> ForeignGrant {
    ForeignGrant {
        id: grant.id.clone().unwrap_or_else(|| GrantId::from("none yet")),
        pair: grant.pair(),
        window: grant.window,
        groups: grant.kubernetes_groups.clone(),
    }
}
