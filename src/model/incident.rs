//! Incidents, the parts that people play in them, and what is remembered of these.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{IncidentId, PolicyId, PriorityId, ScheduleId, ServiceId, TeamId, UserId, later, word::words};

words!(
    /// How urgent an incident is.
    IncidentUrgency {
        /// It pages people at once.
        High = "high",
        /// It can wait.
        Low = "low",
    }
);

words!(
    /// The part that somebody plays in an incident.
    Role {
        /// It is assigned to the person.
        Assignee = "assignee",
        /// The person acknowledged it.
        Acknowledger = "acknowledger",
        /// The person was asked to help, and joined.
        Responder = "responder",
    }
);

/// Which people of which incidents a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentSelector {
    /// Only incidents of these services.
    pub services: Vec<ServiceId>,
    /// Only incidents of these urgencies.
    pub urgencies: BTreeSet<IncidentUrgency>,
    /// Only incidents of these priorities; empty means any, and none.
    pub priorities: Vec<PriorityId>,
    /// Which parts count.
    pub roles: BTreeSet<Role>,
    /// Whoever was not chosen by the escalation policy counts only as a member of one of these.
    pub eligible: Vec<Group>,
    /// How long one person has access because of one incident, from the beginning of the first part.
    pub max_duration: TimeDelta,
    /// How many people of one incident have access at once.
    pub max_people: usize,
}

impl IncidentSelector {
    /// Whether the rule is about the incident as it is now.
    pub fn selects(&self, incident: &Incident) -> bool {
        incident.state == IncidentState::Open
            && self.services.contains(&incident.service)
            && self.counts_urgency(incident)
            && self.counts_priority(incident)
    }

    /// Whether incidents of this urgency count.
    pub fn counts_urgency(&self, incident: &Incident) -> bool {
        self.urgencies.iter().any(|urgency| urgency.as_str() == incident.urgency)
    }

    /// Whether incidents of this priority count.
    pub fn counts_priority(&self, incident: &Incident) -> bool {
        let has = || incident.priority.as_ref().is_some_and(|priority| self.priorities.contains(priority));
        self.priorities.is_empty() || has()
    }
}

/// People who belong together, on call or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The members of a team.
    Team(TeamId),
    /// Everybody in the rotation of a schedule.
    Schedule(ScheduleId),
    /// Whoever an escalation policy can page: its user targets, and the members of its schedules.
    Policy(PolicyId),
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Team(id) => write!(f, "team {id}"),
            Self::Schedule(id) => write!(f, "schedule {id}"),
            Self::Policy(id) => write!(f, "escalation policy {id}"),
        }
    }
}

/// An incident, as PagerDuty answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its number, link and title.
    pub about: IncidentRef,
    /// The first characters of its title. It may hold customers' data: for `explain` and the page only.
    pub title: String,
    /// The service that it belongs to now.
    pub service: ServiceId,
    /// Whether anybody works on it.
    pub state: IncidentState,
    /// How urgent it is, in PagerDuty's word.
    pub urgency: String,
    /// Its priority, if it has one.
    pub priority: Option<PriorityId>,
    /// Whether a person chose the assignees, rather than the escalation policy.
    pub is_assigned_by_hand: bool,
    /// The parts that people play in it.
    pub parts: Vec<Part>,
    /// Who was asked to help, and has neither joined nor declined.
    pub asked: Vec<UserId>,
    /// Whether the answer told of responders at all: not every account has them.
    pub tells_responders: bool,
}

/// Whether anybody works on an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentState {
    /// It is triggered or acknowledged.
    Open,
    /// It is resolved, or was merged into another one.
    Resolved {
        /// When, in UTC, if PagerDuty says.
        at: Option<DateTime<Utc>>,
    },
}

/// Which incident something is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IncidentRef {
    /// PagerDuty's ID.
    pub id: IncidentId,
    /// The number that people know it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The address of its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html_url: Option<String>,
}

impl fmt::Display for IncidentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "incident {number} ({})", self.id),
            None => write!(f, "incident {}", self.id),
        }
    }
}

/// A person's part in an incident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Who.
    pub user: UserId,
    /// The login e-mail, where the answer carried it. Unchecked text.
    pub email: Option<String>,
    /// Which part.
    pub role: Role,
    /// Since when, in UTC.
    pub since: DateTime<Utc>,
}

/// What a rule remembers of one person's part in one incident, also when it is over: access because of it is limited from
/// the first part on, and ends some time after the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedPart {
    /// The rule.
    pub rule: String,
    /// The incident.
    pub incident: IncidentRef,
    /// The service through which it was seen.
    pub service: ServiceId,
    /// Who.
    pub user: UserId,
    /// The part.
    pub role: Role,
    /// When the person's first part began.
    pub since: DateTime<Utc>,
    /// When access because of it ends, if the part is over; none while it lasts.
    pub ends: Option<DateTime<Utc>>,
}

impl RememberedPart {
    /// What there is one of: the rule, the incident, the person.
    pub fn key(&self) -> (&str, &IncidentId, &UserId) {
        (&self.rule, &self.incident.id, &self.user)
    }

    /// When all access because of it is over.
    pub fn over(&self, max_duration: TimeDelta) -> DateTime<Utc> {
        let longest = later(self.since, max_duration);
        self.ends.map_or(longest, |ends| ends.min(longest))
    }
}
