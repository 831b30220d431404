//! The data of the stand-in: users, schedules of both generations, policies, services.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Such as `PA1NAL7`.
    pub id: String,
    /// The full name.
    pub name: String,
    /// The login mail; without one, the `email` key is left out of answers.
    #[serde(default)]
    pub email: Option<String>,
    /// Set once deleted: the user stays as a reference where it was used.
    #[serde(default)]
    pub deleted_at: Option<DateTime<Utc>>,
}

impl User {
    /// A user with a mail address.
    pub fn new(id: &str, name: &str, email: &str) -> Self {
        Self { id: id.into(), name: name.into(), email: Some(email.into()), deleted_at: None }
    }
}

/// The two generations of schedules; each has endpoints of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Layer-based (`/schedules`): one person at a time; a later shift in the list lies over earlier ones.
    Layers,
    /// Shift-based (`/v3/schedules`): any number of people at once.
    Shifts,
}

/// A schedule as a plain list of shifts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Such as `PI7DH85`.
    pub id: String,
    /// The name.
    pub name: String,
    /// The zone that times are rendered in by its own endpoints, unless asked otherwise.
    pub time_zone: String,
    /// Which endpoints know it.
    pub generation: Generation,
    /// Who is on call when.
    #[serde(default)]
    pub shifts: Vec<Shift>,
    /// Replacements; the newest (last) wins. Layer-based schedules only.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

impl Schedule {
    /// An empty layer-based schedule that renders in UTC.
    pub fn layers(id: &str, name: &str) -> Self {
        Self::empty(id, name, Generation::Layers)
    }

    /// An empty shift-based schedule that renders in UTC.
    pub fn shifts(id: &str, name: &str) -> Self {
        Self::empty(id, name, Generation::Shifts)
    }

    /// With this shift as well.
    #[must_use]
    pub fn with(mut self, shift: Shift) -> Self {
        self.shifts.push(shift);
        self
    }

    /// In this zone.
    #[must_use]
    pub fn in_zone(mut self, time_zone: &str) -> Self {
        self.time_zone = time_zone.into();
        self
    }

    fn empty(id: &str, name: &str, generation: Generation) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            time_zone: "Etc/UTC".into(),
            generation,
            shifts: Vec::new(),
            overrides: Vec::new(),
        }
    }
}

/// One stretch of time on call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Who; nobody is the `empty_member` of a shift-based schedule.
    pub user: Option<String>,
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it; a shift without one never ends.
    pub end: Option<DateTime<Utc>>,
}

impl Shift {
    /// A shift that ends.
    pub fn new(user: &str, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self { user: Some(user.into()), start, end: Some(end) }
    }

    /// A shift that never ends.
    pub fn endless(user: &str, start: DateTime<Utc>) -> Self {
        Self { user: Some(user.into()), start, end: None }
    }

    /// A gap on purpose, in a shift-based schedule.
    pub fn nobody(start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self { user: None, start, end: Some(end) }
    }

    /// Whether this instant lies in it.
    pub fn covers(&self, at: DateTime<Utc>) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }
}

/// One person instead of whoever the layers name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Override {
    /// Its own ID.
    pub id: String,
    /// Who takes over.
    pub user: String,
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

/// Who is told when, level after level.
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
    pub fn uses(&self, schedule: &str) -> bool {
        self.levels.iter().flatten().any(|target| matches!(target, Target::Schedule(id) if id == schedule))
    }
}

/// One target of a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A user, always on call.
    User(String),
    /// A schedule of either generation.
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

/// A service, which pages through one policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Such as `PSPAY01`.
    pub id: String,
    /// The name.
    pub name: String,
    /// Its policy.
    pub policy: String,
}

/// A REST key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    /// The text of the key.
    pub token: String,
    /// Writes are answered 403.
    #[serde(default)]
    pub read_only: bool,
    /// Paths (their start) that are answered 403.
    #[serde(default)]
    pub denied: BTreeSet<String>,
}

/// Everything that the account holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct World {
    /// All users, deleted ones too.
    pub users: Vec<User>,
    /// All schedules of both generations.
    pub schedules: Vec<Schedule>,
    /// All escalation policies.
    pub policies: Vec<Policy>,
    /// All services.
    pub services: Vec<Service>,
}

impl World {
    /// The user of this ID, also when deleted.
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
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
}
