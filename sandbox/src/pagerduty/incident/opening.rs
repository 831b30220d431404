//! How an incident comes to be.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SubsecRound, Utc};
use serde::Deserialize;

use super::model::{BY_HAND, BY_POLICY, Incident, TRIGGERED, Visibility};
use crate::pagerduty::account::{Account, HOME_TEAM};
use crate::pagerduty::json::incident_data::incident_data;
use crate::pagerduty::on_calls::first_on_call;
use crate::pagerduty::webhook::event::Event;

/// An incident that is not open yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewIncident {
    service: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    urgency: Option<String>,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    assignees: Option<Vec<String>>,
    #[serde(default)]
    directly: bool,
    #[serde(default)]
    opened_at: Option<DateTime<Utc>>,
}

impl NewIncident {
    /// A triggered incident of high urgency and without a priority, assigned to everybody on call at the first level
    /// of the service's escalation policy.
    pub fn on(service: &str) -> Self {
        Self {
            service: service.into(),
            id: None,
            title: None,
            urgency: None,
            priority: None,
            assignees: None,
            directly: false,
            opened_at: None,
        }
    }

    /// Gives it this ID instead of the next free one.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Gives it this title.
    #[must_use]
    pub fn titled(mut self, title: &str) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the urgency: `high` or `low`.
    #[must_use]
    pub fn urgency(mut self, urgency: &str) -> Self {
        self.urgency = Some(urgency.into());
        self
    }

    /// Gives it the priority of this ID.
    #[must_use]
    pub fn priority(mut self, priority: &str) -> Self {
        self.priority = Some(priority.into());
        self
    }

    /// Assigns it to these users, as if the escalation policy named them.
    #[must_use]
    pub fn assigned_to(mut self, users: &[&str]) -> Self {
        self.assignees = Some(users.iter().map(|&user| user.into()).collect());
        self.directly = false;
        self
    }

    /// Assigns it to these users by hand.
    #[must_use]
    pub fn directly_assigned_to(mut self, users: &[&str]) -> Self {
        self = self.assigned_to(users);
        self.directly = true;
        self
    }

    /// Opens it at this time instead of now.
    #[must_use]
    pub fn opened_at(mut self, at: DateTime<Utc>) -> Self {
        self.opened_at = Some(at);
        self
    }

    /// Opens it in the account; returns its ID and the event that tells of it. Fails if an ID is unknown.
    pub(crate) fn open(self, account: &mut Account, now: DateTime<Utc>) -> Result<(String, Event)> {
        let at = self.opened_at.unwrap_or(now).trunc_subsecs(0);
        let service =
            account.service(&self.service).with_context(|| format!("no service {}", self.service))?;
        let policy = service.policy.clone();
        if let Some(id) = &self.priority {
            account.priority(id).with_context(|| format!("no priority {id}"))?;
        }
        if let Some(unknown) = self.assignees.iter().flatten().find(|id| account.user(id).is_none()) {
            bail!("no user {unknown}");
        }
        let number = account.incidents.iter().map(|incident| incident.number).max().unwrap_or(0) + 1;
        let (level, on_call) = first_on_call(account, &policy, 1, at).unwrap_or((1, Vec::new()));
        let mut incident = Incident {
            id: self.id.unwrap_or_else(|| format!("Q1SANDBOX{number:05}")),
            number,
            title: self.title.unwrap_or_else(|| "Card authorisations failing above 5 %".into()),
            status: TRIGGERED.into(),
            urgency: self.urgency.unwrap_or_else(|| "high".into()),
            priority: self.priority,
            service: self.service,
            policy,
            level,
            teams: vec![HOME_TEAM.0.into()],
            assignments: Vec::new(),
            assigned_via: BY_POLICY.into(),
            acknowledgements: Vec::new(),
            responders: Vec::new(),
            created_at: at,
            updated_at: at,
            last_status_change_at: at,
            resolved_at: None,
            reopened_at: None,
            merged_into: None,
            visibility: Visibility::Shown,
        };
        let via = if self.directly { BY_HAND } else { BY_POLICY };
        incident.assign(&self.assignees.unwrap_or(on_call), via, at);
        let id = incident.id.clone();
        let event = Event::new("incident.triggered", at, incident_data(account, &incident));
        account.put_incident(incident);
        Ok((id, event))
    }
}
