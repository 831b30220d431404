//! Deliveries and dirty marks in SQLite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, SqlitePool};

use super::Sqlite;
use crate::{
    model::Mark,
    store::{
        Accepted, Delivery, DirtyMark, Error, Inbox, Lease,
        column::to_json,
        inbox::{BACKLOG, Backlog, Group, WriteGroup},
    },
};

/// Writes a group of deliveries in one transaction.
pub(super) struct Writer(pub(super) SqlitePool);

#[async_trait]
impl WriteGroup for Writer {
    async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error> {
        let group = Group::of(deliveries);
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        // The condition tells the parser that what follows is no join.
        let unknown = sqlx::query_scalar(
            "INSERT INTO event_keys (key, seen_ms) SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true
             ON CONFLICT DO NOTHING RETURNING key",
        )
        .bind(group.keys())
        .fetch_all(&mut *transaction)
        .await?;
        let outcomes = group.outcomes(unknown);
        let versions = match group.marks(&outcomes) {
            Some(marks) => set_marks(&mut transaction, marks).await?,
            None => BTreeMap::new(),
        };
        sqlx::query(
            "INSERT INTO deliveries
               (received_ms, event_id, event_type, webhook_id, subscription, status, marks, versions, pass_id)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
               value ->> 7, ''
             FROM json_each($1)",
        )
        .bind(group.rows(&outcomes, &versions))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(outcomes)
    }
}

/// Sets the marks of a list of `[mark, how often, since_ms or null]` and returns their versions.
async fn set_marks(connection: &mut SqliteConnection, marks: String) -> Result<BTreeMap<String, i64>, Error> {
    let set: Vec<(String, i64)> = sqlx::query_as(
        "INSERT INTO dirty (mark, version, done, since_ms)
         SELECT value ->> 0, value ->> 1, 0, value ->> 2 FROM json_each($1) WHERE true
         ON CONFLICT (mark) DO UPDATE SET version = version + excluded.version,
           since_ms = CASE WHEN version > done THEN coalesce(since_ms, excluded.since_ms) ELSE excluded.since_ms END
         RETURNING mark, version",
    )
    .bind(marks)
    .fetch_all(connection)
    .await?;
    Ok(set.into_iter().collect())
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
        let marks = to_json(&[(mark.to_string(), 1, None::<i64>)]);
        let mut connection = self.writer.acquire().await?;
        set_marks(&mut connection, marks).await?;
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
        for DirtyMark { mark, version, paced_until, since: _ } in marks {
            sqlx::query(
                "UPDATE dirty SET done = $2, looked_ms = $3, paced_ms = $4,
                   since_ms = CASE WHEN version > $2 THEN $3 END
                 WHERE mark = $1 AND done <= $2",
            )
            .bind(mark.to_string())
            .bind(version)
            .bind(began.timestamp_millis())
            .bind(paced_until.map(|until| until.timestamp_millis()))
            .execute(&mut *transaction)
            .await?;
            sqlx::query("INSERT INTO looks (mark, version, pass_id, began_ms) VALUES ($1, $2, $3, $4)")
                .bind(mark.to_string())
                .bind(version)
                .bind(pass)
                .bind(began.timestamp_millis())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
