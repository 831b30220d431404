//! Incidents and responders, as webhooks tell of them.

use serde_json::{Value, json};

use super::incident::resolve_reason;
use super::reference::{
    API, WEB, incident_summary, policy_reference, priority_reference, reference, service_reference,
    team_reference, user_reference,
};
use crate::pagerduty::account::Account;
use crate::pagerduty::incident::model::Incident;
use crate::pagerduty::time::Zone;

/// The `data` of most `incident.*` events. It has no e-mail address.
pub(crate) fn incident_data(account: &Account, incident: &Incident) -> Value {
    let users = incident.assignments.iter().map(|assignment| user_reference(account, &assignment.user));
    let teams = incident.teams.iter().map(|id| team_reference(account, id));
    let mut data = json!({
        "id": incident.id,
        "type": "incident",
        "self": format!("{API}/incidents/{}", incident.id),
        "html_url": format!("{WEB}/incidents/{}", incident.id),
        "number": incident.number,
        "status": incident.status,
        "incident_key": incident.key(),
        "created_at": Zone::UTC.render(incident.created_at),
        "title": incident.title,
        "service": service_reference(account, &incident.service),
        "assignees": users.collect::<Vec<_>>(),
        "escalation_policy": policy(account, incident),
        "teams": teams.collect::<Vec<_>>(),
        "priority": incident.priority.as_deref().map(|id| priority_reference(account, id)),
        "urgency": incident.urgency,
        "conference_bridge": null,
        "resolve_reason": resolve_reason(account, incident),
        "incident_type": {"name": "incident_default"},
    });
    if let Some(at) = incident.reopened_at {
        data["reopened_at"] = json!(Zone::UTC.render(at));
    }
    data
}

/// The `data` of `incident.responder.*`, in which the state has a word of its own.
pub(crate) fn responder_data(account: &Account, incident: &Incident, user: &str, state: &str) -> Value {
    let responder = incident.responders.iter().find(|responder| responder.user == user);
    json!({
        "incident": reference("incident", "incidents", &incident.id, &incident_summary(incident)),
        "user": user_reference(account, user),
        "escalation_policy": policy(account, incident),
        "message": responder.map(|responder| responder.message.as_str()),
        "state": state,
        "type": "incident_responder",
    })
}

fn policy(account: &Account, incident: &Incident) -> Value {
    match account.policy(&incident.policy) {
        Some(policy) => policy_reference(policy),
        None => reference("escalation_policy", "escalation_policies", &incident.policy, ""),
    }
}
