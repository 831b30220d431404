//! The three kinds of accounts, and the fields that they share.

use serde::{Deserialize, Serialize};

use super::resource::pairs;
use super::v1;
use v1::account::Account as Kind;

/// Which field of a user says that it is suspended. Older and newer clients read different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspendedIn {
    /// Field 5, which no current client reads.
    OldFlag,
    /// Field 7, likewise old: the level `suspended`.
    OldLevel,
    /// Field 10.
    Flag,
    /// Field 11: the level `suspended`.
    Level,
}

/// The fields that a list of accounts can be filtered by.
pub(crate) const FIELDS: [&str; 18] = [
    "type",
    "id",
    "email",
    "name",
    "firstname",
    "lastname",
    "suspended",
    "suspendedro",
    "permissionlevelrw",
    "managedby",
    "managerid",
    "resolvedmanagerid",
    "externalid",
    "employeenumber",
    "scim",
    "accounttype",
    "permissions",
    "tags",
];

pub(crate) fn id(account: &v1::Account) -> &str {
    match &account.account {
        Some(Kind::User(user)) => &user.id,
        Some(Kind::Service(service)) => &service.id,
        Some(Kind::Token(token)) => &token.id,
        None => "",
    }
}

/// The address of a user, or the name of a service or token.
pub(crate) fn label(account: &v1::Account) -> &str {
    match &account.account {
        Some(Kind::User(user)) => &user.email,
        Some(Kind::Service(service)) => &service.name,
        Some(Kind::Token(token)) => &token.name,
        None => "",
    }
}

pub(crate) fn suspended(account: &v1::Account) -> bool {
    match &account.account {
        Some(Kind::User(user)) => {
            user.suspended
                || user.suspended_ro
                || [&user.permission_level, &user.permission_level_rw]
                    .iter()
                    .any(|level| *level == "suspended")
        }
        Some(Kind::Service(service)) => service.suspended,
        Some(Kind::Token(token)) => token.suspended,
        None => false,
    }
}

pub(crate) fn user_mut(account: &mut v1::Account) -> Option<&mut v1::User> {
    match &mut account.account {
        Some(Kind::User(user)) => Some(user),
        _ => None,
    }
}

pub(crate) fn set_id(account: &mut Kind, id: String) {
    match account {
        Kind::User(user) => user.id = id,
        Kind::Service(service) => service.id = id,
        Kind::Token(token) => token.id = id,
    }
}

/// Suspends a user, in this field alone.
pub(crate) fn suspend(user: &mut v1::User, field: SuspendedIn) {
    match field {
        SuspendedIn::OldFlag => user.suspended = true,
        SuspendedIn::OldLevel => user.permission_level = "suspended".into(),
        SuspendedIn::Flag => user.suspended_ro = true,
        SuspendedIn::Level => user.permission_level_rw = "suspended".into(),
    }
}

/// Lifts a suspension, whichever field holds it.
pub(crate) fn resume(user: &mut v1::User) {
    user.suspended = false;
    user.suspended_ro = false;
    user.permission_level.clear();
    user.permission_level_rw = "user".into();
}

pub(crate) fn tags(account: &v1::Account) -> Vec<(String, String)> {
    match &account.account {
        Some(Kind::User(user)) => pairs(user.tags.as_ref()),
        Some(Kind::Service(service)) => pairs(service.tags.as_ref()),
        Some(Kind::Token(token)) => pairs(token.tags.as_ref()),
        None => Vec::new(),
    }
}

/// The values of a filter field.
pub(crate) fn values(account: &v1::Account, field: &str) -> Vec<String> {
    match field {
        "id" => return vec![id(account).into()],
        "suspended" | "suspendedro" => return vec![suspended(account).to_string()],
        _ => {}
    }
    match &account.account {
        Some(Kind::User(user)) => match field {
            "type" => vec!["user".into()],
            "email" => vec![user.email.clone()],
            "name" => vec![format!("{} {}", user.first_name, user.last_name)],
            "firstname" => vec![user.first_name.clone()],
            "lastname" => vec![user.last_name.clone()],
            "permissionlevelrw" => vec![user.permission_level_rw.clone()],
            "managedby" => vec![user.managed_by.clone()],
            "managerid" => vec![user.manager_id.clone()],
            "resolvedmanagerid" => vec![user.resolved_manager_id.clone()],
            "externalid" => vec![user.external_id.clone()],
            "employeenumber" => vec![user.employee_number.clone()],
            "scim" => vec![user.scim.clone()],
            _ => Vec::new(),
        },
        Some(Kind::Service(service)) => match field {
            "type" => vec!["service".into()],
            "name" => vec![service.name.clone()],
            _ => Vec::new(),
        },
        Some(Kind::Token(token)) => match field {
            "type" | "accounttype" => vec![token.account_type.clone()],
            "name" => vec![token.name.clone()],
            "permissions" => token.permissions.clone(),
            _ => Vec::new(),
        },
        None => Vec::new(),
    }
}
