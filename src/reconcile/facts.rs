//! What passes learn of strongDM and remember in the store.

use crate::{model::SecondGrant, store::Fact};

/// What strongDM was last seen to do with a second grant; the best is assumed if nothing is known.
pub(super) const SECOND_GRANT: Fact<SecondGrant> = Fact::named("second_grant");
