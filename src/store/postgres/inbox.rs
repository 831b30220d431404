//! Deliveries and dirty marks in PostgreSQL. Groups of several replicas are written at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;

use super::{Postgres, is_held, news, text, within};
use crate::{
    reconcile::scope::Mark,
    store::{
        Accepted, Delivery, DirtyMark, Error, Inbox, Lease,
        inbox::{BACKLOG, Backlog, WaitingRow, WriteGroup},
        to_json,
    },
};

/// Keys above this length are kept as digests: an index takes no more than some 2,700 bytes.
const LONGEST_KEY: usize = 512;

/// Beginning to write: who sent the deliveries is told to come again after about as long, and those that come
/// meanwhile would wait behind them.
const BEGIN_WITHIN: Duration = Duration::from_secs(1);

/// Writes groups of deliveries.
pub(super) struct Writer(pub(super) PgPool);

#[async_trait]
impl WriteGroup for Writer {
    async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error> {
        within(async {
            let begun = timeout(BEGIN_WITHIN, self.0.begin()).await;
            let mut transaction = begun.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
            let outcomes = write_keys(&mut transaction, deliveries).await?;
            let both = deliveries.iter().zip(&outcomes);
            let new = both.filter(|(_, outcome)| **outcome == Accepted::New);
            let marks: BTreeSet<String> = new
                .flat_map(|(delivery, _)| &delivery.marks)
                .map(|mark| text(&mark.to_string()).into())
                .collect();
            let versions = set_marks(&mut transaction, marks).await?;
            insert(&mut transaction, deliveries, &outcomes, &versions).await?;
            if !versions.is_empty() {
                news::tell(&mut transaction).await?;
            }
            transaction.commit().await?;
            Ok(outcomes)
        })
        .await
    }
}

/// Remembers the events and says which are new: the first of each key in the group, unless the database knew it.
async fn write_keys(connection: &mut PgConnection, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error> {
    let mut first = BTreeMap::new();
    for delivery in deliveries {
        first.entry(stored_key(&delivery.key)).or_insert(delivery.received_at.timestamp_millis());
    }
    let (keys, seen): (Vec<String>, Vec<i64>) = first.into_iter().unzip();
    let inserted: Vec<String> = sqlx::query_scalar(
        "INSERT INTO event_keys (key, seen_ms) SELECT * FROM unnest($1::text[], $2::bigint[])
         ON CONFLICT DO NOTHING RETURNING key",
    )
    .bind(keys)
    .bind(seen)
    .fetch_all(connection)
    .await?;
    let mut inserted: BTreeSet<String> = inserted.into_iter().collect();
    let outcomes = deliveries.iter().map(|delivery| match inserted.remove(&stored_key(&delivery.key)) {
        false => Accepted::Duplicate,
        true if delivery.marks.is_empty() => Accepted::Ignored,
        true => Accepted::New,
    });
    Ok(outcomes.collect())
}

fn stored_key(key: &str) -> String {
    if key.len() > LONGEST_KEY || key.contains('\0') {
        format!("digest:{}", hex::encode(Sha256::digest(key)))
    } else {
        key.to_owned()
    }
}

/// Sets the marks and answers their versions. The rows are locked in the order of the marks, as everywhere, so that
/// two groups never wait for each other in a circle.
async fn set_marks(
    connection: &mut PgConnection,
    marks: BTreeSet<String>,
) -> Result<BTreeMap<String, i64>, Error> {
    if marks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let set: Vec<(String, i64)> = sqlx::query_as(
        "INSERT INTO dirty (mark, version, done) SELECT mark, 1, 0 FROM unnest($1::text[]) AS mark
         ON CONFLICT (mark) DO UPDATE SET version = dirty.version + 1 RETURNING mark, version",
    )
    .bind(marks.into_iter().collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(set.into_iter().collect())
}

async fn insert(
    connection: &mut PgConnection,
    deliveries: &[&Delivery],
    outcomes: &[Accepted],
    versions: &BTreeMap<String, i64>,
) -> Result<(), Error> {
    let mut columns = Columns::default();
    for (delivery, outcome) in deliveries.iter().zip(outcomes) {
        columns.push(delivery, *outcome, versions);
    }
    let Columns { received, event_ids, event_types, webhook_ids, subscriptions, statuses, marks, versions } =
        columns;
    sqlx::query(
        "INSERT INTO deliveries
           (received_ms, event_id, event_type, webhook_id, subscription, status, marks, versions)
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
           $7::text[], $8::text[])",
    )
    .bind(received)
    .bind(event_ids)
    .bind(event_types)
    .bind(webhook_ids)
    .bind(subscriptions)
    .bind(statuses)
    .bind(marks)
    .bind(versions)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deliveries by columns, for one statement.
#[derive(Default)]
struct Columns {
    received: Vec<i64>,
    event_ids: Vec<Option<String>>,
    event_types: Vec<Option<String>>,
    webhook_ids: Vec<Option<String>>,
    subscriptions: Vec<Option<String>>,
    statuses: Vec<&'static str>,
    marks: Vec<String>,
    versions: Vec<String>,
}

impl Columns {
    fn push(&mut self, delivery: &Delivery, outcome: Accepted, versions: &BTreeMap<String, i64>) {
        let Delivery { key: _, received_at, event_id, event_type, webhook_id, subscription, marks } =
            delivery;
        let kept = |given: &Option<String>| given.as_deref().map(|given| text(given).into_owned());
        let marks: Vec<String> = marks.iter().map(|mark| text(&Mark::to_string(mark)).into_owned()).collect();
        let versions: Vec<i64> =
            marks.iter().map(|mark| versions.get(mark).copied().unwrap_or_default()).collect();
        self.received.push(received_at.timestamp_millis());
        self.event_ids.push(kept(event_id));
        self.event_types.push(kept(event_type));
        self.webhook_ids.push(kept(webhook_id));
        self.subscriptions.push(kept(subscription));
        self.statuses.push(outcome.as_str());
        self.marks.push(to_json(&marks));
        self.versions.push(to_json(&versions));
    }
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
            set_marks(&mut transaction, BTreeSet::from([mark.to_string()])).await?;
            news::tell(&mut transaction).await?;
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
            clear(&mut transaction, marks, began).await?;
            attribute(&mut transaction, pass).await?;
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
) -> Result<(), Error> {
    let (names, versions): (Vec<String>, Vec<i64>) =
        marks.iter().map(|dirty| (dirty.mark.to_string(), dirty.version)).unzip();
    // An update alone would lock the rows in any order.
    sqlx::query("SELECT 1 FROM dirty WHERE mark = ANY($1) ORDER BY mark FOR UPDATE")
        .bind(&names)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE dirty SET done = greatest(dirty.done, seen.version), looked_ms = $3
         FROM unnest($1::text[], $2::bigint[]) AS seen (mark, version) WHERE dirty.mark = seen.mark",
    )
    .bind(&names)
    .bind(versions)
    .bind(began.timestamp_millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// Tells the deliveries whose marks have all been looked at which pass did so.
async fn attribute(connection: &mut PgConnection, pass: &str) -> Result<(), Error> {
    let done = sqlx::query_as("SELECT mark, done FROM dirty").fetch_all(&mut *connection).await?;
    let done: BTreeMap<String, i64> = done.into_iter().collect();
    let waiting: Vec<WaitingRow> = sqlx::query_as(
        "SELECT seq, marks, versions FROM deliveries WHERE pass_id IS NULL AND status = 'accepted'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut served = Vec::new();
    for row in waiting {
        if row.is_served(&done)? {
            served.push(row.seq);
        }
    }
    sqlx::query("UPDATE deliveries SET pass_id = $2 WHERE seq = ANY($1)")
        .bind(served)
        .bind(pass)
        .execute(connection)
        .await?;
    Ok(())
}
