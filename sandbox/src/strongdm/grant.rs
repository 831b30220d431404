//! Grants, as the organization remembers them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{access_rule, timestamp, v1};

/// The fields that a list of grants can be filtered by.
pub(super) const FIELDS: [&str; 3] = ["id", "accountid", "resourceid"];

/// A grant and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Starts with `ag-`.
    pub id: String,
    /// The ID of the account.
    pub account_id: String,
    /// The ID of the resource.
    pub resource_id: String,
    /// The first instant of access.
    pub start: DateTime<Utc>,
    /// The first instant without access; a standing grant has none.
    pub end: Option<DateTime<Utc>>,
    /// JSON text.
    pub access_rule: String,
    /// Set when a workflow made the grant.
    pub access_request_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was removed.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// One entry of the history of grants: a grant was made or removed.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) activity_id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) grant: Grant,
}

impl Grant {
    /// Whether strongDM still lists it: it is neither removed nor ended. It may be still to come.
    pub(crate) fn live(&self, now: DateTime<Utc>) -> bool {
        self.deleted_at.is_none() && self.end.is_none_or(|end| now < end)
    }

    /// Whether it gave, gives or (as things stand) will give access at this instant.
    pub fn covers(&self, at: DateTime<Utc>) -> bool {
        self.start.max(self.created_at) <= at
            && self.end.is_none_or(|end| at < end)
            && self.deleted_at.is_none_or(|deleted| at < deleted)
    }

    /// The Kubernetes groups that it gives.
    pub fn kubernetes_groups(&self) -> BTreeSet<String> {
        access_rule::groups(&self.access_rule)
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.end.is_none_or(|end| other.start < end) && other.end.is_none_or(|end| self.start < end)
    }

    pub(super) fn touches(&self, other: &Self) -> bool {
        self.overlaps(other) || self.end == Some(other.start) || other.end == Some(self.start)
    }

    /// The values of a filter field.
    pub(super) fn values(&self, field: &str) -> Vec<String> {
        vec![match field {
            "id" => self.id.clone(),
            "accountid" => self.account_id.clone(),
            _ => self.resource_id.clone(),
        }]
    }

    pub(super) fn message(&self) -> v1::AccountGrant {
        v1::AccountGrant {
            id: self.id.clone(),
            resource_id: self.resource_id.clone(),
            account_id: self.account_id.clone(),
            start_from: Some(timestamp::write(self.start)),
            valid_until: self.end.map(timestamp::write),
            access_rule: self.access_rule.clone(),
            access_request_id: self.access_request_id.clone(),
        }
    }
}

impl Change {
    pub(super) fn message(&self) -> v1::AccountGrantHistory {
        v1::AccountGrantHistory {
            activity_id: self.activity_id.clone(),
            timestamp: Some(timestamp::write(self.at)),
            account_grant: Some(self.grant.message()),
            deleted_at: self.grant.deleted_at.map(timestamp::write),
        }
    }
}
