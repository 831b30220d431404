//! One incident, and the rules that hold whatever happens to it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::crypto::sha256;

/// `status` of an open incident that nobody has acknowledged.
pub(crate) const TRIGGERED: &str = "triggered";
/// `status` of an open incident that somebody works on.
pub(crate) const ACKNOWLEDGED: &str = "acknowledged";
/// `status` of an incident that is over.
pub(crate) const RESOLVED: &str = "resolved";
/// `assigned_via` of assignees whom the escalation policy named.
pub(crate) const BY_POLICY: &str = "escalation_policy";
/// `assigned_via` of assignees whom a person named.
pub(crate) const BY_HAND: &str = "direct_assignment";

/// An incident. Statuses, urgencies and states are open strings: PagerDuty may add some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Such as `Q1SANDBOX00001`.
    pub id: String,
    /// `incident_number`, unique in the account.
    pub number: u64,
    /// What happened, in words.
    pub title: String,
    /// `triggered`, `acknowledged` or `resolved`.
    pub status: String,
    /// `high` or `low`.
    pub urgency: String,
    /// The ID of its priority.
    pub priority: Option<String>,
    /// The ID of its service.
    pub service: String,
    /// The ID of the escalation policy that it follows.
    pub policy: String,
    /// The level of the policy that it has reached, from 1.
    pub level: usize,
    /// The IDs of its teams.
    pub teams: Vec<String>,
    /// Whom it is assigned to; nobody once it is resolved.
    pub assignments: Vec<Assignment>,
    /// `escalation_policy` or `direct_assignment`.
    pub assigned_via: String,
    /// Who acknowledged it; nobody unless it is acknowledged now.
    pub acknowledgements: Vec<Acknowledgement>,
    /// Who was asked to help.
    pub responders: Vec<Responder>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When its status last changed.
    pub last_status_change_at: DateTime<Utc>,
    /// When it was resolved; nothing while it is open.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it was last reopened.
    pub reopened_at: Option<DateTime<Utc>>,
    /// The ID of the incident that it was merged into.
    pub merged_into: Option<String>,
    /// Which requests show it.
    #[serde(default)]
    pub visibility: Visibility,
}

/// A user to whom the incident is assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Since when.
    pub at: DateTime<Utc>,
    /// The ID of the user.
    pub user: String,
}

/// An acknowledgement in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Since when.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: Acknowledger,
}

/// Who acknowledged an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledger {
    /// The ID of a user.
    User(String),
    /// The ID of a service, whose integration did it.
    Service(String),
}

/// A user who was asked to help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Responder {
    /// `pending`, `joined`, `declined` or `user_cancelled`.
    pub state: String,
    /// The ID of the user.
    pub user: String,
    /// The ID of the user who asked.
    pub requester: String,
    /// When that was.
    pub requested_at: DateTime<Utc>,
    /// When the state last changed.
    pub updated_at: DateTime<Utc>,
    /// What the requester wrote.
    pub message: String,
}

/// Which requests show an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// The list and `GET /incidents/{id}`.
    #[default]
    Shown,
    /// `GET /incidents/{id}` alone, as if it fell between two pages of the list.
    Unlisted,
    /// None: it is not listed, and `GET /incidents/{id}` answers 403.
    Denied,
}

impl Incident {
    /// Whether it is not resolved.
    pub fn is_open(&self) -> bool {
        self.status != RESOLVED
    }

    /// The key that its alerts share, which is made of the ID.
    pub(crate) fn key(&self) -> String {
        hex::encode(&sha256(&[self.id.as_bytes()])[..16])
    }

    /// Replaces the assignees; those who stay keep the time of their assignment.
    pub(crate) fn assign(&mut self, users: &[String], via: &str, at: DateTime<Utc>) {
        let before = std::mem::take(&mut self.assignments);
        let assignment = |user: &String| {
            let stays = before.iter().find(|assignment| assignment.user == *user).cloned();
            stays.unwrap_or_else(|| Assignment { at, user: user.clone() })
        };
        self.assignments = users.iter().map(assignment).collect();
        via.clone_into(&mut self.assigned_via);
        self.updated_at = at;
    }

    /// Changes the status, and ends what the new one does not have.
    pub(crate) fn set_status(&mut self, status: &str, at: DateTime<Utc>) {
        status.clone_into(&mut self.status);
        self.last_status_change_at = at;
        self.updated_at = at;
        if status != ACKNOWLEDGED {
            self.acknowledgements.clear();
        }
        if status == RESOLVED {
            self.assignments.clear();
            self.resolved_at = Some(at);
        } else {
            self.resolved_at = None;
            self.merged_into = None;
        }
    }

    /// Adds an acknowledgement, or renews the one of the same user or service.
    pub(crate) fn acknowledge(&mut self, by: Acknowledger, at: DateTime<Utc>) {
        self.set_status(ACKNOWLEDGED, at);
        self.acknowledgements.retain(|one| one.by != by);
        self.acknowledgements.push(Acknowledgement { at, by });
    }
}
