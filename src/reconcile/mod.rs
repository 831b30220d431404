//! From what is wanted to what is there: observe → plan → execute, again and again.
//!
//! # Why nothing is lost, doubled or wrongly revoked
//!
//! *Level, not edge.* A pass takes a scope, never an event. What it decides depends only on what PagerDuty and
//! strongDM answer during the pass and on our ledger; a webhook, a shift boundary, the timer, a retry and
//! `POST /sync` all lead to the same code. An event that is lost, doubled or late changes only *when* we look.
//!
//! *Events.* A delivery and the marks it leaves are one transaction, committed before the 202. A mark is cleared by
//! the version that was read before the pass began to look, so one that is set again meanwhile stays. A pass that
//! could not see or do everything is repeated after a growing pause, and a full pass runs at every start, so that a
//! process that dies between clearing and retrying forgets nothing.
//!
//! *Writes.* Each is intended in the store, sent, and settled. The process may die at four places:
//!
//! | it dies | the ledger says | the next pass |
//! | --- | --- | --- |
//! | before the intent is on disk | nothing | plans the write again |
//! | after the intent, before strongDM acts | `creating` / `revoking` | looks: no such grant → lost, made anew; still there → live, revoked again |
//! | after strongDM acted, before the settlement | `creating` / `revoking` | looks: the same account, resource and window → adopted; gone → ended |
//! | after the settlement | `live` / `ended` | nothing to do |
//!
//! An answer that never arrives is the same as dying in the middle, without dying. A creation that reaches strongDM
//! only after we looked is found by the next comparison of the ledger with strongDM's list: `lost` rows are kept
//! until their window ends for that reason, and the duplicate is then revoked like any other.
//!
//! *Revocations.* Only rows of the ledger are ever revoked, and only if the planner knows that nobody can want them;
//! `plan/mod.rs` says how. Where strongDM takes a second grant, the new one is made first, and the old one stays if
//! that fails.
//!
//! *One at a time.* Passes of one process never overlap: they share one lock.

mod agenda;
pub mod cache;
mod execute;
mod held;
mod observe;
mod pass;
pub mod picture;
pub mod plan;
pub mod report;
pub mod request;
mod run;
pub mod scope;
mod settle;
pub mod world;

pub use self::{
    request::PassRequest,
    run::{LEARNED_FOR, Reconciler, Survey},
};
