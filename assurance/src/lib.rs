//! The planner of `oncall-grants`, from the service's own files: it is pure, so it can be built without everything else, and with
//! optimisation also for `cargo test`. That is what lets the tests of `src/reconcile/plan` try very many worlds.
//!
//! No part of the service. `docs/ASSURANCE.md` says what these tests show.

// Nobody uses what the planner answers here but its tests.
#![allow(dead_code, unused_imports, unreachable_pub)]
// `scripts/assure` reads what the tests say they have tried.
#![cfg_attr(test, allow(clippy::print_stdout))]

#[path = "../../src/model/mod.rs"]
pub mod model;

/// The part of the service that decides.
#[path = "../../src/reconcile"]
pub mod reconcile {
    #[path = "plan/mod.rs"]
    pub(crate) mod plan;
    pub(crate) mod world;
}
