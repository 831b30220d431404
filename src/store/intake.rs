//! Deliveries and the dirty marks they leave, in one transaction; many deliveries share one commit.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::{Row, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use super::{Error, Store, from_json, to_json};
use crate::reconcile::scope::Mark;

/// How many deliveries may wait for the disk before the sender is asked to come again: PagerDuty gives up on an
/// answer after 5 s, and a slow disk still commits some hundred groups a second.
const QUEUE: usize = 1024;
/// How many deliveries share a commit at most; beyond this the sync is no longer what costs.
const GROUP: usize = 256;

/// A signed webhook, reduced to what is kept of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What makes the event the same event: its signed ID, or the digest of a body without one.
    pub key: String,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The signed event ID.
    pub event_id: Option<String>,
    /// The event type.
    pub event_type: Option<String>,
    /// `X-Webhook-Id`; not signed, so only recorded.
    pub webhook_id: Option<String>,
    /// `X-Webhook-Subscription`; not signed, so only recorded.
    pub subscription: Option<String>,
    /// What must be looked at again; empty if nothing.
    pub marks: BTreeSet<Mark>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is on disk and its marks are set.
    New,
    /// Its event was seen before.
    Duplicate,
    /// It is on disk; there is nothing to look at.
    Ignored,
}

impl Accepted {
    /// The word for it in the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
        }
    }
}

/// A mark with the version that was seen; clearing it clears no later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyMark {
    /// What must be looked at.
    pub mark: Mark,
    /// How often it was marked so far.
    pub version: i64,
}

type Waiting = (Delivery, oneshot::Sender<Result<Accepted, Error>>);

/// The way to the one task that writes deliveries.
#[derive(Clone, Debug)]
pub(super) struct Intake(mpsc::Sender<Waiting>);

impl Intake {
    pub(super) fn start(writer: SqlitePool) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(QUEUE);
        tokio::spawn(async move {
            let mut group = Vec::with_capacity(GROUP);
            while receiver.recv_many(&mut group, GROUP).await > 0 {
                let deliveries: Vec<&Delivery> = group.iter().map(|(delivery, _)| delivery).collect();
                match write(&writer, &deliveries).await {
                    Ok(outcomes) => {
                        for ((_, reply), outcome) in group.drain(..).zip(outcomes) {
                            // The sender may have hung up; its delivery is stored all the same.
                            drop(reply.send(Ok(outcome)));
                        }
                    }
                    // One delivery that the database cannot take must not fail those beside it.
                    Err(_) => {
                        for (delivery, reply) in group.drain(..) {
                            let outcome = write(&writer, &[&delivery]).await;
                            drop(reply.send(outcome.map(|outcomes| outcomes[0])));
                        }
                    }
                }
            }
        });
        Self(sender)
    }
}

async fn write(writer: &SqlitePool, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut outcomes = Vec::with_capacity(deliveries.len());
    let mut marks = BTreeSet::new();
    for delivery in deliveries {
        let Delivery { key, received_at, event_id, event_type, webhook_id, subscription, marks: own } =
            delivery;
        let received_ms = received_at.timestamp_millis();
        let new = sqlx::query("INSERT INTO event_keys (key, seen_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(key)
            .bind(received_ms)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        let outcome = match new {
            0 => Accepted::Duplicate,
            _ if own.is_empty() => Accepted::Ignored,
            _ => Accepted::New,
        };
        if outcome == Accepted::New {
            marks.extend(own);
        }
        sqlx::query(
            "INSERT INTO deliveries (received_ms, event_id, event_type, webhook_id, subscription, status, marks)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(received_ms)
        .bind(event_id)
        .bind(event_type)
        .bind(webhook_id)
        .bind(subscription)
        .bind(outcome.as_str())
        .bind(to_json(&own.iter().map(Mark::to_string).collect::<Vec<_>>()))
        .execute(&mut *transaction)
        .await?;
        outcomes.push(outcome);
    }
    for mark in marks {
        sqlx::query(
            "INSERT INTO dirty (mark, version, done) VALUES ($1, 1, 0)
             ON CONFLICT (mark) DO UPDATE SET version = version + 1",
        )
        .bind(mark.to_string())
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(outcomes)
}

impl Store {
    /// Stores a delivery and marks what it is about, durably; the same event twice is stored but marks nothing.
    pub async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error> {
        let (reply, outcome) = oneshot::channel();
        self.intake.0.try_send((delivery, reply)).map_err(|_| Error::Busy)?;
        outcome.await.map_err(|_| Error::Busy)?
    }

    /// What must be looked at.
    pub async fn dirty(&self) -> Result<Vec<DirtyMark>, Error> {
        let rows = sqlx::query("SELECT mark, version FROM dirty WHERE version > done ORDER BY mark");
        let rows = rows.fetch_all(&self.reader).await?;
        rows.iter()
            .map(|row| {
                let Ok(mark) = row.try_get::<String, _>("mark")?.parse();
                Ok(DirtyMark { mark, version: row.try_get("version")? })
            })
            .collect()
    }

    /// The newest delivery; deliveries up to it have left their marks.
    pub async fn newest_delivery(&self) -> Result<i64, Error> {
        let row = sqlx::query("SELECT coalesce(max(seq), 0) AS seq FROM deliveries")
            .fetch_one(&self.reader)
            .await?;
        Ok(row.try_get("seq")?)
    }

    /// Notes that `marks` were looked at by `pass`, and tells the deliveries up to `newest` which pass served them.
    /// A mark that was set again since stays dirty.
    pub async fn clear_dirty(&self, marks: &[DirtyMark], newest: i64, pass: &str) -> Result<(), Error> {
        if marks.is_empty() {
            return Ok(());
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for DirtyMark { mark, version } in marks {
            sqlx::query("UPDATE dirty SET done = $2 WHERE mark = $1 AND done < $2")
                .bind(mark.to_string())
                .bind(version)
                .execute(&mut *transaction)
                .await?;
        }
        let waiting = sqlx::query(
            "SELECT seq, marks FROM deliveries WHERE pass_id IS NULL AND status = 'accepted' AND seq <= $1",
        )
        .bind(newest)
        .fetch_all(&mut *transaction)
        .await?;
        let looked_at: BTreeMap<String, i64> =
            marks.iter().map(|dirty| (dirty.mark.to_string(), dirty.version)).collect();
        for row in waiting {
            let own: Vec<String> = from_json("list of marks", row.try_get("marks")?)?;
            if own.iter().all(|mark| looked_at.contains_key(mark)) {
                sqlx::query("UPDATE deliveries SET pass_id = $2 WHERE seq = $1")
                    .bind(row.try_get::<i64, _>("seq")?)
                    .bind(pass)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}
