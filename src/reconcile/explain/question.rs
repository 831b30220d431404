//! A question about access, and what it is answered from.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    model::{AuditAction, AuditOutcome, Email, Grant, Recorded, ResourceId, Window},
    reconcile::{
        plan::{Plan, Settings},
        world::World,
    },
    store::LedgerEntry,
};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who, by the address in PagerDuty or in strongDM.
    pub email: Email,
    /// To what, by name or ID; everything that rules give if none.
    pub resource: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What the answer is made from.
#[derive(Debug)]
pub struct Known<'k> {
    /// When it was looked.
    pub now: DateTime<Utc>,
    /// The stretch for which PagerDuty was asked.
    pub asked: Window,
    /// The rules and their like.
    pub settings: &'k Settings,
    /// What was seen.
    pub world: &'k World,
    /// What would be done.
    pub plan: &'k Plan,
    /// Our grants that have not ended, with where they stand.
    pub ledger: &'k [LedgerEntry],
    /// All grants that we ever made for this person, as far as they are still kept.
    pub made: &'k [Grant],
    /// What was done for this person, newest first.
    pub history: &'k [Past],
}

/// Something that was done or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Past {
    /// When, in UTC.
    pub at: DateTime<Utc>,
    /// What.
    #[schema(value_type = String)]
    pub action: Recorded<AuditAction>,
    /// What came of it.
    #[schema(value_type = String)]
    pub outcome: Recorded<AuditOutcome>,
    /// Why, in words.
    pub reason: String,
    /// The resource's name.
    pub resource: String,
    /// The resource.
    #[serde(skip)]
    pub resource_id: ResourceId,
    /// The grant, if there was one.
    pub grant_id: Option<String>,
    /// Its window.
    #[serde(flatten)]
    pub window: Option<Window>,
}
