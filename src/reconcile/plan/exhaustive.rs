//! Every state that small worlds can get into, by every order of what may happen in them: two replicas look, plan and
//! write, lose the lease, crash before and after a call; calls and answers are lost or late; shifts change, an answer
//! is wrong or missing; somebody else makes and removes grants. The plans are those of the real `plan()`. The store,
//! the executor and strongDM are models of their rules (`exhaustive/state.rs`, `exhaustive/replica.rs`), so what they
//! really do is tried elsewhere: `tests/store`, and the kills of `scripts/crash`.
//!
//! `EXHAUSTIVE=large` explores what takes minutes.

mod promises;
mod replica;
mod scope;
mod state;

use stateright::{Checker, Model};

use self::scope::{Budget, Scope};
use crate::model::SecondGrant;

/// Explores all of it, one state after the other; fails with the way to the first state that breaks a promise.
fn explore(name: &str, scope: Scope) {
    let checker = scope.checker().spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("exhaustive: {name}: {states} states, {} transitions, depth {depth}", checker.state_count());
    for property in checker.model().properties() {
        println!("exhaustive: {name}: {:?} {}", property.expectation, property.name);
    }
    checker.assert_properties();
}

fn is_large() -> bool {
    std::env::var_os("EXHAUSTIVE").is_some_and(|value| value == "large")
}

/// Small worlds as they are, or with more of everything where there is time.
fn budget(small: Budget) -> Budget {
    if is_large() { small.larger() } else { small }
}

const DEATHS: Budget = Budget { crashes: 2, takeovers: 1, ..Budget::NONE };
const FAULTS: Budget = Budget { faults: 1, crashes: 1, takeovers: 1, ..Budget::NONE };
const TAKING_BACK: Budget = Budget { ticks: 1, changes: 1, faults: 1, ..Budget::NONE };
const LOOKS: Budget = Budget { ticks: 3, changes: 1, wrong: 1, unseen: 1, ..Budget::NONE };
const OTHERS: Budget = Budget { ticks: 1, changes: 1, foreign: 1, ..Budget::NONE };
const GUARD: Budget = Budget { ticks: 3, changes: 1, confirmations: 1, ..Budget::NONE };

macro_rules! explored {
    ($($name:ident: $really:ident, $budget:ident, $max_revocations:literal;)*) => {$(
        #[test]
        fn $name() {
            explore(stringify!($name), Scope::new(SecondGrant::$really, $max_revocations, budget($budget)));
        }
    )*};
}

explored! {
    deaths_lose_and_double_nothing_where_a_second_grant_is_taken: Taken, DEATHS, 1;
    deaths_lose_and_double_nothing_where_overlaps_are_refused: RefusedIfOverlapping, DEATHS, 1;
    deaths_lose_and_double_nothing_where_any_second_grant_is_refused: Refused, DEATHS, 1;
    lost_and_late_calls_lose_and_double_nothing_where_a_second_grant_is_taken: Taken, FAULTS, 1;
    lost_and_late_calls_lose_and_double_nothing_where_overlaps_are_refused: RefusedIfOverlapping, FAULTS, 1;
    lost_and_late_calls_lose_and_double_nothing_where_any_second_grant_is_refused: Refused, FAULTS, 1;
    what_is_taken_back_is_taken_back_once_where_a_second_grant_is_taken: Taken, TAKING_BACK, 1;
    what_is_taken_back_is_taken_back_once_where_overlaps_are_refused: RefusedIfOverlapping, TAKING_BACK, 1;
    what_is_taken_back_is_taken_back_once_where_any_second_grant_is_refused: Refused, TAKING_BACK, 1;
    looks_lock_nobody_out_where_a_second_grant_is_taken: Taken, LOOKS, 1;
    looks_lock_nobody_out_where_overlaps_are_refused: RefusedIfOverlapping, LOOKS, 1;
    looks_lock_nobody_out_where_any_second_grant_is_refused: Refused, LOOKS, 1;
    grants_of_others_are_left_alone_where_a_second_grant_is_taken: Taken, OTHERS, 1;
    grants_of_others_are_left_alone_where_overlaps_are_refused: RefusedIfOverlapping, OTHERS, 1;
    grants_of_others_are_left_alone_where_any_second_grant_is_refused: Refused, OTHERS, 1;
    the_guard_holds_until_somebody_confirms: Taken, GUARD, 0;
}
