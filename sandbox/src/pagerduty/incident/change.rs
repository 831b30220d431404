//! What can happen to an incident, and the webhook event that tells of it.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SubsecRound, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{Acknowledger, BY_HAND, BY_POLICY, Incident, RESOLVED, Responder, TRIGGERED};
use crate::pagerduty::account::Account;
use crate::pagerduty::json::incident_data::{incident_data, responder_data};
use crate::pagerduty::json::reference::user_reference;
use crate::pagerduty::on_calls::first_on_call;
use crate::pagerduty::webhook::event::Event;

/// What happens to an incident. Users, policies, services, priorities and incidents are named by their IDs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The policy assigns everybody on call at its next level that has somebody: `incident.escalated`.
    Escalate,
    /// The policy assigns these users, whatever its levels say: `incident.escalated`.
    Assign(Vec<String>),
    /// A person assigns these users instead of the present ones: `incident.reassigned`.
    Reassign(Vec<String>),
    /// A person hands it to the first level of another policy: `incident.delegated`.
    Delegate(String),
    /// A user acknowledges it: `incident.acknowledged`.
    Acknowledge(String),
    /// The integration of a service acknowledges it: `incident.acknowledged`.
    AcknowledgeByService(String),
    /// The acknowledgements time out: `incident.unacknowledged`.
    Unacknowledge,
    /// A user is asked to help: `incident.responder.added`.
    RequestResponder(String),
    /// A user who was asked comes: `incident.responder.replied`.
    ResponderJoined(String),
    /// A user who was asked does not come: `incident.responder.replied`.
    ResponderDeclined(String),
    /// The request to a user is withdrawn. Which event tells of it is not documented; here `incident.responder.replied`.
    ResponderCancelled(String),
    /// `incident.priority_updated`.
    SetPriority(Option<String>),
    /// It moves to another service and follows that one's policy; the assignees stay: `incident.service_updated`.
    MoveTo(String),
    /// `incident.resolved`.
    Resolve,
    /// It is resolved by a merge into another incident: `incident.resolved`.
    MergeInto(String),
    /// It is open again, at the first level of its policy: `incident.reopened`.
    Reopen,
}

/// A change with the circumstances that the event tells.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence<'a> {
    /// The ID of the incident.
    pub(crate) incident: &'a str,
    pub(crate) change: Change,
    /// The user who does it; nobody stands for automation.
    pub(crate) by: Option<&'a str>,
    pub(crate) at: DateTime<Utc>,
}

/// What the event about a change is made of.
enum Story {
    /// The incident as it is after the change.
    Incident(&'static str),
    /// The responder with this user ID, in this state.
    Responder(&'static str, String, &'static str),
}

impl Occurrence<'_> {
    /// Changes the incident; returns the event that tells of it. Fails, and changes nothing, if an ID is unknown.
    pub(crate) fn apply(self, account: &mut Account) -> Result<Event> {
        // An incident knows whole seconds.
        let at = self.at.trunc_subsecs(0);
        let mut incident = find(account, self.incident)?.clone();
        let actor = self.by.map_or_else(|| self.change.actor(), |by| Some(by.to_owned()));
        if let Some(unknown) =
            self.change.users().into_iter().chain(&actor).find(|id| account.user(id).is_none())
        {
            bail!("no user {unknown}");
        }
        let requester = actor.clone().unwrap_or_else(|| requester(&incident));
        let story = transform(account, &mut incident, self.change, requester, at)?;
        incident.updated_at = at;
        let (event_type, data) = match story {
            Story::Incident(event_type) => (event_type, incident_data(account, &incident)),
            Story::Responder(event_type, user, state) => {
                (event_type, responder_data(account, &incident, &user, state))
            }
        };
        account.put_incident(incident);
        let agent = actor.map_or(Value::Null, |id| user_reference(account, &id));
        Ok(Event { agent, client: client(event_type), ..Event::new(event_type, self.at, data) })
    }
}

impl Change {
    /// Who does it, if the change itself says so.
    fn actor(&self) -> Option<String> {
        match self {
            Self::Acknowledge(user) | Self::ResponderJoined(user) | Self::ResponderDeclined(user) => {
                Some(user.clone())
            }
            _ => None,
        }
    }

    /// The users that it names.
    fn users(&self) -> Vec<&String> {
        match self {
            Self::Assign(users) | Self::Reassign(users) => users.iter().collect(),
            Self::Acknowledge(user)
            | Self::RequestResponder(user)
            | Self::ResponderJoined(user)
            | Self::ResponderDeclined(user)
            | Self::ResponderCancelled(user) => vec![user],
            _ => Vec::new(),
        }
    }
}

/// Changes the incident as the change says.
fn transform(
    account: &Account,
    incident: &mut Incident,
    change: Change,
    requester: String,
    at: DateTime<Utc>,
) -> Result<Story> {
    let name = match change {
        Change::Escalate => {
            start_level(account, incident, incident.level + 1, at)?;
            "incident.escalated"
        }
        Change::Assign(users) => {
            incident.set_status(TRIGGERED, at);
            incident.assign(&users, BY_POLICY, at);
            "incident.escalated"
        }
        Change::Reassign(users) => {
            incident.assign(&users, BY_HAND, at);
            "incident.reassigned"
        }
        Change::Delegate(policy) => {
            account.policy(&policy).with_context(|| format!("no policy {policy}"))?;
            incident.policy = policy;
            start_level(account, incident, 1, at)?;
            "incident.delegated"
        }
        Change::Acknowledge(user) => {
            incident.acknowledge(Acknowledger::User(user), at);
            "incident.acknowledged"
        }
        Change::AcknowledgeByService(service) => {
            account.service(&service).with_context(|| format!("no service {service}"))?;
            incident.acknowledge(Acknowledger::Service(service), at);
            "incident.acknowledged"
        }
        Change::Unacknowledge => {
            incident.set_status(TRIGGERED, at);
            "incident.unacknowledged"
        }
        Change::RequestResponder(user) => return Ok(ask(incident, user, requester, at)),
        // REST and webhooks have different words for who comes.
        Change::ResponderJoined(user) => return reply(incident, user, "joined", "accepted", at),
        Change::ResponderDeclined(user) => return reply(incident, user, "declined", "declined", at),
        Change::ResponderCancelled(user) => {
            return reply(incident, user, "user_cancelled", "user_cancelled", at);
        }
        Change::SetPriority(priority) => {
            if let Some(id) = &priority {
                account.priority(id).with_context(|| format!("no priority {id}"))?;
            }
            incident.priority = priority;
            "incident.priority_updated"
        }
        Change::MoveTo(service) => {
            let service = account.service(&service).with_context(|| format!("no service {service}"))?;
            incident.service.clone_from(&service.id);
            incident.policy.clone_from(&service.policy);
            incident.level = 1;
            "incident.service_updated"
        }
        Change::Resolve => {
            incident.set_status(RESOLVED, at);
            "incident.resolved"
        }
        Change::MergeInto(other) => {
            find(account, &other)?;
            incident.set_status(RESOLVED, at);
            incident.merged_into = Some(other);
            "incident.resolved"
        }
        Change::Reopen => {
            start_level(account, incident, 1, at)?;
            incident.reopened_at = Some(at);
            "incident.reopened"
        }
    };
    Ok(Story::Incident(name))
}

/// Triggers the incident again, assigned to everybody on call at the first level from this one that has somebody.
fn start_level(account: &Account, incident: &mut Incident, level: usize, at: DateTime<Utc>) -> Result<()> {
    let (level, users) = first_on_call(account, &incident.policy, level, at)
        .with_context(|| format!("nobody is on call from level {level} of {} on", incident.policy))?;
    incident.level = level;
    incident.set_status(TRIGGERED, at);
    incident.assign(&users, BY_POLICY, at);
    Ok(())
}

/// Asks for help; whoever was asked before is asked anew.
fn ask(incident: &mut Incident, user: String, requester: String, at: DateTime<Utc>) -> Story {
    incident.responders.retain(|responder| responder.user != user);
    incident.responders.push(Responder {
        state: "pending".into(),
        user: user.clone(),
        requester,
        requested_at: at,
        updated_at: at,
        message: format!("Please help with \"{}\"", incident.title),
    });
    Story::Responder("incident.responder.added", user, "pending")
}

fn reply(
    incident: &mut Incident,
    user: String,
    state: &str,
    told: &'static str,
    at: DateTime<Utc>,
) -> Result<Story> {
    let asked = incident.responders.iter_mut().find(|responder| responder.user == user);
    let responder = asked.with_context(|| format!("{user} was not asked to help"))?;
    state.clone_into(&mut responder.state);
    responder.updated_at = at;
    Ok(Story::Responder("incident.responder.replied", user, told))
}

/// Who asks for help when nobody is named: an assignee, as far as there is one.
fn requester(incident: &Incident) -> String {
    incident.assignments.first().map(|assignment| assignment.user.clone()).unwrap_or_default()
}

fn find<'a>(account: &'a Account, id: &str) -> Result<&'a Incident> {
    account.incident(id).with_context(|| format!("no incident {id}"))
}

/// The documentation's samples name a client for what is done in the web interface alone.
fn client(event_type: &str) -> Value {
    match event_type {
        "incident.delegated" | "incident.priority_updated" => json!({"name": "PagerDuty"}),
        _ => Value::Null,
    }
}
