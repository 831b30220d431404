//! A stand-in strongDM: the gRPC control plane, which verifies the signature of every request.
//!
//! This file is the handle that tests hold. `organization` is the data behind it, `services` serves the data, `guard`
//! checks what arrives, and `control` lets people look at the data and change it with curl.

mod access_rule;
mod account;
mod call;
mod control;
mod filter;
mod grant;
mod guard;
mod organization;
mod page;
mod rate_limit;
mod resource;
mod services;
mod settings;
mod signature;
mod state;
mod status;
mod timestamp;

/// The messages, and clients of the services, generated from `proto/`.
#[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!("gen/v1.rs");
}

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::middleware::from_fn_with_state;
use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::faults::Faults;
use crate::server::Server;
use state::Shared;

pub use access_rule::{PrivilegesNeed, StoredGroups};
pub use account::SuspendedIn;
pub use call::Call;
pub use filter::SeveralIds;
pub use grant::Grant;
pub use resource::ResourceKind;
pub use settings::{ApiKey, LEAST_PERMISSIONS, SecondGrant, Settings, StoredEnd, StoredStart};
pub use signature::sign;
pub use state::Counts;

/// A running stand-in. Clones are the same one; the last of them stops it.
#[derive(Clone, Debug)]
pub struct StrongDm {
    shared: Arc<Shared>,
    server: Arc<Server>,
    control: Arc<Mutex<Vec<Server>>>,
}

/// What both stand-ins have.
impl StrongDm {
    /// Starts an empty organization; port 0 picks a free port.
    pub async fn start(addr: SocketAddr, clock: Clock) -> Result<Self> {
        let shared = Shared::new(clock);
        let guard = from_fn_with_state(Arc::clone(&shared), guard::guard);
        let router = services::router(&shared).layer(guard);
        let server = Server::start(addr, router).await.with_context(|| format!("cannot listen on {addr}"))?;
        Ok(Self { shared, server: Arc::new(server), control: Arc::default() })
    }

    /// Serves the control API on another port; returns its base URL.
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

    /// The server underneath, to cut its connections, stop and restart it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The faults. A call is named `AccountGrants.Create`; its facts read `account_id=a-1 …`.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Reads or changes the settings.
    pub fn configure<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        change(&mut self.shared.lock().settings)
    }

    /// The calls since the last clearing over the control API.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.log.all()
    }

    /// The largest number of calls under way at once.
    pub fn max_in_flight(&self) -> usize {
        self.shared.log.max_in_flight()
    }

    /// What was written over the API since the last clearing.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now()
    }
}

/// Accounts, which are found by address or name.
impl StrongDm {
    /// The ID of the account with this address or name.
    pub fn account_id(&self, label: &str) -> Option<String> {
        self.shared.lock().organization.account_id(label)
    }

    /// Adds a user with this address, named after it; returns the ID.
    pub fn add_user(&self, email: &str) -> String {
        self.shared.lock().organization.add_user(email, self.now())
    }

    /// Adds a service account; returns the ID.
    pub fn add_service(&self, name: &str) -> String {
        let service = v1::Service { name: name.into(), ..Default::default() };
        self.shared.lock().organization.add_account(v1::account::Account::Service(service))
    }

    /// Adds an API key to the accounts (not to the accepted keys); returns the ID.
    pub fn add_token(&self, name: &str) -> String {
        let token = v1::Token {
            name: name.into(),
            account_type: "api".into(),
            permissions: LEAST_PERMISSIONS.map(Into::into).to_vec(),
            ..Default::default()
        };
        self.shared.lock().organization.add_account(v1::account::Account::Token(token))
    }

    /// Changes the user with this address; false if there is none.
    pub fn edit_user(&self, email: &str, change: impl FnOnce(&mut v1::User)) -> bool {
        self.shared.lock().organization.user_mut(email).map(change).is_some()
    }

    /// Gives a user another address; false if there is no such user.
    pub fn rename_user(&self, email: &str, to: &str) -> bool {
        self.edit_user(email, |user| user.email = to.into())
    }

    /// Suspends a user, in one field alone; false if there is no such user.
    pub fn suspend_user(&self, email: &str, field: SuspendedIn) -> bool {
        self.edit_user(email, |user| account::suspend(user, field))
    }

    /// Lifts a suspension, whichever field holds it; false if there is no such user.
    pub fn resume_user(&self, email: &str) -> bool {
        self.edit_user(email, account::resume)
    }

    /// Removes the account with this address or name, and its grants; false if there is none.
    pub fn remove_account(&self, label: &str) -> bool {
        self.shared.lock().organization.remove_account(label, self.now())
    }

    /// Adds a role; returns the ID.
    pub fn add_role(&self, name: &str) -> String {
        self.shared.lock().organization.add_role(name)
    }
}

/// Resources, which are found by name.
impl StrongDm {
    /// The ID of the resource of this name.
    pub fn resource_id(&self, name: &str) -> Option<String> {
        self.shared.lock().organization.resource_id(name)
    }

    /// Adds a resource; returns the ID.
    pub fn add_resource(&self, kind: ResourceKind, name: &str, tags: &[(&str, &str)]) -> String {
        self.shared.lock().organization.add_resource(kind, name, tags)
    }

    /// Replaces the tags of a resource; false if there is no such resource.
    pub fn set_tags(&self, name: &str, tags: &[(&str, &str)]) -> bool {
        let organization = &mut self.shared.lock().organization;
        organization.resource_mut(name).map(|resource| resource.set_tags(tags)).is_some()
    }

    /// Removes a resource and its grants, and makes it anew under another ID, which is returned.
    pub fn recreate_resource(&self, name: &str) -> Option<String> {
        self.shared.lock().organization.recreate_resource(name, self.now())
    }
}

/// Grants.
impl StrongDm {
    /// The grants that strongDM lists now: in force and to come.
    pub fn grants(&self) -> Vec<Grant> {
        let now = self.now();
        self.shared.lock().organization.live(now).map(|(_, grant)| grant.clone()).collect()
    }

    /// Every grant that ever was.
    pub fn all_grants(&self) -> Vec<Grant> {
        self.shared.lock().organization.grants.values().cloned().collect()
    }

    /// The grants of one account and resource that strongDM lists now.
    pub fn grants_of(&self, email: &str, resource: &str) -> Vec<Grant> {
        let (account, resource) = (self.account_id(email), self.resource_id(resource));
        let mut grants = self.grants();
        grants.retain(|grant| {
            Some(&grant.account_id) == account.as_ref() && Some(&grant.resource_id) == resource.as_ref()
        });
        grants
    }

    /// Whether some grant gave, gives or (as things stand) will give this access at this instant.
    ///
    /// Before a grant was made, and after it was removed, it gave nothing.
    pub fn has_access(&self, email: &str, resource: &str, at: DateTime<Utc>) -> bool {
        let (Some(account), Some(resource)) = (self.account_id(email), self.resource_id(resource)) else {
            return false;
        };
        let organization = &self.shared.lock().organization;
        let mut grants = organization.grants.values();
        grants.any(|grant| grant.account_id == account && grant.resource_id == resource && grant.covers(at))
    }

    /// Makes a grant that did not come over the API, without any check; returns the ID.
    ///
    /// # Panics
    ///
    /// If there is no such account or resource.
    pub fn add_foreign_grant(
        &self,
        email: &str,
        resource: &str,
        start: DateTime<Utc>,
        end: Option<DateTime<Utc>>,
    ) -> String {
        let grant = Grant {
            id: String::new(),
            account_id: self.account_id(email).expect("a known account"),
            resource_id: self.resource_id(resource).expect("a known resource"),
            start,
            end,
            access_rule: "{}".into(),
            access_request_id: String::new(),
            created_at: self.now(),
            deleted_at: None,
        };
        self.shared.lock().organization.add_grant(grant).id.clone()
    }

    /// Makes another grant like this one for another resource, without any check; returns its ID.
    pub fn copy_grant(&self, id: &str, resource_id: &str) -> Option<String> {
        let organization = &mut self.shared.lock().organization;
        let grant = organization.grants.values().find(|grant| grant.id == id)?.clone();
        let copy = Grant { resource_id: resource_id.to_owned(), created_at: self.now(), ..grant };
        Some(organization.add_grant(copy).id.clone())
    }

    /// Changes a grant without a call over the API; false if there is no such grant.
    pub fn edit_grant(&self, id: &str, change: impl FnOnce(&mut Grant)) -> bool {
        let organization = &mut self.shared.lock().organization;
        organization.grants.values_mut().find(|grant| grant.id == id).map(change).is_some()
    }

    /// Removes a grant without a call over the API; false if it is not there.
    pub fn remove_grant(&self, id: &str) -> bool {
        let now = self.now();
        self.shared.lock().organization.remove_grants(now, |grant| grant.id == id) > 0
    }
}
