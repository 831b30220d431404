//! An account grant as strongDM lists it.

use chrono::{DateTime, Utc};

use crate::model::{AccountId, GrantId, KubernetesGroups, ResourceId};

/// An account grant as strongDM lists it, whoever created it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteGrant {
    /// Its ID.
    pub(crate) id: GrantId,
    /// Who has access.
    pub(crate) account: AccountId,
    /// To what.
    pub(crate) resource: ResourceId,
    /// From when, in whole seconds; none if strongDM did not say.
    pub(crate) start: Option<DateTime<Utc>>,
    /// Until when, in whole seconds; none if it never ends.
    pub(crate) end: Option<DateTime<Utc>>,
    /// With which Kubernetes groups; none if its access rule cannot be read.
    pub(crate) groups: Option<KubernetesGroups>,
}
