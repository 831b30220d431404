//! The decision about everything: claims, then each account and resource by itself, then a review of what would be
//! revoked.

use std::collections::BTreeSet;

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
    model::{FOREVER, LedgerRow, OwnGrant},
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
    let due = decide(&pairs, &BTreeSet::new());
    let review = review(exactly, settings, world, &pairs, &due, released);
    let decisions = retain(exactly, &pairs, due, &review);

    let mut plan = Plan { on_calls: claims.on_calls, skipped: claims.skipped(), ..Plan::default() };
    plan.wanted = claims.certain.iter().map(Wanted::from).collect();
    let mut wakes = claims.boundaries(now);
    for (pair, mut decision) in pairs.iter().zip(decisions) {
        for revocation in &mut decision.revoke {
            revocation.released = review.released;
        }
        add(&mut plan, &mut wakes, pair, decision);
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
    plan.next_wake = wakes.into_iter().find(|wake| *wake > now && *wake < FOREVER);
    plan
}

fn decide(pairs: &[PairFacts<'_>], retained: &BTreeSet<LedgerRow>) -> Vec<Decision> {
    pairs.iter().map(|pair| coverage::decide(pair, retained)).collect()
}

/// Decides again with everything left in place that may not go yet. What stays may make other grants of its pair
/// superfluous, which takes looks of its own, so they stay, too.
fn retain(now: DateTime<Utc>, pairs: &[PairFacts<'_>], due: Vec<Decision>, review: &Review) -> Vec<Decision> {
    let mut retained: BTreeSet<LedgerRow> = review.held.union(&review.awaiting).copied().collect();
    if retained.is_empty() {
        return due;
    }
    let reviewed: BTreeSet<LedgerRow> = rows(&due, |_| true);
    loop {
        let decisions = decide(pairs, &retained);
        let new = rows(&decisions, |due| !reviewed.contains(&due.row) && needs_second_look(now, due));
        if new.is_empty() {
            return decisions;
        }
        retained.extend(new);
    }
}

fn rows(decisions: &[Decision], which: impl Fn(&Revocation) -> bool) -> BTreeSet<LedgerRow> {
    let revocations = decisions.iter().flat_map(|decision| &decision.revoke);
    revocations.filter(|revocation| which(revocation)).map(|revocation| revocation.row).collect()
}

/// What the guard holds of the sources that were asked, whether this look found it due or could not tell.
fn held(world: &World, review: &Review) -> BTreeSet<LedgerRow> {
    let is_asked =
        |own: &&OwnGrant| own.causes.iter().any(|cause| world.on_calls.contains_key(&cause.source));
    let is_held = |row: &LedgerRow| review.due.due.get(row).is_some_and(|due| due.held);
    let others = world.recorded.ledger.iter().filter(is_asked).map(|own| own.row).filter(is_held);
    others.chain(review.held.iter().copied()).collect()
}

/// Adds the decision about one pair to the plan, and the instants at which it may change by itself to `wakes`.
fn add(plan: &mut Plan, wakes: &mut BTreeSet<DateTime<Utc>>, facts: &PairFacts<'_>, decision: Decision) {
    let Decision { create, revoke, deferred, relabelled, kept, look_again, revoke_first } = decision;
    let pair = &facts.pair;
    if facts.unsettled {
        plan.unsettled.push(pair.clone());
    }
    wakes.extend(deferred.iter().filter_map(|deferred| deferred.until));
    wakes.extend(look_again);
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
    plan.pairs.extend(urgency::split(facts.now, pair, actions, facts.second_grant));
}
