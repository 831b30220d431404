//! The decision about everything: claims, then each account and resource by itself, then a review of what would be
//! revoked.

use std::{collections::BTreeSet, slice};

use chrono::{DateTime, SubsecRound, Utc};

use super::{
    Action, Plan, Released, Revocation, Settings, Wanted,
    claims::Claims,
    coverage,
    pairs::{self, Decision, PairFacts},
    review::{Review, needs_second_look, review},
    urgency,
};
use crate::{
    model::{LedgerRow, OwnGrant, lies_ahead},
    reconcile::world::World,
};

/// Decides what to do at `now`. Which look this is, the first at something or one that confirms another, depends on when
/// `world` was asked, so deciding again later by the same answers confirms nothing.
///
/// Planning again after the plan was carried out gives no actions; the order of anything in `world` does not matter.
pub(crate) fn plan(now: DateTime<Utc>, settings: &Settings, world: &World, released: Released) -> Plan {
    let exactly = now;
    // Windows are whole seconds; a rest of one would make the horizon differ between two of them.
    let now = now.trunc_subsecs(0);
    let claims = Claims::gather(now, settings, world);
    let pairs = pairs::gather(now, settings.horizon, world, &claims);
    let due: Vec<Decision> = pairs.iter().map(|facts| coverage::decide(facts, &BTreeSet::new())).collect();
    let review = review(exactly, settings, world, &pairs, &due, released);
    let decisions = retain(exactly, &pairs, due, &review);

    let mut plan = Plan { on_calls: claims.on_calls, skipped: claims.skipped(), ..Plan::default() };
    plan.parts.clone_from(&claims.parts);
    plan.wanted = claims.certain.iter().map(Wanted::from).collect();
    let mut wake = claims.next_boundary;
    for (pair, mut decision) in pairs.iter().zip(decisions) {
        for revocation in &mut decision.revoke {
            revocation.released = review.released;
        }
        // A wake-up that lies behind us would come back at once, again and again.
        let wakes = add(&mut plan, pair, decision);
        wake = wakes.into_iter().filter(|wake| lies_ahead(*wake, now)).chain(wake).min();
    }
    plan.pairs.sort_by_key(|writes| writes.urgency);
    let of = |rows: &BTreeSet<LedgerRow>| -> Vec<_> {
        let ours = pairs.iter().flat_map(|facts| &facts.ours);
        ours.filter(|own| rows.contains(&own.row)).map(|own| own.grant.clone()).collect()
    };
    plan.held = of(&held(world, &review));
    plan.awaiting = of(&review.awaiting);
    plan.unchanged -= plan.held.len() + plan.awaiting.len();
    (plan.second_look, plan.due) = (review.second_look, review.due);
    plan.unknown = claims.unknown.into_iter().collect();
    plan.next_wake = wake;
    plan
}

/// Decides again with everything left in place that may not go yet. What stays may make other grants of its pair
/// superfluous, which takes looks of its own, so they stay, too.
fn retain(
    now: DateTime<Utc>,
    pairs: &[PairFacts<'_>],
    mut due: Vec<Decision>,
    review: &Review,
) -> Vec<Decision> {
    let mut retained: BTreeSet<LedgerRow> = review.held.union(&review.awaiting).copied().collect();
    if retained.is_empty() {
        return due;
    }
    let reviewed: BTreeSet<LedgerRow> = rows(&due, |due| needs_second_look(now, due));
    for (facts, decision) in pairs.iter().zip(&mut due) {
        if !facts.ours.iter().any(|own| retained.contains(&own.row)) {
            continue;
        }
        loop {
            *decision = coverage::decide(facts, &retained);
            let is_new = |due: &Revocation| !reviewed.contains(&due.row) && needs_second_look(now, due);
            let new = rows(slice::from_ref(decision), is_new);
            if new.is_empty() {
                break;
            }
            retained.extend(new);
        }
    }
    due
}

fn rows(decisions: &[Decision], which: impl Fn(&Revocation) -> bool) -> BTreeSet<LedgerRow> {
    let revocations = decisions.iter().flat_map(|decision| &decision.revoke);
    revocations.filter(|revocation| which(revocation)).map(|revocation| revocation.row).collect()
}

/// What the guard holds of the sources that were asked, whether this look found it due or could not tell.
fn held(world: &World, review: &Review) -> BTreeSet<LedgerRow> {
    let is_asked = |own: &&OwnGrant| own.causes.iter().any(|cause| world.is_asked(&cause.source));
    let is_held = |row: &LedgerRow| review.due.due.get(row).is_some_and(|due| due.held);
    let held = world.recorded.ledger.iter().filter(|own| is_held(&own.row));
    let others = held.filter(is_asked).map(|own| own.row);
    others.chain(review.held.iter().copied()).collect()
}

/// Adds the decision about one pair to the plan. Returns the instants at which it may change by itself.
fn add(plan: &mut Plan, facts: &PairFacts<'_>, decision: Decision) -> Vec<DateTime<Utc>> {
    let Decision { create, revoke, deferred, relabelled, kept, look_again, revoke_first } = decision;
    if facts.unsettled {
        plan.unsettled.push(facts.pair());
    }
    let wakes = deferred.iter().filter_map(|deferred| deferred.until).chain(look_again).collect();
    plan.unchanged += kept;
    plan.relabelled.extend(relabelled);
    plan.deferred.extend(deferred);
    let creations = create.into_iter().map(Action::Create);
    let revocations = revoke.into_iter().map(Action::Revoke);
    let actions: Vec<Action> = if revoke_first {
        revocations.chain(creations).collect()
    } else {
        creations.chain(revocations).collect()
    };
    if !actions.is_empty() {
        plan.pairs.extend(urgency::split(facts.now, &facts.pair(), actions, facts.second_grant));
    }
    wakes
}
