//! v3 webhook events and their envelope.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The documented event types that a subscription can ask for.
pub(crate) const EVENT_TYPES: [&str; 30] = [
    "incident.acknowledged",
    "incident.action_invocation.created",
    "incident.action_invocation.terminated",
    "incident.action_invocation.updated",
    "incident.annotated",
    "incident.conference_bridge.updated",
    "incident.custom_field_values.updated",
    "incident.delegated",
    "incident.escalated",
    "incident.incident_type.changed",
    "incident.priority_updated",
    "incident.reassigned",
    "incident.reopened",
    "incident.resolved",
    "incident.responder.added",
    "incident.responder.replied",
    "incident.role.assigned",
    "incident.service_updated",
    "incident.status_update_published",
    "incident.task.completed",
    "incident.task.created",
    "incident.task.updated",
    "incident.triggered",
    "incident.unacknowledged",
    "incident.workflow.completed",
    "incident.workflow.started",
    "service.created",
    "service.custom_field_values.updated",
    "service.deleted",
    "service.updated",
];

/// An event, as the envelope of a webhook carries it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Unique; the same in every delivery of the event.
    pub id: String,
    /// Such as `incident.triggered`.
    pub event_type: String,
    /// The first part of `event_type`.
    pub resource_type: String,
    /// ISO 8601 with milliseconds.
    pub occurred_at: String,
    /// A reference, or null for automation.
    #[serde(default)]
    pub agent: Value,
    /// Such as `{"name": "PagerDuty"}`, or null.
    #[serde(default)]
    pub client: Value,
    /// Depends on the type.
    pub data: Value,
}

impl Event {
    /// An event with a fresh ID.
    pub fn new(event_type: &str, at: DateTime<Utc>, data: Value) -> Self {
        let random = uuid::Uuid::now_v7().simple().to_string().to_uppercase();
        // The last digits are the random ones; real IDs have 26 characters as well.
        let id = format!("01{}", &random[random.len() - 24..]);
        let resource_type = event_type.split('.').next().unwrap_or_default().into();
        let occurred_at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Self {
            id,
            event_type: event_type.into(),
            resource_type,
            occurred_at,
            agent: Value::Null,
            client: Value::Null,
            data,
        }
    }

    /// The event that the API sends on request to test a subscription.
    pub fn ping(at: DateTime<Utc>) -> Self {
        Self::new("pagey.ping", at, json!({"message": "Hello from your friend Pagey!", "type": "ping"}))
    }

    /// An event about an incident of this service that follows this escalation policy.
    ///
    /// `event_type` is one of `incident.*` whose data is an incident.
    pub fn incident(event_type: &str, at: DateTime<Utc>, policy: &str, service: &str) -> Self {
        let reference = |kind: &str, collection: &str, id: &str| {
            json!({
                "html_url": format!("https://acme.pagerduty.com/{collection}/{id}"),
                "id": id,
                "self": format!("https://api.pagerduty.com/{collection}/{id}"),
                "summary": id,
                "type": format!("{kind}_reference"),
            })
        };
        let data = json!({
            "id": "Q1X7PAYLOAD001",
            "type": "incident",
            "self": "https://api.pagerduty.com/incidents/Q1X7PAYLOAD001",
            "html_url": "https://acme.pagerduty.com/incidents/Q1X7PAYLOAD001",
            "number": 4211,
            "status": "triggered",
            "incident_key": "9f0d2b7c5e0a4d1f8a3b6c7d8e9f0a1b",
            "created_at": at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "title": "Card authorisations failing above 5 %",
            "service": reference("service", "services", service),
            "assignees": [],
            "escalation_policy": reference("escalation_policy", "escalation_policies", policy),
            "teams": [],
            "priority": null,
            "urgency": "high",
            "conference_bridge": null,
            "resolve_reason": null,
            "incident_type": {"name": "incident_default"},
        });
        Self::new(event_type, at, data)
    }

    /// The body of the webhook.
    pub fn body(&self) -> Bytes {
        json!({"event": self}).to_string().into()
    }
}
