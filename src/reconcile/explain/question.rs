//! A question about access, and what it is answered from.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    model::{AuditAction, AuditOutcome, Email, Grant, Recorded, ResourceId, Window},
    reconcile::{
        plan::{Plan, Settings, Standing},
        world::World,
    },
    store::LedgerEntry,
};

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Who, by the address in PagerDuty or in strongDM.
    pub(crate) email: Email,
    /// To what, by name or ID; everything that rules give if none.
    pub(crate) resource: Option<String>,
    /// When.
    pub(crate) at: DateTime<Utc>,
}

/// What the answer is made from.
#[derive(Debug)]
pub(crate) struct Known<'k> {
    /// When it was looked.
    pub(crate) now: DateTime<Utc>,
    /// The stretch for which PagerDuty was asked.
    pub(crate) asked: Window,
    /// The rules and their like.
    pub(crate) settings: &'k Settings,
    /// What was seen.
    pub(crate) world: &'k World,
    /// What would be done.
    pub(crate) plan: &'k Plan,
    /// How everybody stands in the incidents that rules are about.
    pub(crate) standings: &'k [Standing],
    /// Our grants that have not ended, with where they stand.
    pub(crate) ledger: &'k [LedgerEntry],
    /// All grants that we ever made for this person, as far as they are still kept.
    pub(crate) made: &'k [Grant],
    /// What was done for this person, newest first.
    pub(crate) history: &'k [Past],
}

/// Something that was done or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Past {
    /// When, in UTC.
    pub(crate) at: DateTime<Utc>,
    /// What.
    #[schema(value_type = String)]
    pub(crate) action: Recorded<AuditAction>,
    /// What came of it.
    #[schema(value_type = String)]
    pub(crate) outcome: Recorded<AuditOutcome>,
    /// Why, in words.
    pub(crate) reason: String,
    /// The resource's name.
    pub(crate) resource: String,
    /// The resource.
    #[serde(skip)]
    pub(crate) resource_id: ResourceId,
    /// The grant, if there was one.
    pub(crate) grant_id: Option<String>,
    /// Its window.
    #[serde(flatten)]
    pub(crate) window: Option<Window>,
}
