//! The decision in examples, and what the tests of the decision share.

mod altered;
pub(in crate::reconcile) mod builders;
mod groups;
mod growth;
mod guard;
mod incidents;
pub(crate) mod large;
mod second_grant;
mod told;
#[cfg(feature = "assurance")]
pub(super) mod twin;
mod two_looks;
mod unknown;
mod urgency;
mod wishes;

pub(in crate::reconcile) use self::incidents::incident_selector;
