//! Single users, escalation policies and services, and the priorities.

use std::collections::BTreeSet;

use super::{Client, operation::Operation, request::Request};
use crate::{
    model::{PolicyId, PriorityId, ScheduleId, ServiceId, Thing, UserId},
    pagerduty::{
        Error,
        wire::{PolicyBody, PriorityPage, Reference, Service, ServiceBody, ServicePage, UserBody, UserPage},
    },
};

/// The largest page of a list.
const PAGE: u64 = 100;

/// An account with more priorities than this would list them without end.
const MOST_PRIORITIES: u64 = 1000;

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
    /// Its levels in order; the first is level 1.
    pub(crate) levels: Vec<PolicyLevel>,
}

/// Whom one level of an escalation policy pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyLevel {
    /// Whoever is on call through these schedules.
    pub(crate) schedules: BTreeSet<ScheduleId>,
    /// These users directly: they are always on call.
    pub(crate) users: BTreeSet<UserId>,
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
        self.tell_user(&user);
        Ok(Some(User {
            id: id.clone(),
            name: user.called.name().map(str::to_owned),
            email: user.email.filter(|email| !email.is_empty()),
        }))
    }

    /// The users of the account; none if there are more than so many pages of them. Pages are read one after the other,
    /// so one who comes or goes meanwhile may be missing.
    pub(crate) async fn users(&self, most_pages: u64) -> Result<Option<Vec<User>>, Error> {
        let mut found: Vec<User> = Vec::new();
        for _ in 0..most_pages {
            let offset = found.len() as u64;
            let mut url = self.url(["users"])?;
            url.query_pairs_mut()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &offset.to_string());
            let UserPage { users, page } = self.fetch(Request::get(Operation::ListUsers, url)).await?;
            page.check(offset, users.len())?;
            found.extend(users.into_iter().map(|user| User {
                name: user.called.name().map(str::to_owned),
                id: UserId::from(user.id.0),
                email: user.email.filter(|email| !email.is_empty()),
            }));
            if !page.more {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Tells what one of many listed people is called: only those who matter are worth remembering.
    pub(crate) fn tell_listed(&self, user: &User) {
        self.tell_name_at(Thing::User(user.id.clone()), user.name.as_deref(), user.email.as_deref());
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
        self.tell_name(Thing::Policy(id.clone()), &policy.called);
        let targets = policy.escalation_rules.iter().flat_map(|rule| &rule.targets);
        for target in targets {
            match target.kind.as_deref() {
                Some(kind) if kind.starts_with("schedule") => {
                    self.tell_reference(|id| Thing::Schedule(id.into()), target);
                }
                Some(kind) if kind.starts_with("user") => {
                    self.tell_reference(|id| Thing::User(id.into()), target);
                }
                Some(_) | None => {}
            }
        }
        let levels = policy.escalation_rules.into_iter().map(|rule| level(rule.targets)).collect();
        Ok(PolicyInfo { name: policy.called.name().map(str::to_owned), levels })
    }
}

impl Client {
    /// The display name of the service of this ID; an error if there is none, or if it is hidden.
    pub(crate) async fn service(&self, id: &ServiceId) -> Result<Option<String>, Error> {
        Ok(self.whole_service(id).await?.called.name().map(str::to_owned))
    }

    /// The escalation policy that incidents of this service follow.
    pub(crate) async fn policy_of_service(&self, id: &ServiceId) -> Result<Option<PolicyId>, Error> {
        let policy = self.whole_service(id).await?.escalation_policy;
        Ok(policy.map(|policy| PolicyId::from(policy.id.0)))
    }

    /// The escalation policies of all services; none if there are more than so many pages of them. Pages are read one
    /// after the other, so one that comes or goes meanwhile may be missing.
    pub(crate) async fn policies_of_services(
        &self,
        most_pages: u64,
    ) -> Result<Option<Vec<(ServiceId, PolicyId)>>, Error> {
        let mut found = Vec::new();
        let mut offset = 0;
        for _ in 0..most_pages {
            let mut url = self.url(["services"])?;
            url.query_pairs_mut()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &offset.to_string());
            let ServicePage { services, page } =
                self.fetch(Request::get(Operation::ListServices, url)).await?;
            page.check(offset, services.len())?;
            offset += services.len() as u64;
            for Service { id, called, escalation_policy } in services {
                let id = ServiceId::from(id.0);
                self.tell_name(Thing::Service(id.clone()), &called);
                found.extend(escalation_policy.map(|policy| (id, PolicyId::from(policy.id.0))));
            }
            if !page.more {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn whole_service(&self, id: &ServiceId) -> Result<Service, Error> {
        let url = self.url(["services", id.as_str()])?;
        let ServiceBody { service } = self.fetch(Request::get(Operation::Service, url)).await?;
        if service.id.0 != id.as_str() {
            return Err(Error::Invalid(format!("service {id}: the answer is about another service")));
        }
        self.tell_name(Thing::Service(id.clone()), &service.called);
        Ok(service)
    }
}

impl Client {
    /// The IDs of all priorities of the account; an error if it does not have the feature.
    pub(crate) async fn priorities(&self) -> Result<BTreeSet<PriorityId>, Error> {
        let mut found = BTreeSet::new();
        let mut received = 0;
        while received < MOST_PRIORITIES {
            let mut url = self.url(["priorities"])?;
            url.query_pairs_mut().append_pair("limit", "100").append_pair("offset", &received.to_string());
            let PriorityPage { priorities, page } =
                self.fetch(Request::get(Operation::Priorities, url)).await?;
            page.check(received, priorities.len())?;
            received += priorities.len() as u64;
            found.extend(priorities.into_iter().map(|priority| PriorityId::from(priority.id.0)));
            if !page.more {
                return Ok(found);
            }
        }
        Err(Error::Invalid("the list of priorities has no end".to_owned()))
    }
}

fn level(targets: Vec<Reference>) -> PolicyLevel {
    let mut level = PolicyLevel::default();
    for target in targets {
        // Open strings: a new kind of target is no reason to fail.
        let kind = target.kind.unwrap_or_default();
        if kind.starts_with("schedule") {
            level.schedules.insert(ScheduleId::from(target.id.0));
        } else if kind.starts_with("user") {
            level.users.insert(UserId::from(target.id.0));
        }
    }
    level
}
