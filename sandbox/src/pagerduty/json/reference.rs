//! References, and the fields that they share with full resources.

use serde_json::{Value, json};

use crate::pagerduty::account::{Account, HOME_TEAM, Policy};
use crate::pagerduty::incident::model::Incident;
use crate::pagerduty::schedule::{Generation, Schedule};
use crate::pagerduty::time::Zone;

pub(super) const API: &str = "https://api.pagerduty.com";
pub(super) const WEB: &str = "https://acme.pagerduty.com";
/// A reference: `id`, `type`, `summary`, `self`, `html_url`.
pub(super) fn reference(kind: &str, collection: &str, id: &str, summary: &str) -> Value {
    json!({
        "id": id,
        "type": format!("{kind}_reference"),
        "summary": summary,
        "self": format!("{API}/{collection}/{id}"),
        "html_url": format!("{WEB}/{}/{id}", collection.trim_start_matches("v3/")),
    })
}

/// The full resource's `id`, `type`, `summary`, `self`, `html_url`, to which `more` is added.
pub(super) fn resource(kind: &str, collection: &str, id: &str, summary: &str, more: Value) -> Value {
    let mut value = reference(kind, collection, id, summary);
    value["type"] = json!(kind);
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}

pub(super) fn teams() -> Value {
    json!([reference("team", "teams", HOME_TEAM.0, HOME_TEAM.1)])
}

/// A reference to a team, also to one that is unknown; likewise those below.
pub(super) fn team_reference(account: &Account, id: &str) -> Value {
    let home = if id == HOME_TEAM.0 { HOME_TEAM.1 } else { "" };
    reference("team", "teams", id, account.team(id).map_or(home, |team| &team.name))
}

pub(super) fn service_reference(account: &Account, id: &str) -> Value {
    reference("service", "services", id, account.service(id).map_or("", |service| &service.name))
}

/// Priorities have one page for all of them.
pub(super) fn priority_reference(account: &Account, id: &str) -> Value {
    let name = account.priority(id).map_or("", |priority| &priority.name);
    let mut value = reference("priority", "priorities", id, name);
    value["html_url"] = json!(format!("{WEB}/account/incident_priorities"));
    value
}

/// Such as `[#4212] Card network down`.
pub(super) fn incident_summary(incident: &Incident) -> String {
    format!("[#{}] {}", incident.number, incident.title)
}

/// A reference to a user, also to a deleted or unknown one: those stay where they were used.
pub(crate) fn user_reference(account: &Account, id: &str) -> Value {
    let Some(user) = account.user(id) else { return reference("user", "users", id, "") };
    let mut value = reference("user", "users", id, &user.name);
    if let Some(deleted) = user.deleted_at {
        value["self"] = Value::Null;
        value["deleted_at"] = json!(Zone::UTC.render(deleted));
    }
    value
}

pub(crate) fn schedule_reference(schedule: &Schedule) -> Value {
    match schedule.generation {
        Generation::Layers => reference("schedule", "schedules", &schedule.id, &schedule.name),
        Generation::Shifts => reference("schedule_v3", "v3/schedules", &schedule.id, &schedule.name),
    }
}

pub(crate) fn policy_reference(policy: &Policy) -> Value {
    reference("escalation_policy", "escalation_policies", &policy.id, &policy.name)
}
