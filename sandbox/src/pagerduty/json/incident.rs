//! Incidents, as REST shows them.

use serde_json::{Value, json};

use super::policy::{policy_json, service_json};
use super::reference::{
    API, incident_summary, policy_reference, priority_reference, reference, resource, service_reference,
    team_reference, user_reference,
};
use super::team::{priority_json, team_json};
use super::user::user_json;
use crate::pagerduty::account::Account;
use crate::pagerduty::incident::model::{ACKNOWLEDGED, Acknowledger, Incident, RESOLVED};
use crate::pagerduty::time::Zone;

/// How a request wants to see incidents.
#[derive(Clone, Debug)]
pub(crate) struct IncidentView<'a> {
    pub(crate) zone: Zone,
    /// The values of `include[]`.
    pub(crate) included: Vec<&'a str>,
    /// Whether the account has the feature to ask people for help.
    pub(crate) responders: bool,
}

impl IncidentView<'_> {
    fn includes(&self, what: &str) -> bool {
        self.included.contains(&what)
    }

    fn user(&self, account: &Account, id: &str, include: &str) -> Value {
        if self.includes(include) { user_json(account, id) } else { user_reference(account, id) }
    }

    fn service(&self, account: &Account, id: &str, include: &str) -> Value {
        match account.service(id) {
            Some(service) if self.includes(include) => service_json(account, service),
            _ => service_reference(account, id),
        }
    }
}

pub(crate) fn incident_json(account: &Account, incident: &Incident, view: &IncidentView<'_>) -> Value {
    let zone = view.zone;
    let policy = match account.policy(&incident.policy) {
        Some(policy) if view.includes("escalation_policies") => policy_json(account, policy),
        Some(policy) => policy_reference(policy),
        None => reference("escalation_policy", "escalation_policies", &incident.policy, ""),
    };
    let priority = incident.priority.as_deref().map(|id| match account.priority(id) {
        Some(priority) if view.includes("priorities") => priority_json(priority),
        _ => priority_reference(account, id),
    });
    let teams = incident.teams.iter().map(|id| match account.team(id) {
        Some(team) if view.includes("teams") => team_json(team),
        _ => team_reference(account, id),
    });
    // What REST says of an incident that is neither acknowledged nor resolved.
    let settled = [ACKNOWLEDGED, RESOLVED].contains(&incident.status.as_str());
    let last_status_change = if settled { incident.last_status_change_at } else { incident.updated_at };
    let mut value = resource(
        "incident",
        "incidents",
        &incident.id,
        &incident_summary(incident),
        json!({
            "incident_number": incident.number,
            "title": incident.title,
            "created_at": zone.render(incident.created_at),
            "updated_at": zone.render(incident.updated_at),
            "status": incident.status,
            "incident_key": incident.key(),
            "service": view.service(account, &incident.service, "services"),
            "assignments": assignments(account, incident, view),
            "assigned_via": incident.assigned_via,
            "last_status_change_at": zone.render(last_status_change),
            "resolved_at": incident.resolved_at.map(|at| zone.render(at)),
            "first_trigger_log_entry": first_log_entry(incident),
            "alert_counts": {"all": 1, "triggered": u8::from(incident.is_open()), "resolved": u8::from(!incident.is_open())},
            "is_mergeable": true,
            "incident_type": {"name": "incident_default"},
            "escalation_policy": policy,
            "teams": teams.collect::<Vec<_>>(),
            "pending_actions": [],
            "acknowledgements": acknowledgements(account, incident, view),
            "alert_grouping": null,
            "last_status_change_by": service_reference(account, &incident.service),
            "priority": priority,
            "resolve_reason": resolve_reason(account, incident),
            "urgency": incident.urgency,
        }),
    );
    if view.responders {
        value["incidents_responders"] = responders(account, incident, view);
        value["responder_requests"] = json!([]);
    }
    if view.includes("conference_bridge") {
        value["conference_bridge"] = Value::Null;
    }
    value
}

/// Null, or which incident it was merged into.
pub(super) fn resolve_reason(account: &Account, incident: &Incident) -> Value {
    let Some(other) = &incident.merged_into else { return Value::Null };
    let summary = account.incident(other).map(incident_summary).unwrap_or_default();
    let incident = reference("incident", "incidents", other, &summary);
    json!({"type": "merge_resolve_reason", "incident": incident})
}

fn assignments(account: &Account, incident: &Incident, view: &IncidentView<'_>) -> Value {
    let assignments = incident.assignments.iter().map(|assignment| {
        json!({
            "at": view.zone.render(assignment.at),
            "assignee": view.user(account, &assignment.user, "assignees"),
        })
    });
    assignments.collect()
}

fn acknowledgements(account: &Account, incident: &Incident, view: &IncidentView<'_>) -> Value {
    let acknowledgements = incident.acknowledgements.iter().map(|acknowledgement| {
        let acknowledger = match &acknowledgement.by {
            Acknowledger::User(id) => view.user(account, id, "acknowledgers"),
            Acknowledger::Service(id) => view.service(account, id, "acknowledgers"),
        };
        json!({"at": view.zone.render(acknowledgement.at), "acknowledger": acknowledger})
    });
    acknowledgements.collect()
}

/// No include is documented to expand their users.
fn responders(account: &Account, incident: &Incident, view: &IncidentView<'_>) -> Value {
    let responders = incident.responders.iter().map(|responder| {
        json!({
            "state": responder.state,
            "user": user_reference(account, &responder.user),
            "incident": reference("incident", "incidents", &incident.id, &incident_summary(incident)),
            "updated_at": view.zone.render(responder.updated_at),
            "message": responder.message,
            "requester": user_reference(account, &responder.requester),
            "requested_at": view.zone.render(responder.requested_at),
            "escalation_policy_requests": [],
        })
    });
    responders.collect()
}

fn first_log_entry(incident: &Incident) -> Value {
    let (id, of) = (format!("R{}", &incident.id[1.min(incident.id.len())..]), &incident.id);
    let mut entry = reference("trigger_log_entry", "log_entries", &id, "Triggered through the API");
    entry["self"] = json!(format!("{API}/log_entries/{id}?incident_id={of}"));
    entry
}
