//! Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.
//!
//! # The way of one webhook
//!
//! 1. `web/webhook/signed.rs` reads the body, and `pagerduty/signature.rs` checks who signed it.
//! 2. `pagerduty/event.rs` says what it may be about; `reconcile/scope.rs` which sources that marks.
//! 3. `store/inbox/queue.rs` groups deliveries, and the store commits them with their marks in one transaction. Then: 202.
//! 4. `reconcile/run.rs` wakes on one replica, and `reconcile/pass.rs` runs a pass.
//! 5. `reconcile/observe/mod.rs` asks PagerDuty who is on call, and strongDM for their accounts and the resources.
//! 6. `reconcile/plan/mod.rs` decides, from values alone.
//! 7. `reconcile/execute/mod.rs` creates and revokes grants through `strongdm`, each intended and settled in the
//!    [`store`].
//! 8. [`PassReport`] is what the store keeps and the caller gets.
//!
//! `docs/ARCHITECTURE.md` has the whole map, and the ways of a grant, a look, a held revocation, an incident and others.
//!
//! # What holds everywhere
//!
//! * An event says when to look, never what to do.
//! * Every decision is in `reconcile/plan/`; it knows no clock and no network.
//! * What the service could not observe revokes nothing.
//! * The service removes only grants that the [`store`] says it made.
//! * No transaction is open while a remote call runs.
//! * `pagerduty`, `strongdm` and [`store`] do not know each other; [`web`] talks to none of the upstreams.
//!
//! `reconcile/mod.rs` argues why nothing is lost, doubled or wrongly revoked.

pub mod cli;
pub mod serve;

pub mod web;

pub(crate) mod subscription;

pub(crate) mod reconcile;

pub mod evidence;
pub(crate) mod pagerduty;
pub mod store;
pub(crate) mod strongdm;

pub mod model;

pub mod clock;
pub mod config;
pub(crate) mod metrics;
pub(crate) mod notices;
pub(crate) mod reload;
pub mod telemetry;
pub(crate) mod tls;
pub(crate) mod wiring;

/// For programs that read what the API and `sync --format json` answer, as our own tests do.
pub use reconcile::report::PassReport;
