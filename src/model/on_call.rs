//! Who is on call, and what PagerDuty is asked about.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PolicyId, ScheduleId, ServiceId, UserId};

/// What PagerDuty is asked about: the schedules, escalation policies or services that rules name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Everyone on call through this schedule.
    Schedule(ScheduleId),
    /// Everyone on call through this escalation policy.
    #[serde(rename = "escalation_policy")]
    Policy(PolicyId),
    /// Everyone who works on an open incident of this service.
    Service(ServiceId),
}

impl Source {
    /// The words for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Schedule(_) => "schedule",
            Self::Policy(_) => "escalation policy",
            Self::Service(_) => "service",
        }
    }

    /// Its ID, as PagerDuty has it.
    pub fn id(&self) -> &str {
        match self {
            Self::Schedule(id) => id.as_str(),
            Self::Policy(id) => id.as_str(),
            Self::Service(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.id())
    }
}

/// One user on call for a stretch of time, as PagerDuty answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OnCall {
    /// Who is on call.
    pub user: UserId,
    /// The login e-mail, where the answer carried it. Unchecked text.
    pub email: Option<String>,
    /// The schedule it comes through; none for a direct target of an escalation policy.
    pub schedule: Option<ScheduleId>,
    /// The escalation policy it was listed under; none if asked through the schedule itself.
    pub policy: Option<PolicyId>,
    /// The escalation level within that policy, counted from 1.
    pub level: Option<u32>,
    /// Start of the shift in UTC; none for a permanent on-call.
    pub start: Option<DateTime<Utc>>,
    /// End of the shift in UTC; none if the user never goes off call.
    pub end: Option<DateTime<Utc>>,
}
