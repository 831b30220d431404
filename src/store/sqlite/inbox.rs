//! Deliveries and dirty marks in SQLite.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::Sqlite;
use crate::{
    reconcile::scope::Mark,
    store::{
        Accepted, Delivery, DirtyMark, Error, Inbox, Lease,
        inbox::{BACKLOG, Backlog, WaitingRow, WriteGroup},
        to_json,
    },
};

/// Writes groups of deliveries.
pub(super) struct Writer(pub(super) SqlitePool);

#[async_trait]
impl WriteGroup for Writer {
    async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error> {
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        let mut outcomes = Vec::with_capacity(deliveries.len());
        for Delivery { key, received_at, marks, .. } in deliveries {
            let new =
                sqlx::query("INSERT INTO event_keys (key, seen_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                    .bind(key)
                    .bind(received_at.timestamp_millis())
                    .execute(&mut *transaction)
                    .await?
                    .rows_affected();
            outcomes.push(match new {
                0 => Accepted::Duplicate,
                _ if marks.is_empty() => Accepted::Ignored,
                _ => Accepted::New,
            });
        }
        let both = deliveries.iter().zip(&outcomes);
        let new = both.clone().filter(|(_, outcome)| **outcome == Accepted::New);
        let marks: BTreeSet<&Mark> = new.flat_map(|(delivery, _)| &delivery.marks).collect();
        let mut versions = BTreeMap::new();
        for mark in marks {
            versions.insert(mark, set_mark(&mut transaction, mark).await?);
        }
        for (delivery, outcome) in both {
            insert(&mut transaction, delivery, *outcome, &versions).await?;
        }
        transaction.commit().await?;
        Ok(outcomes)
    }
}

async fn set_mark(connection: &mut SqliteConnection, mark: &Mark) -> Result<i64, Error> {
    let row = sqlx::query(
        "INSERT INTO dirty (mark, version, done) VALUES ($1, 1, 0)
         ON CONFLICT (mark) DO UPDATE SET version = version + 1 RETURNING version",
    );
    Ok(row.bind(mark.to_string()).fetch_one(connection).await?.try_get("version")?)
}

async fn insert(
    connection: &mut SqliteConnection,
    delivery: &Delivery,
    outcome: Accepted,
    versions: &BTreeMap<&Mark, i64>,
) -> Result<(), Error> {
    let Delivery { key: _, received_at, event_id, event_type, webhook_id, subscription, marks } = delivery;
    let versions: Vec<i64> =
        marks.iter().map(|mark| versions.get(mark).copied().unwrap_or_default()).collect();
    sqlx::query(
        "INSERT INTO deliveries
           (received_ms, event_id, event_type, webhook_id, subscription, status, marks, versions)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(received_at.timestamp_millis())
    .bind(event_id)
    .bind(event_type)
    .bind(webhook_id)
    .bind(subscription)
    .bind(outcome.as_str())
    .bind(to_json(&marks.iter().map(Mark::to_string).collect::<Vec<_>>()))
    .bind(to_json(&versions))
    .execute(connection)
    .await?;
    Ok(())
}

#[async_trait]
impl Inbox for Sqlite {
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error> {
        let accepted = self.queue.accept(delivery).await?;
        if accepted == Accepted::New {
            self.news.notify_waiters();
        }
        Ok(accepted)
    }

    async fn mark(&self, mark: &Mark) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        set_mark(&mut connection, mark).await?;
        self.news.notify_waiters();
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        let counted: (i64, Option<i64>) = sqlx::query_as(BACKLOG).fetch_one(&self.reader).await?;
        Ok(counted.into())
    }

    async fn clear_dirty(
        &self,
        _: &Lease,
        marks: &[DirtyMark],
        began: DateTime<Utc>,
        pass: &str,
    ) -> Result<bool, Error> {
        if marks.is_empty() {
            return Ok(true);
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for DirtyMark { mark, version, looked_at: _ } in marks {
            sqlx::query("UPDATE dirty SET done = max(done, $2), looked_ms = $3 WHERE mark = $1")
                .bind(mark.to_string())
                .bind(version)
                .bind(began.timestamp_millis())
                .execute(&mut *transaction)
                .await?;
        }
        let done = sqlx::query_as("SELECT mark, done FROM dirty").fetch_all(&mut *transaction).await?;
        let done: BTreeMap<String, i64> = done.into_iter().collect();
        let waiting: Vec<WaitingRow> = sqlx::query_as(
            "SELECT seq, marks, versions FROM deliveries WHERE pass_id IS NULL AND status = 'accepted'",
        )
        .fetch_all(&mut *transaction)
        .await?;
        for row in waiting {
            if row.is_served(&done)? {
                sqlx::query("UPDATE deliveries SET pass_id = $2 WHERE seq = $1")
                    .bind(row.seq)
                    .bind(pass)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        transaction.commit().await?;
        Ok(true)
    }
}
