//! What a strongDM organization holds: accounts, resources, roles, grants and their history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::grant::{Change, Grant};
use super::resource::{Resource, ResourceKind};
use super::{account, timestamp, v1};

/// Rows under numbers that only grow, so that paging stays true while rows come and go.
pub(super) type Table<T> = BTreeMap<u64, T>;

/// Everything that the organization holds.
#[derive(Debug, Default)]
pub(crate) struct Organization {
    pub(super) accounts: Table<v1::Account>,
    pub(super) resources: Table<Resource>,
    pub(super) roles: Table<v1::Role>,
    /// All grants that ever were.
    pub(super) grants: Table<Grant>,
    pub(super) history: Table<Change>,
    last_number: u64,
}

/// Accounts, which are found by address or name.
impl Organization {
    pub(super) fn account(&self, id: &str) -> Option<&v1::Account> {
        self.accounts.values().find(|account| account::id(account) == id)
    }

    /// The ID of the account with this address or name.
    pub(super) fn account_id(&self, label: &str) -> Option<String> {
        self.labelled(label).map(|(_, id)| id)
    }

    /// The user with this address.
    pub(super) fn user_mut(&mut self, email: &str) -> Option<&mut v1::User> {
        let mut users = self.accounts.values_mut().filter_map(account::user_mut);
        users.find(|user| user.email.eq_ignore_ascii_case(email))
    }

    /// Adds a user with this address, named after it; returns the ID.
    pub(super) fn add_user(&mut self, email: &str, now: DateTime<Utc>) -> String {
        self.add_account(v1::account::Account::User(v1::User {
            email: email.into(),
            first_name: email.split('@').next().unwrap_or_default().into(),
            last_name: "Example".into(),
            permission_level_rw: "user".into(),
            created_at: Some(timestamp::write(now)),
            ..Default::default()
        }))
    }

    /// Adds an account of any kind under an ID of its own, which is returned.
    pub(super) fn add_account(&mut self, mut account: v1::account::Account) -> String {
        let id = self.next_id("a-");
        account::set_id(&mut account, id.clone());
        let number = self.next_number();
        self.accounts.insert(number, v1::Account { account: Some(account) });
        id
    }

    /// Removes the account with this address or name, and its grants; false if there is none.
    pub(super) fn remove_account(&mut self, label: &str, now: DateTime<Utc>) -> bool {
        let Some((number, id)) = self.labelled(label) else { return false };
        self.accounts.remove(&number);
        self.remove_grants(now, |grant| grant.account_id == id);
        true
    }

    fn labelled(&self, label: &str) -> Option<(u64, String)> {
        let mut accounts = self.accounts.iter();
        let (number, account) =
            accounts.find(|(_, account)| account::label(account).eq_ignore_ascii_case(label))?;
        Some((*number, account::id(account).into()))
    }
}

/// Resources, which are found by name.
impl Organization {
    pub(super) fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.values().find(|resource| resource.id() == id)
    }

    /// The ID of the resource of this name.
    pub(super) fn resource_id(&self, name: &str) -> Option<String> {
        self.named(name).map(|(_, resource)| resource.id().into())
    }

    pub(super) fn resource_mut(&mut self, name: &str) -> Option<&mut Resource> {
        self.resources.values_mut().find(|resource| resource.name() == name)
    }

    /// Adds a resource; returns the ID.
    pub(super) fn add_resource(&mut self, kind: ResourceKind, name: &str, tags: &[(&str, &str)]) -> String {
        self.insert_resource(|id| Resource::new(kind, id, name, tags))
    }

    /// Removes a resource and its grants; false if there is none.
    pub(super) fn remove_resource(&mut self, name: &str, now: DateTime<Utc>) -> bool {
        self.take_resource(name, now).is_some()
    }

    /// Removes a resource and its grants, and makes it anew under another ID, which is returned.
    pub(super) fn recreate_resource(&mut self, name: &str, now: DateTime<Utc>) -> Option<String> {
        let mut resource = self.take_resource(name, now)?;
        Some(self.insert_resource(|id| {
            resource.set_id(id);
            resource
        }))
    }

    fn insert_resource(&mut self, make: impl FnOnce(String) -> Resource) -> String {
        let id = self.next_id("rs-");
        let number = self.next_number();
        self.resources.insert(number, make(id.clone()));
        id
    }

    fn take_resource(&mut self, name: &str, now: DateTime<Utc>) -> Option<Resource> {
        let number = self.named(name)?.0;
        let resource = self.resources.remove(&number)?;
        self.remove_grants(now, |grant| grant.resource_id == resource.id());
        Some(resource)
    }

    fn named(&self, name: &str) -> Option<(u64, &Resource)> {
        let mut resources = self.resources.iter();
        resources.find(|(_, resource)| resource.name() == name).map(|(number, resource)| (*number, resource))
    }
}

/// Roles and grants.
impl Organization {
    /// Adds a role; returns the ID.
    pub(super) fn add_role(&mut self, name: &str) -> String {
        let id = self.next_id("r-");
        let number = self.next_number();
        self.roles.insert(number, v1::Role { id: id.clone(), name: name.into(), ..Default::default() });
        id
    }

    /// The grants that strongDM lists now, with their row numbers.
    pub(super) fn live(&self, now: DateTime<Utc>) -> impl Iterator<Item = (u64, &Grant)> {
        let rows = self.grants.iter().map(|(number, grant)| (*number, grant));
        rows.filter(move |(_, grant)| grant.live(now))
    }

    /// Makes a grant under an ID of its own, and returns it. Nothing is checked.
    pub(super) fn add_grant(&mut self, grant: Grant) -> &Grant {
        let grant = Grant { id: self.next_id("ag-"), ..grant };
        self.write_history(grant.clone(), grant.created_at);
        let number = self.next_number();
        self.grants.entry(number).or_insert(grant)
    }

    /// Removes the grants that `chosen` picks among the live ones; returns how many.
    pub(super) fn remove_grants(&mut self, now: DateTime<Utc>, chosen: impl Fn(&Grant) -> bool) -> usize {
        let picked = self.grants.values_mut().filter(|grant| grant.live(now) && chosen(grant));
        let removed = picked.map(|grant| {
            grant.deleted_at = Some(now);
            grant.clone()
        });
        let removed = removed.collect::<Vec<_>>();
        let count = removed.len();
        for grant in removed {
            self.write_history(grant, now);
        }
        count
    }

    fn write_history(&mut self, grant: Grant, at: DateTime<Utc>) {
        let activity_id = self.next_id("ac-");
        let number = self.next_number();
        self.history.insert(number, Change { activity_id, at, grant });
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// An ID that looks like the real ones and never returns.
    fn next_id(&mut self, prefix: &str) -> String {
        let mixed = self.next_number().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{prefix}{mixed:016x}")
    }
}
