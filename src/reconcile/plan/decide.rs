//! The decision about everything: claims, then each account and resource by itself, then the guard over all of them.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};

use super::{
    Action, Guard, PairActions, Plan, Settings, Wanted,
    claims::Claims,
    coverage::{self, Hold},
    pairs::{self, Decision, PairFacts},
};
use crate::{model::FOREVER, reconcile::world::World};

/// Decides what to do at `now`.
///
/// Planning again after the plan was carried out gives no actions; the order of anything in `world` does not matter.
pub(crate) fn plan(now: DateTime<Utc>, settings: &Settings, world: &World, guard: Guard) -> Plan {
    // Windows are whole seconds; a rest of one would make the horizon differ between two of them.
    let now = now.trunc_subsecs(0);
    let claims = Claims::gather(now, settings, world);
    let pairs = pairs::gather(now, settings.horizon, world, &claims);
    let decide =
        |hold: Hold| -> Vec<Decision> { pairs.iter().map(|pair| coverage::decide(pair, hold)).collect() };

    let mut decisions = decide(Hold::Nothing);
    let revocations = decisions.iter().flat_map(|decision| &decision.revoke);
    let in_force = revocations.filter(|due| due.grant.window.contains(now)).count();
    let too_many = in_force > settings.max_revocations;
    let mut plan = Plan { on_calls: claims.on_calls, skipped: claims.skipped(), ..Plan::default() };
    plan.wanted = claims.certain.iter().map(Wanted::from).collect();
    if too_many && guard == Guard::On {
        plan.held = decisions.into_iter().flat_map(|decision| decision.revoke).map(|due| due.grant).collect();
        decisions = decide(Hold::Everything);
    }
    for revocation in decisions.iter_mut().flat_map(|decision| &mut decision.revoke) {
        revocation.released = too_many;
    }
    let mut wakes = claims.boundaries(now);
    for (pair, decision) in pairs.iter().zip(decisions) {
        add(&mut plan, &mut wakes, pair, decision);
    }
    plan.unchanged -= plan.held.len();
    plan.unknown = claims.unknown.into_iter().collect();
    plan.next_wake = wakes.into_iter().find(|wake| *wake > now && *wake < FOREVER);
    plan
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
    if !actions.is_empty() {
        plan.pairs.push(PairActions { pair: pair.clone(), actions });
    }
}
