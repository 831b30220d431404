//! Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.
//!
//! # The way of one webhook
//!
//! 1. [`web`] `webhook.rs` reads the body, and [`pagerduty::signature`] checks who signed it.
//! 2. [`pagerduty::Event`] says what it may be about; [`reconcile::scope`] which rules that concerns.
//! 3. [`store`] `inbox.rs` keeps the delivery and marks those rules dirty in one transaction. Then: 202.
//! 4. [`reconcile`] `run.rs` wakes, on one replica, and runs a pass.
//! 5. `observe.rs` asks PagerDuty who is on call, and strongDM who and what that is.
//! 6. [`reconcile::plan`] decides, from values alone.
//! 7. `execute.rs` makes and takes back grants through [`strongdm`], each intended and settled in the [`store`].
//! 8. [`reconcile::report`] is what is kept and answered.
//!
//! # What holds everywhere
//!
//! * An event says when to look, never what to do.
//! * Every decision is in [`reconcile::plan`]; it knows no clock and no network.
//! * What could not be observed revokes nothing.
//! * Only what the [`store`] says is ours is ever removed.
//! * No transaction is open while a remote call runs.
//! * [`pagerduty`], [`strongdm`] and [`store`] do not know each other; [`web`] talks to none of the upstreams.
//!
//! [`reconcile`] argues why nothing is lost, doubled or wrongly revoked.

pub mod cli;
pub mod serve;

pub mod web;

pub(crate) mod subscription;

pub mod reconcile;

pub(crate) mod pagerduty;
pub mod store;
pub(crate) mod strongdm;

pub mod model;

pub mod clock;
pub mod config;
pub mod metrics;
pub mod telemetry;
pub(crate) mod tls;
pub(crate) mod wiring;
