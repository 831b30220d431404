//! A stand-in strongDM: the gRPC control plane, which verifies the signature of every request.

mod account;
mod control;
mod filter;
mod guard;
mod page;
mod resource;
mod services;
mod settings;
mod signature;
mod state;
pub(crate) mod status;

/// The messages, and clients of the services, generated from `proto/`.
#[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("v1");
}

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::middleware::from_fn_with_state;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::clock::Clock;
use crate::faults::Faults;
use crate::server::Server;
use resource::Resource;
use services::Api;
use state::Shared;

pub use account::SuspendedIn;
pub use resource::ResourceKind;
pub use settings::{ApiKey, LEAST_PERMISSIONS, SecondGrant, Settings};
pub use signature::sign;
pub use state::{Counts, Grant};

/// A running stand-in; clones are the same one, and the last to go closes it.
#[derive(Clone, Debug)]
pub struct StrongDm {
    shared: Arc<Shared>,
    server: Arc<Server>,
    control: Arc<Mutex<Vec<Server>>>,
}

/// One call that arrived, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// As it is signed: `AccountGrants.Create`.
    pub method: String,
    /// When it arrived, by the stand-in's clock.
    pub at: DateTime<Utc>,
    /// The number of its connection.
    pub connection: u64,
    /// `x-sdm-user-agent`.
    pub user_agent: String,
    /// What the request says: `filter`, `cursor`, `limit`; `id`; `account_id`, `resource_id`, `start_from`,
    /// `valid_until`, `access_rule`. Empty ones are left out.
    pub facts: BTreeMap<String, String>,
    /// The gRPC code of the answer; nothing while it is under way or if its connection was dropped.
    pub code: Option<i32>,
}

impl Call {
    /// One fact, or nothing at all.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

impl StrongDm {
    /// Starts an empty organisation; port 0 picks a free port.
    pub async fn start(addr: SocketAddr, clock: Clock) -> Result<Self> {
        let shared = Shared::new(clock);
        let api = Api(Arc::clone(&shared));
        let routes = tonic::service::Routes::new(v1::accounts_server::AccountsServer::new(api.clone()))
            .add_service(v1::resources_server::ResourcesServer::new(api.clone()))
            .add_service(v1::roles_server::RolesServer::new(api.clone()))
            .add_service(v1::account_grants_server::AccountGrantsServer::new(api.clone()))
            .add_service(v1::account_grants_history_server::AccountGrantsHistoryServer::new(api));
        let guard = from_fn_with_state(Arc::clone(&shared), guard::guard);
        let router = routes.into_axum_router().layer(guard);
        let server = Server::start(addr, router).await.with_context(|| format!("cannot listen on {addr}"))?;
        Ok(Self { shared, server: Arc::new(server), control: Arc::default() })
    }

    /// Serves the control API on another port; answers its base URL.
    pub async fn start_control(&self, addr: SocketAddr) -> Result<String> {
        let server = Server::start(addr, control::router(&self.shared)).await;
        let server = server.with_context(|| format!("cannot listen on {addr}"))?;
        let url = format!("http://{}", server.addr());
        self.control.lock().expect("no panic while held").push(server);
        Ok(url)
    }

    /// The base URL: plaintext HTTP/2, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// The server underneath: cut its connections, stop it, start it again.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The faults; calls are named `AccountGrants.Create`, the facts read `account_id=a-1 …`.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Looks at, or changes, the settings.
    pub fn configure<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        change(&mut self.shared.lock().settings)
    }

    /// The calls since the last clearing.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.log.all()
    }

    /// Forgets the calls, the maximum in flight, and the counts.
    pub fn clear_calls(&self) {
        self.shared.log.clear();
        self.shared.lock().counts = Counts::default();
    }

    /// How many calls were under way at once, at most.
    pub fn max_in_flight(&self) -> usize {
        self.shared.log.max_in_flight()
    }

    /// What was written over the API since the last clearing.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Adds a user with this address, named after it; answers the ID.
    pub fn add_user(&self, email: &str) -> String {
        Self::add_user_in(&self.shared, email)
    }

    /// Adds any account under an ID of its own; answers the ID.
    pub fn add_account(&self, account: v1::account::Account) -> String {
        let mut inner = self.shared.lock();
        let new_id = inner.next_id("a-");
        let mut account = account;
        match &mut account {
            v1::account::Account::User(user) => user.id.clone_from(&new_id),
            v1::account::Account::Service(service) => service.id.clone_from(&new_id),
            v1::account::Account::Token(token) => token.id.clone_from(&new_id),
        }
        let number = inner.next_number();
        inner.accounts.insert(number, v1::Account { account: Some(account) });
        new_id
    }

    /// Adds a service account; answers the ID.
    pub fn add_service(&self, name: &str) -> String {
        self.add_account(v1::account::Account::Service(v1::Service {
            name: name.into(),
            ..Default::default()
        }))
    }

    /// Adds an API key to the accounts (not to the keys that are let in); answers the ID.
    pub fn add_token(&self, name: &str) -> String {
        self.add_account(v1::account::Account::Token(v1::Token {
            name: name.into(),
            account_type: "api".into(),
            permissions: LEAST_PERMISSIONS.map(Into::into).to_vec(),
            ..Default::default()
        }))
    }

    /// Changes the user with this address; false if there is none.
    pub fn edit_user(&self, email: &str, change: impl FnOnce(&mut v1::User)) -> bool {
        let mut inner = self.shared.lock();
        let users = inner.accounts.values_mut().filter_map(|account| match &mut account.account {
            Some(v1::account::Account::User(user)) => Some(user),
            _ => None,
        });
        let mut found = users.filter(|user| user.email.eq_ignore_ascii_case(email));
        found.next().map(change).is_some()
    }

    /// Gives a user another address.
    pub fn rename_user(&self, email: &str, to: &str) -> bool {
        self.edit_user(email, |user| user.email = to.into())
    }

    /// Suspends a user, in one field alone.
    pub fn suspend_user(&self, email: &str, field: SuspendedIn) -> bool {
        self.edit_user(email, |user| account::suspend(user, field))
    }

    /// Lifts a suspension, whichever field holds it.
    pub fn resume_user(&self, email: &str) -> bool {
        self.edit_user(email, |user| {
            user.suspended = false;
            user.suspended_ro = false;
            user.permission_level.clear();
            user.permission_level_rw = "user".into();
        })
    }

    /// Removes the account with this address or name, and its grants.
    pub fn remove_account(&self, email: &str) -> bool {
        Self::remove_account_in(&self.shared, email)
    }

    /// Adds a resource; answers the ID.
    pub fn add_resource(&self, kind: ResourceKind, name: &str, tags: &[(&str, &str)]) -> String {
        Self::add_resource_in(&self.shared, kind, name, tags)
    }

    /// Gives a resource another name.
    pub fn rename_resource(&self, name: &str, to: &str) -> bool {
        self.edit_resource(name, |resource| resource.rename(to))
    }

    /// Replaces the tags of a resource.
    pub fn set_tags(&self, name: &str, tags: &[(&str, &str)]) -> bool {
        self.edit_resource(name, |resource| resource.set_tags(tags))
    }

    /// Removes a resource and its grants.
    pub fn remove_resource(&self, name: &str) -> bool {
        Self::remove_resource_in(&self.shared, name)
    }

    /// Removes a resource with its grants, and makes it anew under another ID, which is the answer.
    pub fn recreate_resource(&self, name: &str) -> Option<String> {
        let mut copy = self.shared.lock().resources.values().find(|r| r.name() == name)?.clone();
        self.remove_resource(name);
        let mut inner = self.shared.lock();
        let id = inner.next_id("rs-");
        copy.set_id(id.clone());
        let number = inner.next_number();
        inner.resources.insert(number, copy);
        Some(id)
    }

    /// The ID of the account with this address or name.
    pub fn account_id(&self, email: &str) -> Option<String> {
        let inner = self.shared.lock();
        let mut all = inner.accounts.values();
        all.find(|account| account::label(account).eq_ignore_ascii_case(email)).map(|a| account::id(a).into())
    }

    /// The ID of the resource of this name.
    pub fn resource_id(&self, name: &str) -> Option<String> {
        let inner = self.shared.lock();
        inner.resources.values().find(|resource| resource.name() == name).map(|r| r.id().into())
    }

    /// Adds a role; answers the ID.
    pub fn add_role(&self, name: &str) -> String {
        let mut inner = self.shared.lock();
        let id = inner.next_id("r-");
        let role = v1::Role { id: id.clone(), name: name.into(), ..Default::default() };
        let number = inner.next_number();
        inner.roles.insert(number, role);
        id
    }

    /// Makes a grant that did not come over the API, without any check; answers the ID.
    ///
    /// # Panics
    /// If there is no such account or resource.
    pub fn add_foreign_grant(
        &self,
        email: &str,
        resource: &str,
        start: DateTime<Utc>,
        end: Option<DateTime<Utc>>,
    ) -> String {
        let account_id = self.account_id(email).expect("a known account");
        let resource_id = self.resource_id(resource).expect("a known resource");
        let created_at = self.shared.clock.now();
        let mut inner = self.shared.lock();
        let id = inner.next_id("ag-");
        inner.insert_grant(Grant {
            id: id.clone(),
            account_id,
            resource_id,
            start,
            end,
            access_rule: "{}".into(),
            access_request_id: String::new(),
            created_at,
            deleted_at: None,
        });
        id
    }

    /// Removes a grant behind the client's back; false if it is not there.
    pub fn remove_grant(&self, id: &str) -> bool {
        let now = self.shared.clock.now();
        self.shared.lock().remove_grants(now, |grant| grant.id == id) > 0
    }

    /// The grants that are there now, current and coming.
    pub fn grants(&self) -> Vec<Grant> {
        let now = self.shared.clock.now();
        self.shared.lock().live(now).map(|(_, grant)| grant.clone()).collect()
    }

    /// Every grant that ever was.
    pub fn all_grants(&self) -> Vec<Grant> {
        self.shared.lock().grants.values().cloned().collect()
    }

    /// The live grants of one account and resource.
    pub fn grants_of(&self, email: &str, resource: &str) -> Vec<Grant> {
        let (account, resource) = (self.account_id(email), self.resource_id(resource));
        let mut grants = self.grants();
        grants.retain(|grant| {
            Some(&grant.account_id) == account.as_ref() && Some(&grant.resource_id) == resource.as_ref()
        });
        grants
    }

    /// Whether some grant gave, gives or will give this access at this instant, as things stand now.
    ///
    /// Before a grant was made, and after it was removed, it gave nothing.
    pub fn has_access(&self, email: &str, resource: &str, at: DateTime<Utc>) -> bool {
        let (Some(account), Some(resource)) = (self.account_id(email), self.resource_id(resource)) else {
            return false;
        };
        let inner = self.shared.lock();
        let mut grants = inner.grants.values();
        grants.any(|grant| grant.account_id == account && grant.resource_id == resource && grant.covers(at))
    }

    fn edit_resource(&self, name: &str, change: impl FnOnce(&mut Resource)) -> bool {
        let mut inner = self.shared.lock();
        inner.resources.values_mut().find(|resource| resource.name() == name).map(change).is_some()
    }

    fn add_user_in(shared: &Shared, email: &str) -> String {
        let created_at = Some(state::stamp(shared.clock.now()));
        let mut inner = shared.lock();
        let id = inner.next_id("a-");
        let user = v1::User {
            id: id.clone(),
            email: email.into(),
            first_name: email.split('@').next().unwrap_or_default().into(),
            last_name: "Example".into(),
            permission_level_rw: "user".into(),
            created_at,
            ..Default::default()
        };
        let number = inner.next_number();
        inner.accounts.insert(number, v1::Account { account: Some(v1::account::Account::User(user)) });
        id
    }

    fn remove_account_in(shared: &Shared, email: &str) -> bool {
        let now = shared.clock.now();
        let mut inner = shared.lock();
        let found = inner.accounts.iter().find(|(_, a)| account::label(a).eq_ignore_ascii_case(email));
        let Some((number, id)) = found.map(|(number, a)| (*number, account::id(a).to_owned())) else {
            return false;
        };
        inner.accounts.remove(&number);
        inner.remove_grants(now, |grant| grant.account_id == id);
        true
    }

    fn add_resource_in(shared: &Shared, kind: ResourceKind, name: &str, tags: &[(&str, &str)]) -> String {
        let mut inner = shared.lock();
        let id = inner.next_id("rs-");
        let number = inner.next_number();
        inner.resources.insert(number, Resource::new(kind, id.clone(), name, tags));
        id
    }

    fn remove_resource_in(shared: &Shared, name: &str) -> bool {
        let now = shared.clock.now();
        let mut inner = shared.lock();
        let found = inner.resources.iter().find(|(_, resource)| resource.name() == name);
        let Some((number, id)) = found.map(|(number, r)| (*number, r.id().to_owned())) else { return false };
        inner.resources.remove(&number);
        inner.remove_grants(now, |grant| grant.resource_id == id);
        true
    }
}
