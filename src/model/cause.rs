//! Why a grant was made.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{PolicyId, ScheduleId, Source, UserId};

/// One on-call that, by one rule, wants a grant: its attribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// The rule's name.
    pub rule: String,
    /// What PagerDuty was asked about.
    #[serde(flatten)]
    pub source: Source,
    /// Who is on call.
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
    /// Start of the shift, before `start_early`.
    pub shift_start: Option<DateTime<Utc>>,
    /// End of the shift, before `end_late`.
    pub shift_end: Option<DateTime<Utc>>,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, source, user, address: _, through, policy: _, level, shift_start: _, shift_end: _ } =
            self;
        write!(f, "rule {rule:?}: user {user} is on call for {source}")?;
        if let (Source::Policy(_), Some(level)) = (source, level) {
            write!(f, " at level {level}")?;
        }
        match (source, through) {
            (Source::Policy(_), Some(schedule)) => write!(f, " through schedule {schedule}"),
            (Source::Policy(_) | Source::Schedule(_), _) => Ok(()),
        }
    }
}
