//! The planner of `oncall-grants`, from the service's own files: it is pure, so it can be built without everything
//! else, and with optimisation also for `cargo test`. That is what lets the tests of `src/reconcile/plan` try very many
//! worlds. With it come the other pure parts that `scripts/mutants` changes: how signatures are checked, how webhooks
//! are read, and how what came of a write is recognised.
//!
//! No part of the service. `docs/ASSURANCE.md` says what these tests show.

// Nobody uses what the planner answers here but its tests.
#![allow(dead_code, unused_imports, unreachable_pub)]
// `scripts/assure` reads what the tests say they have tried.
#![cfg_attr(test, allow(clippy::print_stdout))]

/// Worlds are made of very many small pieces: with the allocator of the system, a third more time goes by.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "../../src/model/mod.rs"]
pub mod model;

/// What of PagerDuty's webhooks is pure.
#[path = "../../src/pagerduty"]
pub mod pagerduty {
    mod event;
    pub(crate) mod signature;
}

/// How a row of the ledger looks.
#[path = "../../src/store"]
pub mod store {
    mod entry;
    pub use self::entry::{LedgerEntry, State};
}

/// How strongDM's grants look.
#[path = "../../src/strongdm"]
pub mod strongdm {
    mod grant;
    pub(crate) use self::grant::RemoteGrant;
}

/// The part of the service that decides, and how it recognises what came of its writes.
#[path = "../../src/reconcile"]
pub mod reconcile {
    pub(crate) mod execute {
        pub(crate) mod likeness;
    }
    #[path = "plan/mod.rs"]
    pub(crate) mod plan;
    pub(crate) mod world;
}
