//! Users.

use serde_json::{Value, json};

use super::reference::{API, WEB, resource, team_reference, user_reference};
use crate::pagerduty::account::{Account, User};

/// The full user, or the reference if it was deleted.
pub(crate) fn user_json(account: &Account, id: &str) -> Value {
    match account.user(id) {
        Some(user) if user.deleted_at.is_none() => full_user_json(account, user),
        _ => user_reference(account, id),
    }
}

pub(crate) fn full_user_json(account: &Account, user: &User) -> Value {
    let id = &user.id;
    let teams = account.teams.iter().filter(|team| team.has(id));
    let part = |part: &str, kind: &str, part_id: &str, summary: &str| {
        json!([{
            "id": part_id,
            "type": format!("{kind}_reference"),
            "summary": summary,
            "self": format!("{API}/users/{id}/{part}/{part_id}"),
            "html_url": null,
        }])
    };
    let mut value = resource(
        "user",
        "users",
        id,
        &user.name,
        json!({
            "name": user.name,
            "time_zone": "Etc/UTC",
            "color": "teal",
            "avatar_url": format!("{WEB}/blank-avatar.png"),
            "billed": true,
            "role": "user",
            "description": null,
            "invitation_sent": false,
            "job_title": "Engineer",
            "created_via_sso": true,
            "teams": teams.map(|team| team_reference(account, &team.id)).collect::<Vec<_>>(),
            "contact_methods": part("contact_methods", "email_contact_method", "PCM0001", "Default"),
            "notification_rules":
                part("notification_rules", "assignment_notification_rule", "PNR0001", "0 minutes: channel PCM0001"),
        }),
    );
    if let Some(email) = &user.email {
        value["email"] = json!(email);
    }
    value
}
