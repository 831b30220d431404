//! Escalation policies and services.

use serde_json::{Value, json};

use super::reference::{policy_reference, reference, resource, schedule_reference, teams, user_reference};
use crate::pagerduty::account::{Account, Policy, Service, Target};

pub(crate) fn policy_json(account: &Account, policy: &Policy) -> Value {
    let target = |target: &Target| match target {
        Target::User(id) => user_reference(account, id),
        Target::Schedule(id) => match account.schedule(id) {
            Some(schedule) => schedule_reference(schedule),
            None => reference("schedule", "schedules", id, ""),
        },
    };
    let rules = policy.levels.iter().enumerate().map(|(index, targets)| {
        json!({
            "id": format!("PRULE{:02}", index + 1),
            "escalation_delay_in_minutes": 10,
            "targets": targets.iter().map(target).collect::<Vec<_>>(),
            "escalation_rule_assignment_strategy": "assign_to_everyone",
        })
    });
    let services = account.services.iter().filter(|service| service.policy == policy.id);
    resource(
        "escalation_policy",
        "escalation_policies",
        &policy.id,
        &policy.name,
        json!({
            "name": policy.name,
            "description": null,
            "num_loops": 0,
            "on_call_handoff_notifications": "if_has_services",
            "escalation_rules": rules.collect::<Vec<_>>(),
            "services": services
                .map(|service| reference("service", "services", &service.id, &service.name))
                .collect::<Vec<_>>(),
            "teams": teams(),
        }),
    )
}

pub(crate) fn service_json(account: &Account, service: &Service) -> Value {
    resource(
        "service",
        "services",
        &service.id,
        &service.name,
        json!({
            "name": service.name,
            "description": null,
            "auto_resolve_timeout": 14400,
            "acknowledgement_timeout": 600,
            "created_at": "2024-02-01T08:00:00Z",
            "status": "active",
            "last_incident_timestamp": null,
            "alert_creation": "create_alerts_and_incidents",
            "integrations": [],
            "escalation_policy": account.policy(&service.policy).map(policy_reference),
            "teams": teams(),
            "incident_urgency_rule": {"type": "constant", "urgency": "high"},
            "support_hours": null,
            "scheduled_actions": [],
        }),
    )
}
