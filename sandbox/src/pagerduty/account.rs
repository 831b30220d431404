//! What a PagerDuty account holds: users, schedules, escalation policies and services.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::incident::model::Incident;
use super::schedule::Schedule;
use super::team::{Priority, Team};

/// The ID and the name of the team that every schedule, policy, service and new incident names.
pub(crate) const HOME_TEAM: (&str, &str) = ("PT3AMPY", "Payments");

/// Everything that the account holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// All users, including deleted ones.
    pub users: Vec<User>,
    /// All schedules of both generations.
    pub schedules: Vec<Schedule>,
    /// All escalation policies, in the order of `/oncalls`.
    pub policies: Vec<Policy>,
    /// All services.
    pub services: Vec<Service>,
    /// All teams.
    #[serde(default)]
    pub teams: Vec<Team>,
    /// All priorities, the most severe first.
    #[serde(default)]
    pub priorities: Vec<Priority>,
    /// All incidents, open or not, in the order in which they were opened.
    #[serde(default)]
    pub incidents: Vec<Incident>,
}

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Such as `PA1NAL7`.
    pub id: String,
    /// The full name.
    pub name: String,
    /// The login address; without one, answers leave the `email` key out.
    #[serde(default)]
    pub email: Option<String>,
    /// Set when the user is deleted; schedules and policies keep the reference.
    #[serde(default)]
    pub deleted_at: Option<DateTime<Utc>>,
}

impl User {
    /// A user with a mail address.
    pub fn new(id: &str, name: &str, email: &str) -> Self {
        Self { id: id.into(), name: name.into(), email: Some(email.into()), deleted_at: None }
    }
}

/// An escalation policy: whom to page, level after level.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Such as `PT20YPA`.
    pub id: String,
    /// The name.
    pub name: String,
    /// The targets of level 1, level 2, ….
    pub levels: Vec<Vec<Target>>,
}

impl Policy {
    /// A policy with these levels.
    pub fn new(id: &str, name: &str, levels: Vec<Vec<Target>>) -> Self {
        Self { id: id.into(), name: name.into(), levels }
    }

    /// Whether any level names this schedule.
    pub(crate) fn uses(&self, schedule: &str) -> bool {
        self.levels.iter().flatten().any(|target| matches!(target, Target::Schedule(id) if id == schedule))
    }
}

/// One target of a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The ID of a user, who is always on call.
    User(String),
    /// The ID of a schedule of either generation.
    Schedule(String),
}

impl Target {
    /// This user.
    pub fn user(id: &str) -> Self {
        Self::User(id.into())
    }

    /// This schedule.
    pub fn schedule(id: &str) -> Self {
        Self::Schedule(id.into())
    }
}

/// A service, whose incidents follow one escalation policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Such as `PSPAY01`.
    pub id: String,
    /// The name.
    pub name: String,
    /// The ID of its escalation policy.
    pub policy: String,
}

impl Account {
    /// The user of this ID, also when deleted.
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user of this ID, to change it.
    pub(crate) fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    /// The schedule of this ID.
    pub fn schedule(&self, id: &str) -> Option<&Schedule> {
        self.schedules.iter().find(|schedule| schedule.id == id)
    }

    /// The schedule of this ID, to change it.
    pub fn schedule_mut(&mut self, id: &str) -> Option<&mut Schedule> {
        self.schedules.iter_mut().find(|schedule| schedule.id == id)
    }

    /// The policy of this ID.
    pub fn policy(&self, id: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.id == id)
    }

    /// The service of this ID.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.id == id)
    }

    /// The team of this ID.
    pub fn team(&self, id: &str) -> Option<&Team> {
        self.teams.iter().find(|team| team.id == id)
    }

    /// The priority of this ID.
    pub fn priority(&self, id: &str) -> Option<&Priority> {
        self.priorities.iter().find(|priority| priority.id == id)
    }

    /// The incident of this ID, whoever may see it.
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents.iter().find(|incident| incident.id == id)
    }

    /// The incident of this ID, to change it.
    pub(crate) fn incident_mut(&mut self, id: &str) -> Option<&mut Incident> {
        self.incidents.iter_mut().find(|incident| incident.id == id)
    }

    /// Adds a user, or replaces the one of the same ID, in its place.
    pub(crate) fn put_user(&mut self, user: User) {
        put(&mut self.users, user, |user| &user.id);
    }

    /// Adds a schedule, or replaces the one of the same ID, in its place.
    pub(crate) fn put_schedule(&mut self, schedule: Schedule) {
        put(&mut self.schedules, schedule, |schedule| &schedule.id);
    }

    /// Adds a policy, or replaces the one of the same ID, in its place.
    pub(crate) fn put_policy(&mut self, policy: Policy) {
        put(&mut self.policies, policy, |policy| &policy.id);
    }

    /// Adds a team, or replaces the one of the same ID, in its place.
    pub(crate) fn put_team(&mut self, team: Team) {
        put(&mut self.teams, team, |team| &team.id);
    }

    /// Adds an incident, or replaces the one of the same ID, in its place.
    pub(crate) fn put_incident(&mut self, incident: Incident) {
        put(&mut self.incidents, incident, |incident| &incident.id);
    }
}

/// Replaces the item of the same ID in its place, or else appends the new one.
fn put<T>(items: &mut Vec<T>, item: T, id: impl Fn(&T) -> &str) {
    match items.iter_mut().find(|known| id(known) == id(&item)) {
        Some(known) => *known = item,
        None => items.push(item),
    }
}
