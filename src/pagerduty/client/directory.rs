//! Single users and escalation policies.

use std::collections::BTreeSet;

use super::{Client, operation::Operation, request::Request};
use crate::{
    model::{PolicyId, ScheduleId, UserId},
    pagerduty::{
        Error,
        wire::{PolicyBody, UserBody},
    },
};

/// A user of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The ID.
    pub(crate) id: UserId,
    /// The display name. Never a ground for access.
    pub(crate) name: Option<String>,
    /// The login e-mail, as PagerDuty has it.
    pub(crate) email: Option<String>,
}

/// An escalation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyInfo {
    /// The display name.
    pub(crate) name: Option<String>,
    /// How many levels it has; the first is 1.
    pub(crate) levels: usize,
    /// The schedules that it pages.
    pub(crate) schedules: BTreeSet<ScheduleId>,
    /// The users that it pages directly, who are always on call.
    pub users: BTreeSet<UserId>,
}

impl Client {
    /// The user of this ID; none if there is none.
    pub(crate) async fn user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let url = self.url(["users", id.as_str()])?;
        let user = match self.fetch(Request::get(Operation::User, url)).await {
            Ok(UserBody { user }) => user,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if user.id.0 != id.as_str() {
            return Err(Error::Invalid(format!("user {id}: the answer is about another user")));
        }
        Ok(Some(User {
            id: id.clone(),
            name: user.name,
            email: user.email.filter(|email| !email.is_empty()),
        }))
    }

    /// The escalation policy of this ID; an error if there is none.
    pub(crate) async fn policy(&self, id: &PolicyId) -> Result<PolicyInfo, Error> {
        let url = self.url(["escalation_policies", id.as_str()])?;
        let PolicyBody { escalation_policy: policy } =
            self.fetch(Request::get(Operation::EscalationPolicy, url)).await?;
        if policy.id.0 != id.as_str() {
            return Err(Error::Invalid(format!(
                "escalation policy {id}: the answer is about another policy"
            )));
        }
        let mut info = PolicyInfo {
            name: policy.name,
            levels: policy.escalation_rules.len(),
            schedules: BTreeSet::new(),
            users: BTreeSet::new(),
        };
        for target in policy.escalation_rules.into_iter().flat_map(|rule| rule.targets) {
            // Open strings: a new kind of target is no reason to fail.
            let kind = target.kind.unwrap_or_default();
            if kind.starts_with("schedule") {
                info.schedules.insert(ScheduleId::from(target.id.0));
            } else if kind.starts_with("user") {
                info.users.insert(UserId::from(target.id.0));
            }
        }
        Ok(info)
    }
}
