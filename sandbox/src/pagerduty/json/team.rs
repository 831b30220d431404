//! Teams, their members, and priorities.

use serde_json::{Value, json};

use super::reference::{resource, user_reference};
use super::user::user_json;
use crate::pagerduty::account::Account;
use crate::pagerduty::team::{Member, Priority, Team};

pub(crate) fn team_json(team: &Team) -> Value {
    let more = json!({"name": team.name, "description": null, "default_role": "manager"});
    resource("team", "teams", &team.id, &team.name, more)
}

/// A member of a team; `full` shows the whole user instead of a reference.
pub(crate) fn member_json(account: &Account, member: &Member, full: UserForm) -> Value {
    let user = match full {
        UserForm::Whole => user_json(account, &member.user),
        UserForm::Reference => user_reference(account, &member.user),
    };
    json!({"user": user, "role": member.role})
}

/// How much of a user is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserForm {
    Whole,
    Reference,
}

pub(crate) fn priority_json(priority: &Priority) -> Value {
    let mut value = resource(
        "priority",
        "priorities",
        &priority.id,
        &priority.name,
        json!({"name": priority.name, "description": null}),
    );
    // Priorities have no page of their own.
    value["html_url"] = Value::Null;
    value
}
