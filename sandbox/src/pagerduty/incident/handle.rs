//! What tests do with one incident.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::change::{Change, Occurrence};
use super::model::{Incident, Visibility};
use crate::pagerduty::state::Shared;
use crate::pagerduty::webhook::event::Event;

/// One incident. Each change happens at once and returns the event that tells of it, which nobody hears of unless it is
/// passed to [`PagerDuty::deliver`](crate::pagerduty::PagerDuty::deliver) or
/// [`emit`](crate::pagerduty::PagerDuty::emit).
///
/// # Panics
///
/// Every method panics if the incident, or a user, policy or service that it names, does not exist.
#[derive(Clone, Copy, Debug)]
pub struct IncidentHandle<'a> {
    shared: &'a Arc<Shared>,
    id: &'a str,
    at: Option<DateTime<Utc>>,
    by: Option<&'a str>,
}

impl<'a> IncidentHandle<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, id: &'a str) -> Self {
        Self { shared, id, at: None, by: None }
    }

    /// Makes the changes at this time instead of now.
    #[must_use]
    pub fn at(self, at: DateTime<Utc>) -> Self {
        Self { at: Some(at), ..self }
    }

    /// Makes this user the agent of the changes; without one, whoever acts by the change itself, or automation.
    #[must_use]
    pub fn by(self, user: &'a str) -> Self {
        Self { by: Some(user), ..self }
    }

    /// The incident as it is, whatever REST shows of it.
    pub fn get(self) -> Incident {
        self.shared.lock().account.incident(self.id).expect("a known incident").clone()
    }

    /// Changes any field, without an event.
    pub fn edit<R>(self, change: impl FnOnce(&mut Incident) -> R) -> R {
        change(self.shared.lock().account.incident_mut(self.id).expect("a known incident"))
    }

    /// Deletes it: REST answers 404.
    pub fn delete(self) {
        self.shared.lock().account.incidents.retain(|incident| incident.id != self.id);
    }

    /// Sets which requests show it.
    pub fn set_visibility(self, visibility: Visibility) {
        self.edit(|incident| incident.visibility = visibility);
    }

    /// Makes a change.
    pub fn apply(self, change: Change) -> Event {
        let at = self.at.unwrap_or_else(|| self.shared.clock.now());
        let occurrence = Occurrence { incident: self.id, change, by: self.by, at };
        let done = occurrence.apply(&mut self.shared.lock().account);
        done.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// See [`Change::Escalate`].
    pub fn escalate(self) -> Event {
        self.apply(Change::Escalate)
    }

    /// See [`Change::Assign`].
    pub fn assign(self, users: &[&str]) -> Event {
        self.apply(Change::Assign(owned(users)))
    }

    /// See [`Change::Reassign`].
    pub fn reassign(self, users: &[&str]) -> Event {
        self.apply(Change::Reassign(owned(users)))
    }

    /// See [`Change::Delegate`].
    pub fn delegate(self, policy: &str) -> Event {
        self.apply(Change::Delegate(policy.into()))
    }

    /// See [`Change::Acknowledge`].
    pub fn acknowledge(self, user: &str) -> Event {
        self.apply(Change::Acknowledge(user.into()))
    }

    /// See [`Change::AcknowledgeByService`].
    pub fn acknowledge_by_service(self, service: &str) -> Event {
        self.apply(Change::AcknowledgeByService(service.into()))
    }

    /// See [`Change::Unacknowledge`].
    pub fn unacknowledge(self) -> Event {
        self.apply(Change::Unacknowledge)
    }

    /// See [`Change::RequestResponder`].
    pub fn request_responder(self, user: &str) -> Event {
        self.apply(Change::RequestResponder(user.into()))
    }

    /// See [`Change::ResponderJoined`].
    pub fn responder_joined(self, user: &str) -> Event {
        self.apply(Change::ResponderJoined(user.into()))
    }

    /// See [`Change::ResponderDeclined`].
    pub fn responder_declined(self, user: &str) -> Event {
        self.apply(Change::ResponderDeclined(user.into()))
    }

    /// See [`Change::ResponderCancelled`].
    pub fn responder_cancelled(self, user: &str) -> Event {
        self.apply(Change::ResponderCancelled(user.into()))
    }

    /// See [`Change::SetPriority`].
    pub fn set_priority(self, priority: Option<&str>) -> Event {
        self.apply(Change::SetPriority(priority.map(Into::into)))
    }

    /// See [`Change::MoveTo`].
    pub fn move_to(self, service: &str) -> Event {
        self.apply(Change::MoveTo(service.into()))
    }

    /// See [`Change::Resolve`].
    pub fn resolve(self) -> Event {
        self.apply(Change::Resolve)
    }

    /// See [`Change::MergeInto`].
    pub fn merge_into(self, other: &str) -> Event {
        self.apply(Change::MergeInto(other.into()))
    }

    /// See [`Change::Reopen`].
    pub fn reopen(self) -> Event {
        self.apply(Change::Reopen)
    }
}

fn owned(users: &[&str]) -> Vec<String> {
    users.iter().map(|&user| user.into()).collect()
}
