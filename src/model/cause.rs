//! Why a grant was made.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{IncidentRef, PolicyId, Role, ScheduleId, Source, UserId};

/// One on-call, or one part in an incident, that by one rule wants a grant: its attribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// The rule's name.
    pub rule: String,
    /// What PagerDuty was asked about.
    #[serde(flatten)]
    pub source: Source,
    /// Who is on call, or works on the incident.
    pub user: UserId,
    /// The person's address in PagerDuty; none in grants of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The schedule the on-call comes through.
    pub through: Option<ScheduleId>,
    /// The escalation policy of the on-call.
    pub policy: Option<PolicyId>,
    /// The level within it.
    pub level: Option<u32>,
    /// Start of the shift, before `start_early`; or of the part in the incident.
    pub shift_start: Option<DateTime<Utc>>,
    /// End of the shift, before `end_late`.
    pub shift_end: Option<DateTime<Utc>>,
    /// The incident, and the person's part in it since `shift_start`, where that is the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentCause>,
}

/// An incident as a cause of access.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IncidentCause {
    /// Which incident.
    #[serde(flatten)]
    pub about: IncidentRef,
    /// The person's part in it.
    pub role: Role,
}

impl Cause {
    /// What justifies the grant, without the rule: `user PA1NAL7 is on call for schedule PI7DH85`.
    pub fn reason(&self) -> String {
        let Self { source, user, through, level, incident, .. } = self;
        if let Some(IncidentCause { about, role }) = incident {
            let link = about.html_url.as_ref().map_or_else(String::new, |url| format!(", {url}"));
            return format!("user {user} is {} of {about}{link}", role.as_str());
        }
        let mut reason = format!("user {user} is on call for {source}");
        if let Source::Policy(_) = source {
            reason += &level.map_or_else(String::new, |level| format!(" at level {level}"));
            reason += &through
                .as_ref()
                .map_or_else(String::new, |schedule| format!(" through schedule {schedule}"));
        }
        reason
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rule {:?}: {}", self.rule, self.reason())
    }
}
