//! Identifiers, one type for each kind of thing, so that none is taken for another. A copy costs next to nothing: the
//! same few stand in thousands of grants, on-calls and rules.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as its owner writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

id!(
    /// A PagerDuty schedule, layer-based or shift-based. Opaque: PagerDuty promises no pattern.
    ScheduleId
);
id!(
    /// A PagerDuty escalation policy.
    PolicyId
);
id!(
    /// A PagerDuty user.
    UserId
);
id!(
    /// A PagerDuty service: what incidents are opened on.
    ServiceId
);
id!(
    /// A PagerDuty incident.
    IncidentId
);
id!(
    /// A PagerDuty team.
    TeamId
);
id!(
    /// A priority of PagerDuty's incidents.
    PriorityId
);
id!(
    /// A strongDM account, `a-…`.
    AccountId
);
id!(
    /// A strongDM resource, `rs-…`.
    ResourceId
);
id!(
    /// A strongDM account grant, `ag-…`.
    GrantId
);
