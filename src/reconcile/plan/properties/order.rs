//! The order of the writes, tried on arbitrary worlds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    config,
    worlds::{any_case, known_case},
};
use crate::{
    model::{LedgerRow, Pair, SecondGrant, Window},
    reconcile::plan::{Action, PairActions, Plan, Queue, RevocationReason, Urgency},
};

/// What identifies a write.
type Key = (Pair, Window, Option<LedgerRow>);

fn key(action: &Action) -> Key {
    let row = match action {
        Action::Create(_) => None,
        Action::Revoke(due) => Some(due.row),
    };
    (action.grant().pair(), action.grant().window, row)
}

fn parts(plan: &Plan) -> impl Iterator<Item = (usize, &Action)> {
    plan.pairs
        .iter()
        .enumerate()
        .flat_map(|(place, writes)| writes.actions.iter().map(move |action| (place, action)))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_that_is_less_urgent_comes_first(case in prop_oneof![any_case(), known_case()]) {
        let plan = case.plan();
        let order: Vec<(Urgency, &Pair)> =
            plan.pairs.iter().map(|writes| (writes.urgency, &writes.pair)).collect();
        prop_assert!(order.is_sorted(), "{order:?}");
        for PairActions { urgency, actions, .. } in &plan.pairs {
            prop_assert!(!actions.is_empty());
            let in_force = |action: &&Action| action.grant().window.contains(case.now);
            // Whoever gets more groups for fewer lacks them until then.
            let ends = |action: &Action| matches!(action, Action::Revoke(due) if due.reason != RevocationReason::MoreGroups);
            let gives = |action: &Action| matches!(action, Action::Create(_));
            let right = match urgency {
                Urgency::Missing => actions.iter().any(|action| in_force(&action) && gives(action)),
                Urgency::Ending => actions.iter().any(|action| in_force(&action) && !gives(action)),
                Urgency::Coming(start) => actions.iter().all(|action| {
                    action.grant().window.start() >= *start && !in_force(&action)
                }),
            };
            prop_assert!(right, "{urgency:?}: {actions:?}");
            // Who gets the right grant for a wrong one has access meanwhile, and nobody else may wait.
            let lacks = actions.iter().any(|action| in_force(&action) && gives(action));
            let has = actions.iter().any(|action| in_force(&action) && ends(action));
            prop_assert_eq!(*urgency == Urgency::Missing, lacks && !has);
        }
    }

    #[test]
    fn what_overlaps_stays_together_and_in_the_safe_order(case in prop_oneof![any_case(), known_case()]) {
        let plan = case.plan();
        let all: Vec<(usize, &Action)> = parts(&plan).collect();
        let keys: BTreeSet<Key> = all.iter().map(|(_, action)| key(action)).collect();
        prop_assert_eq!(keys.len(), all.len(), "a write is there twice\n{}", plan);
        let takes_turns = case.world.recorded.second_grant == SecondGrant::Refused;
        for (index, (place, one)) in all.iter().enumerate() {
            for (other_place, other) in &all[index + 1..] {
                let (window, other_window) = (one.grant().window, other.grant().window);
                let concern = one.grant().pair() == other.grant().pair()
                    && (takes_turns || window.overlaps(&other_window));
                if !concern {
                    continue;
                }
                prop_assert_eq!(place, other_place, "{}", plan);
                let right = match (one, other) {
                    (Action::Create(_), Action::Revoke(_)) => case.world.recorded.second_grant == SecondGrant::Taken,
                    (Action::Revoke(_), Action::Create(_)) => case.world.recorded.second_grant != SecondGrant::Taken,
                    _ => true,
                };
                prop_assert!(right, "{plan}");
            }
        }
    }

    #[test]
    fn all_is_handed_out_once_and_never_two_of_one_pair(
        case in known_case(),
        turns in vec((1..5_usize, any::<Index>()), 1..8),
    ) {
        let plan = case.plan();
        let mut queue = Queue::new(&plan.pairs);
        let mut out = Vec::new();
        let mut begun: BTreeMap<&Pair, Vec<Urgency>> = BTreeMap::new();
        let mut count = 0;
        for (at_once, which) in turns.iter().cycle() {
            while out.len() < *at_once && let Some(turn) = queue.next() {
                begun.entry(&turn.writes.pair).or_default().push(turn.writes.urgency);
                out.push(turn);
                count += 1;
            }
            if out.is_empty() {
                break;
            }
            let pairs: BTreeSet<&Pair> = out.iter().map(|turn| &turn.writes.pair).collect();
            prop_assert_eq!(pairs.len(), out.len());
            let over = out.swap_remove(which.index(out.len()));
            queue.finish(&over);
        }
        prop_assert_eq!(count, plan.pairs.len());
        prop_assert!(begun.values().all(|urgencies| urgencies.is_sorted()));
    }
}
