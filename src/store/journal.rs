//! What was decided and done, for people: audit, passes and deliveries; newest first.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{Row, SqliteConnection};
use utoipa::ToSchema;

use super::{Error, Store, from_json, from_ms, to_json};
use crate::model::Grant;

/// One thing that was done to a grant, or tried.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// `create`, `revoke`, `adopt` (found again after an unclear answer) or `vanish` (gone without us).
    pub action: &'static str,
    /// `done`, `refused`, `failed` or `unclear`.
    pub outcome: &'static str,
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
    pub action: String,
    /// What came of it.
    pub outcome: String,
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

pub(super) async fn insert(connection: &mut SqliteConnection, entry: &AuditEntry) -> Result<(), Error> {
    let AuditEntry { at, action, outcome, grant, reason, trigger, pass_id } = entry;
    sqlx::query(
        "INSERT INTO audit (at_ms, action, outcome, granted, reason, cause, pass_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(at.timestamp_millis())
    .bind(action)
    .bind(outcome)
    .bind(to_json(grant))
    .bind(reason)
    .bind(trigger)
    .bind(pass_id)
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Writes an audit entry that settles nothing, such as a failure.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        insert(&mut connection, entry).await
    }

    /// A page of the audit below the cursor `before`.
    pub async fn audit_page(&self, limit: u32, before: Option<i64>) -> Result<Page<AuditRow>, Error> {
        let rows = sqlx::query(
            "SELECT seq, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit
             WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        let rows = rows.iter().map(|row| {
            Ok(AuditRow {
                seq: row.try_get("seq")?,
                at: from_ms(row.try_get("at_ms")?),
                action: row.try_get("action")?,
                outcome: row.try_get("outcome")?,
                grant: from_json("grant", row.try_get("granted")?)?,
                reason: row.try_get("reason")?,
                trigger: row.try_get("cause")?,
                pass_id: row.try_get("pass_id")?,
            })
        });
        Ok(page(rows.collect::<Result<_, Error>>()?, limit, |row| row.seq))
    }

    /// A page of the deliveries below the cursor `before`.
    pub async fn delivery_page(&self, limit: u32, before: Option<i64>) -> Result<Page<DeliveryRow>, Error> {
        let rows = sqlx::query(
            "SELECT seq, received_ms, event_id, event_type, webhook_id, subscription, status, marks, pass_id
             FROM deliveries WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        let rows = rows.iter().map(|row| {
            Ok(DeliveryRow {
                seq: row.try_get("seq")?,
                received_at: from_ms(row.try_get("received_ms")?),
                event_id: row.try_get("event_id")?,
                event_type: row.try_get("event_type")?,
                webhook_id: row.try_get("webhook_id")?,
                subscription: row.try_get("subscription")?,
                status: row.try_get("status")?,
                schedules: ids(&from_json::<Vec<String>>("list of marks", row.try_get("marks")?)?),
                pass_id: row.try_get("pass_id")?,
            })
        });
        Ok(page(rows.collect::<Result<_, Error>>()?, limit, |row| row.seq))
    }

    /// Keeps the report of a pass.
    pub async fn record_pass(&self, id: &str, started_at: DateTime<Utc>, report: &str) -> Result<(), Error> {
        sqlx::query("INSERT INTO passes (id, started_ms, report) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(started_at.timestamp_millis())
            .bind(report)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// The reports of the newest passes that were kept.
    pub async fn last_passes(&self, limit: u32) -> Result<Vec<Box<RawValue>>, Error> {
        let reports: Vec<String> =
            sqlx::query_scalar("SELECT report FROM passes ORDER BY started_ms DESC, id DESC LIMIT $1")
                .bind(i64::from(limit))
                .fetch_all(&self.reader)
                .await?;
        reports.iter().map(|report| from_json("report", report)).collect()
    }

    /// Removes what is older than `before`, and event keys older than `keys_before`, a few rows at a time; says
    /// whether more is left.
    pub async fn prune(&self, before: DateTime<Utc>, keys_before: DateTime<Utc>) -> Result<bool, Error> {
        const STEP: u64 = 500;
        let (ms, seconds) = (before.timestamp_millis(), before.timestamp());
        let statements = [
            (
                "DELETE FROM event_keys WHERE key IN (SELECT key FROM event_keys WHERE seen_ms < $1 LIMIT 500)",
                keys_before.timestamp_millis(),
            ),
            (
                "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE received_ms < $1 LIMIT 500)",
                ms,
            ),
            ("DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at_ms < $1 LIMIT 500)", ms),
            ("DELETE FROM passes WHERE id IN (SELECT id FROM passes WHERE started_ms < $1 LIMIT 500)", ms),
            ("DELETE FROM grants WHERE seq IN (SELECT seq FROM grants WHERE end_at < $1 LIMIT 500)", seconds),
        ];
        let mut more = false;
        for (statement, limit) in statements {
            let done = sqlx::query(statement).bind(limit).execute(&self.writer).await?;
            more |= done.rows_affected() >= STEP;
        }
        Ok(more)
    }
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
