//! An audit entry as an event of the Open Cybersecurity Schema Framework, for whoever collects such events.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    model::{AuditAction, AuditOutcome, Grant, instant::to_second},
    store::AuditRow,
};

/// The version of the schema: the first in which User Management takes the place of User Access Management.
const SCHEMA: &str = "1.9.0";
/// Identity & Access Management.
const CATEGORY: u32 = 3;
/// User Management.
const CLASS: u32 = 3007;
const ASSIGN_PRIVILEGES: u32 = 14;
const REMOVE_PRIVILEGES: u32 = 15;

/// An event, as far as we know what its fields are about.
#[derive(Debug, Serialize)]
struct Event<'e> {
    activity_id: u32,
    activity_name: &'static str,
    category_uid: u32,
    class_uid: u32,
    type_uid: u32,
    /// In milliseconds since 1970.
    time: i64,
    severity_id: u32,
    status_id: u32,
    message: &'e str,
    metadata: Value,
    user: Value,
    privileges: Vec<String>,
    resource: Value,
    /// What the schema has no field for.
    unmapped: Value,
}

/// The event of the entry with this number in the log of this name.
pub(super) fn event(log: &str, number: i64, row: &AuditRow) -> String {
    let AuditRow { seq: _, at, action, outcome, grant, reason, trigger, pass_id } = row;
    let takes_away = action.is(AuditAction::Revoke) || action.is(AuditAction::Vanish);
    let (activity_id, activity_name) = if takes_away {
        (REMOVE_PRIVILEGES, "Remove Privileges")
    } else {
        (ASSIGN_PRIVILEGES, "Assign Privileges")
    };
    // What is no grant stands in the message of somebody who meddled with the store; the event still counts.
    let grant: Option<Grant> = serde_json::from_str(grant.get()).ok();
    let (severity_id, status_id) = match outcome.known() {
        Some(AuditOutcome::Done) => (1, 1),
        Some(AuditOutcome::Failed | AuditOutcome::Refused) => (2, 2),
        Some(AuditOutcome::Unclear) | None => (2, 0),
    };
    let window = grant.as_ref().map(|grant| (to_second(grant.window.start()), to_second(grant.window.end())));
    let event = Event {
        activity_id,
        activity_name,
        category_uid: CATEGORY,
        class_uid: CLASS,
        type_uid: CLASS * 100 + activity_id,
        time: at.timestamp_millis(),
        severity_id,
        status_id,
        message: reason,
        metadata: json!({
            "version": SCHEMA,
            "product": {
                "name": env!("CARGO_PKG_NAME"),
                "vendor_name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            },
            "log_name": log,
            "sequence": number,
            "uid": format!("{log}/{number}"),
            "correlation_uid": pass_id,
        }),
        user: match &grant {
            Some(Grant { email, account_id, .. }) => {
                json!({"email_addr": email, "uid": account_id, "name": email})
            }
            None => json!({"name": "unknown"}),
        },
        privileges: grant.iter().map(|grant| format!("access to {}", grant.resource)).collect(),
        resource: match &grant {
            Some(Grant { resource, resource_id, .. }) => json!({"name": resource, "uid": resource_id}),
            None => json!({"name": "unknown"}),
        },
        unmapped: json!({
            "action": action,
            "outcome": outcome,
            "trigger": trigger,
            "grant_id": grant.as_ref().and_then(|grant| grant.id.as_ref()),
            "start": window.as_ref().map(|(start, _)| start),
            "end": window.as_ref().map(|(_, end)| end),
            "rules": grant.as_ref().map(|grant| &grant.rules),
        }),
    };
    serde_json::to_string(&event).expect("plain data always serialises")
}
