//! What we decided and did, for people to read: audit, reports of passes, and deliveries.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    Error, Findings,
    column::{from_json, from_ms, to_json},
    row::row,
};
use crate::model::{AuditAction, AuditOutcome, Grant, Recorded};

/// One thing that we did to a grant, or tried.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// What was done.
    pub action: AuditAction,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The grant.
    pub grant: Grant,
    /// Why, in words.
    pub reason: String,
    /// What caused the pass.
    pub trigger: String,
    /// The pass.
    pub pass_id: String,
}

/// An audit entry as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditRow {
    /// Its place in the audit; grows with time.
    #[serde(skip)]
    pub seq: i64,
    /// When, in UTC.
    pub at: DateTime<Utc>,
    /// What was done.
    #[schema(value_type = String)]
    pub action: Recorded<AuditAction>,
    /// What came of it.
    #[schema(value_type = String)]
    pub outcome: Recorded<AuditOutcome>,
    /// The grant it was done to.
    #[schema(value_type = Grant)]
    pub grant: Box<RawValue>,
    /// Why, in words.
    pub reason: String,
    /// What caused the pass.
    pub trigger: String,
    /// The pass.
    pub pass_id: String,
}

/// A delivery as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryRow {
    /// Its place among the deliveries; grows with time.
    #[serde(skip)]
    pub seq: i64,
    /// When it arrived, in UTC.
    pub received_at: DateTime<Utc>,
    /// The signed event ID.
    pub event_id: Option<String>,
    /// The event type.
    pub event_type: Option<String>,
    /// `X-Webhook-Id`, unsigned.
    pub webhook_id: Option<String>,
    /// `X-Webhook-Subscription`, unsigned.
    pub subscription: Option<String>,
    /// `accepted`, `duplicate` or `ignored`.
    pub status: String,
    /// IDs of the schedules and escalation policies that it asked to look at; `*` for everything.
    pub schedules: Vec<String>,
    /// The pass that did so; none as long as it waits.
    pub pass_id: Option<String>,
}

/// A page of a listing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries, newest first.
    pub items: Vec<T>,
    /// The cursor of the next page; none at the end.
    pub next: Option<String>,
}

/// Writes down what we decided and did, and reads it in pages.
#[async_trait]
pub trait Journal {
    /// Writes an audit entry that settles nothing, such as a failure.
    async fn audit(&self, entry: &AuditEntry) -> Result<(), Error>;

    /// A page of the audit, newest first: the entries below the cursor `before`.
    async fn audit_page(&self, limit: u32, before: Option<i64>) -> Result<Page<AuditRow>, Error>;

    /// A page of the deliveries, newest first: those below the cursor `before`.
    async fn delivery_page(&self, limit: u32, before: Option<i64>) -> Result<Page<DeliveryRow>, Error>;

    /// Stores the report of a pass, and, in the same transaction, the notices of what it found that were not told yet.
    /// A report that is stored already stays.
    async fn record_pass(
        &self,
        id: &str,
        started_at: DateTime<Utc>,
        report: &str,
        findings: &[Findings],
    ) -> Result<(), Error>;

    /// The reports of the newest passes that have one, newest first.
    async fn last_passes(&self, limit: u32) -> Result<Vec<String>, Error>;
}

pub(super) const AUDIT_PAGE: &str =
    "SELECT seq, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit
     WHERE seq < $1 ORDER BY seq DESC LIMIT $2";

pub(super) const RECORD_PASS: &str =
    "INSERT INTO passes (id, started_ms, report) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

pub(super) const LAST_PASSES: &str = "SELECT report FROM passes ORDER BY started_ms DESC, id DESC LIMIT $1";

/// Removes reports of passes that began before `$1`.
pub(super) const PRUNE_PASSES: &str = "
    DELETE FROM passes
    WHERE id IN (SELECT id FROM passes WHERE started_ms < $1 ORDER BY started_ms LIMIT 500)";

row! {
    /// An audit entry as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct StoredAudit {
        pub(super) seq: i64,
        pub(super) at_ms: i64,
        pub(super) action: String,
        pub(super) outcome: String,
        pub(super) granted: String,
        pub(super) reason: String,
        pub(super) cause: String,
        pub(super) pass_id: String,
    }
}

impl StoredAudit {
    pub(super) fn read(self) -> Result<AuditRow, Error> {
        let Self { seq, at_ms, action, outcome, granted, reason, cause, pass_id } = self;
        // What is no JSON is shown as the text that it is: one entry must not hide the others.
        let grant = from_json("grant", &granted).or_else(|_| from_json("text", &to_json(&granted)))?;
        Ok(AuditRow {
            seq,
            at: from_ms(at_ms),
            action: action.into(),
            outcome: outcome.into(),
            grant,
            reason,
            trigger: cause,
            pass_id,
        })
    }
}

row! {
    /// A delivery as it is stored.
    pub(super) struct StoredDelivery {
        seq: i64,
        received_ms: i64,
        event_id: Option<String>,
        event_type: Option<String>,
        webhook_id: Option<String>,
        subscription: Option<String>,
        status: String,
        marks: String,
        pass_id: Option<String>,
    }
}

impl StoredDelivery {
    fn read(self) -> Result<DeliveryRow, Error> {
        let Self { seq, received_ms, event_id, event_type, webhook_id, subscription, status, marks, pass_id } =
            self;
        let schedules = ids(&from_json::<Vec<String>>("list of marks", &marks)?);
        let received_at = from_ms(received_ms);
        Ok(DeliveryRow {
            seq,
            received_at,
            event_id,
            event_type,
            webhook_id,
            subscription,
            status,
            schedules,
            pass_id,
        })
    }
}

/// A page from one row more than it may hold.
pub(super) fn audit_page(stored: Vec<StoredAudit>, limit: u32) -> Result<Page<AuditRow>, Error> {
    let rows: Result<Vec<_>, Error> = stored.into_iter().map(StoredAudit::read).collect();
    Ok(page(rows?, limit, |row| row.seq))
}

/// A page from one row more than it may hold.
pub(super) fn delivery_page(stored: Vec<StoredDelivery>, limit: u32) -> Result<Page<DeliveryRow>, Error> {
    let rows: Result<Vec<_>, Error> = stored.into_iter().map(StoredDelivery::read).collect();
    Ok(page(rows?, limit, |row| row.seq))
}

/// Marks as people read them: by ID alone.
fn ids(marks: &[String]) -> Vec<String> {
    marks.iter().map(|mark| mark.split_once(':').map_or(mark.as_str(), |(_, id)| id).to_owned()).collect()
}

fn page<T>(mut items: Vec<T>, limit: u32, seq: impl Fn(&T) -> i64) -> Page<T> {
    let limit = limit as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = more.then(|| items.last().map(|item| seq(item).to_string())).flatten();
    Page { items, next }
}
