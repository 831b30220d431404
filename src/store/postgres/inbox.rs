//! Deliveries and dirty marks in PostgreSQL. Groups of several replicas are written at the same time.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;

use super::{Postgres, is_held, notify, within};
use crate::{
    model::Mark,
    store::{
        Accepted, Delivery, DirtyMark, Error, Inbox, Lease,
        column::to_json,
        inbox::{BACKLOG, Backlog, Group, WriteGroup},
    },
};

/// Beginning a transaction. After about as long the web side tells the senders to come again, and the deliveries that
/// arrive meanwhile would wait behind these.
const BEGIN_WITHIN: Duration = Duration::from_secs(1);

/// Writes a group of deliveries in one transaction.
pub(super) struct Writer(pub(super) PgPool);

#[async_trait]
impl WriteGroup for Writer {
    async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error> {
        let group = Group::of(deliveries);
        within(async {
            let begun = timeout(BEGIN_WITHIN, self.0.begin()).await;
            let mut transaction = begun.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
            let unknown = sqlx::query_scalar(
                "INSERT INTO event_keys (key, seen_ms)
                 SELECT item ->> 0, (item ->> 1)::bigint FROM jsonb_array_elements($1::jsonb) AS item
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
                 SELECT (item ->> 0)::bigint, item ->> 1, item ->> 2, item ->> 3, item ->> 4, item ->> 5,
                   item ->> 6, item ->> 7, ''
                 FROM jsonb_array_elements($1::jsonb) AS item",
            )
            .bind(group.rows(&outcomes, &versions))
            .execute(&mut *transaction)
            .await?;
            if !versions.is_empty() {
                notify::tell(&mut transaction).await?;
            }
            transaction.commit().await?;
            Ok(outcomes)
        })
        .await
    }
}

/// Sets the marks of a list of `[mark, how often, since_ms or null]` and returns their versions. The rows are locked in the
/// order of the list, which is that of the marks, as everywhere, so that two groups never wait for each other in a
/// circle.
async fn set_marks(connection: &mut PgConnection, marks: String) -> Result<BTreeMap<String, i64>, Error> {
    let set: Vec<(String, i64)> = sqlx::query_as(
        "INSERT INTO dirty (mark, version, done, since_ms)
         SELECT item ->> 0, (item ->> 1)::bigint, 0, (item ->> 2)::bigint
         FROM jsonb_array_elements($1::jsonb) AS item
         ON CONFLICT (mark) DO UPDATE SET version = dirty.version + excluded.version,
           since_ms = CASE WHEN dirty.version > dirty.done THEN coalesce(dirty.since_ms, excluded.since_ms)
             ELSE excluded.since_ms END
         RETURNING mark, version",
    )
    .bind(marks)
    .fetch_all(connection)
    .await?;
    Ok(set.into_iter().collect())
}

#[async_trait]
impl Inbox for Postgres {
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error> {
        let accepted = self.queue.accept(delivery).await?;
        if accepted == Accepted::New {
            // The listener may be down.
            self.news.notify_waiters();
        }
        Ok(accepted)
    }

    async fn mark(&self, mark: &Mark) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            let marks = to_json(&[(mark.to_string(), 1, None::<i64>)]);
            set_marks(&mut transaction, marks).await?;
            notify::tell(&mut transaction).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        within(async {
            let counted: (i64, Option<i64>) = sqlx::query_as(BACKLOG).fetch_one(&self.pool).await?;
            Ok(counted.into())
        })
        .await
    }

    async fn clear_dirty(
        &self,
        lease: &Lease,
        marks: &[DirtyMark],
        began: DateTime<Utc>,
        pass: &str,
    ) -> Result<bool, Error> {
        if marks.is_empty() {
            return Ok(true);
        }
        within(async {
            let mut transaction = self.pool.begin().await?;
            if !is_held(&mut transaction, lease).await? {
                return Ok(false);
            }
            clear(&mut transaction, marks, began, pass).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }
}

async fn clear(
    connection: &mut PgConnection,
    marks: &[DirtyMark],
    began: DateTime<Utc>,
    pass: &str,
) -> Result<(), Error> {
    let (names, versions): (Vec<String>, Vec<i64>) =
        marks.iter().map(|dirty| (dirty.mark.to_string(), dirty.version)).unzip();
    let paced: Vec<Option<i64>> =
        marks.iter().map(|dirty| dirty.paced_until.map(|until| until.timestamp_millis())).collect();
    // An update alone would lock the rows in any order.
    sqlx::query("SELECT 1 FROM dirty WHERE mark = ANY($1) ORDER BY mark FOR UPDATE")
        .bind(&names)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE dirty SET done = seen.version, looked_ms = $3, paced_ms = seen.paced,
           since_ms = CASE WHEN dirty.version > seen.version THEN $3 END
         FROM unnest($1::text[], $2::bigint[], $4::bigint[]) AS seen (mark, version, paced)
         WHERE dirty.mark = seen.mark AND dirty.done <= seen.version",
    )
    .bind(&names)
    .bind(&versions)
    .bind(began.timestamp_millis())
    .bind(paced)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO looks (mark, version, pass_id, began_ms)
         SELECT mark, version, $3, $4 FROM unnest($1::text[], $2::bigint[]) AS seen (mark, version)",
    )
    .bind(names)
    .bind(versions)
    .bind(pass)
    .bind(began.timestamp_millis())
    .execute(connection)
    .await?;
    Ok(())
}
