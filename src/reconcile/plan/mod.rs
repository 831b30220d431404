//! The decision: who must have which grant until when, and what to do about it. Pure: values in, values out, no
//! clock, no I/O, no async.
//!
//! Why it cannot lock out a responder, in the order of the code:
//!
//! 1. `claims.rs` turns rules and observations into *claims* (certain: this account, this resource, this window)
//!    and *possibilities* (somebody may be entitled to something, but a look-up failed, was not made, or named
//!    nobody). Certain claims lead to grants. Possibilities lead to nothing, and protect.
//!    `incidents.rs` does the same for those who work on an incident.
//! 2. `pairs.rs` brings together what is known of each account and resource, and `coverage.rs` decides about one such
//!    pair at a time. A grant of ours is due for revocation only if it gives access at an instant between now and the
//!    horizon that no claim covers **and** no possibility touches it. All else is left alone.
//!    `wanted.rs` says when which Kubernetes groups are wanted; a grant with other ones is due as well.
//! 3. What the revoked grant covered rightly is granted anew: before the revocation where strongDM takes a second
//!    grant, right after it where it does not (`second_grant.rs`). The actions of one pair are one ordered list, and an
//!    action is not done if an earlier one that overlaps it failed. If something stays in the way of the new grant,
//!    the old one stays too.
//! 4. `review.rs` lets go only what two complete looks agree on, and of that no more than the guard allows. `decide.rs`
//!    decides again with all else left in place.
//! 5. `urgency.rs` puts the writes in order, so that whoever is on call now waits for nobody's window of next week. Writes
//!    that overlap stay together and in the order of 3.

mod action;
mod claims;
mod coverage;
mod decide;
mod describe;
mod foresee;
mod identity;
mod incidents;
mod namesakes;
mod pairs;
mod possible;
mod review;
mod second_grant;
mod settings;
mod timeline;
mod urgency;
mod wanted;

pub(crate) use self::{
    action::{Action, Deferred, PairActions, Plan, Revocation, RevocationReason, Urgency, Wait, Wanted},
    decide::plan,
    foresee::foresee,
    incidents::{Entitlement, Seat, Standing, seats, standings},
    namesakes::{Namesakes, in_words as namesakes_in_words},
    settings::{Guard, Released, Settings},
    urgency::Queue,
};

// Very many worlds: tried by the crate `assurance`, which is made of these files and built with optimisation.
#[cfg(all(test, feature = "assurance"))]
mod exhaustive;
#[cfg(all(test, feature = "assurance"))]
mod properties;
#[cfg(all(test, feature = "assurance"))]
mod simulation;
#[cfg(all(test, feature = "assurance"))]
mod specification;
#[cfg(test)]
pub(crate) mod tests;
