//! An account grant as strongDM lists it, and how removing one can end.

use chrono::{DateTime, Utc};

use crate::model::{AccountId, GrantId, ResourceId};

/// An account grant as strongDM knows it, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteGrant {
    /// Its identifier.
    pub id: GrantId,
    /// Who has access.
    pub account: AccountId,
    /// To what.
    pub resource: ResourceId,
    /// From when, in whole seconds; none if strongDM did not say.
    pub start: Option<DateTime<Utc>>,
    /// Until when, in whole seconds; none if it never ends.
    pub end: Option<DateTime<Utc>>,
}

/// How a removal ended: the grant is gone either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// This call removed it.
    Now,
    /// There was nothing to remove: the grant had ended, somebody else removed it, or an earlier attempt did and its
    /// answer was lost.
    AlreadyGone,
}
