//! Schedules of both generations, as plain lists of shifts and overrides.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::time::Zone;

/// The generation of a schedule; each has endpoints of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Layer-based (`/schedules`): one person at a time; a later shift in the list overrides earlier ones.
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
    /// The zone in which its own endpoints render times, unless the request names another.
    pub time_zone: String,
    /// Which endpoints serve it.
    pub generation: Generation,
    /// Who is on call when.
    #[serde(default)]
    pub shifts: Vec<Shift>,
    /// Overrides of a layer-based schedule; the last one wins.
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

    /// Adds a shift.
    #[must_use]
    pub fn with(mut self, shift: Shift) -> Self {
        self.shifts.push(shift);
        self
    }

    /// Sets the zone.
    #[must_use]
    pub fn in_zone(mut self, time_zone: &str) -> Self {
        self.time_zone = time_zone.into();
        self
    }

    /// The zone in which its own endpoints render times.
    pub(crate) fn zone(&self) -> Zone {
        Zone::named(&self.time_zone).unwrap_or(Zone::UTC)
    }

    /// The IDs of everyone who has a shift, in order of appearance.
    pub(crate) fn members(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for id in self.shifts.iter().filter_map(|shift| shift.user.as_ref()) {
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        ids
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

/// One stretch of time on call, `[start, end)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// The ID of the user; without one, it is the `empty_member` of a shift-based schedule.
    pub user: Option<String>,
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it; without one, the shift never ends.
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

/// A user who replaces whomever the layers name, in `[start, end)`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Override {
    /// Its own ID.
    pub id: String,
    /// The ID of the user who takes over.
    pub user: String,
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}
