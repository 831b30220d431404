//! What passes learn of strongDM and remember in the store.

use chrono::TimeDelta;

use crate::{
    model::{DueRevocations, SecondGrant},
    store::Fact,
};

/// What strongDM was last seen to do with a second grant; the best is assumed if nothing is known.
pub(super) const SECOND_GRANT: Fact<SecondGrant> = Fact::named("second_grant");

/// How long [`SECOND_GRANT`] is believed.
pub(super) const LEARNED_FOR: TimeDelta = TimeDelta::hours(24);

/// How long what a probe found is believed where nothing else is known.
pub(super) const BELIEVED_FOR: TimeDelta = TimeDelta::days(30);

/// What the last looks found due to be revoked. Only the holder of the lease on passes writes it.
pub(super) const DUE_REVOCATIONS: Fact<DueRevocations> = Fact::named("due_revocations");
