//! The decision in examples, and what the tests of the decision share.

pub(super) mod builders;
pub(super) mod twin;
