//! Deliveries and the dirty marks they leave; many deliveries share one commit.

pub(super) mod group;

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use super::{Error, Lease, from_ms, row::row};
use crate::model::Mark;

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
    /// When the last pass began that looked at it because of an event.
    pub looked_at: Option<DateTime<Utc>>,
    /// When the oldest of the deliveries that wait for a look at it arrived; if it was set again during the last look,
    /// when that began.
    pub since: Option<DateTime<Utc>>,
}

/// The deliveries that no pass has served yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many; one that marked two things counts for each, and so does a look that passes owe without a delivery.
    pub deliveries: i64,
    /// When the oldest arrived.
    pub since: Option<DateTime<Utc>>,
}

impl From<(i64, Option<i64>)> for Backlog {
    fn from((deliveries, since_ms): (i64, Option<i64>)) -> Self {
        Self { deliveries, since: since_ms.map(from_ms) }
    }
}

/// Takes deliveries in and tells what they left to do.
#[async_trait]
pub trait Inbox {
    /// Stores a delivery and marks what it is about, durably; the same event twice is stored but marks nothing.
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error>;

    /// Sets a mark without a delivery, durably.
    async fn mark(&self, mark: &Mark) -> Result<(), Error>;

    /// What waits for a pass.
    async fn backlog(&self) -> Result<Backlog, Error>;

    /// Notes that `marks` were looked at by `pass`, which began at `began`; the deliveries that left them find it there.
    /// A mark that was set again since stays dirty. False if the lease is lost; then nothing is cleared.
    async fn clear_dirty(
        &self,
        lease: &Lease,
        marks: &[DirtyMark],
        began: DateTime<Utc>,
        pass: &str,
    ) -> Result<bool, Error>;
}

/// Counts the [`Backlog`], however large it is, from the few marks that are dirty.
pub(in crate::store) const BACKLOG: &str =
    "SELECT CAST(coalesce(sum(version - done), 0) AS BIGINT), min(since_ms)
     FROM dirty WHERE version > done";

/// The marks that are dirty.
pub(in crate::store) const DIRTY: &str =
    "SELECT mark, version, looked_ms, since_ms FROM dirty WHERE version > done ORDER BY mark";

/// A way to write a group of deliveries in one transaction.
#[async_trait]
pub(in crate::store) trait WriteGroup: Send + Sync + 'static {
    async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error>;
}

type Waiting = (Delivery, oneshot::Sender<Result<Accepted, Error>>);

/// The way to the one task that writes deliveries.
#[derive(Clone, Debug)]
pub(in crate::store) struct Queue(mpsc::Sender<Waiting>);

impl Queue {
    pub(in crate::store) fn start(writer: impl WriteGroup) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(QUEUE);
        tokio::spawn(async move {
            let mut group = Vec::with_capacity(GROUP);
            while receiver.recv_many(&mut group, GROUP).await > 0 {
                write_all(&writer, &mut group).await;
            }
        });
        Self(sender)
    }

    /// Waits until the delivery is durable.
    pub(in crate::store) async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error> {
        let (reply, outcome) = oneshot::channel();
        self.0.try_send((delivery, reply)).map_err(|_| Error::Busy)?;
        outcome.await.map_err(|_| Error::Busy)?
    }
}

/// Writes the group and answers all who wait. A sender may have hung up; its delivery is stored all the same.
async fn write_all(writer: &impl WriteGroup, group: &mut Vec<Waiting>) {
    let deliveries: Vec<&Delivery> = group.iter().map(|(delivery, _)| delivery).collect();
    match writer.write(&deliveries).await {
        Ok(outcomes) => {
            for ((_, reply), outcome) in group.drain(..).zip(outcomes) {
                drop(reply.send(Ok(outcome)));
            }
        }
        // One delivery that the database cannot take must not fail those beside it.
        Err(Error::Database(_)) if group.len() > 1 => {
            for (delivery, reply) in group.drain(..) {
                let outcome = writer.write(&[&delivery]).await;
                drop(reply.send(outcome.map(|outcomes| outcomes[0])));
            }
        }
        // Trying each by itself would only keep them all waiting for a database that is not there.
        Err(error) => {
            tracing::error!(
                deliveries = group.len(),
                error = &error as &dyn std::error::Error,
                "cannot write deliveries"
            );
            for (_, reply) in group.drain(..) {
                drop(reply.send(Err(Error::NotWritten)));
            }
        }
    }
}

row! {
    /// A dirty mark as it is stored.
    pub(in crate::store) struct DirtyRow {
        mark: String,
        version: i64,
        looked_ms: Option<i64>,
        since_ms: Option<i64>,
    }
}

impl From<DirtyRow> for DirtyMark {
    fn from(DirtyRow { mark, version, looked_ms, since_ms }: DirtyRow) -> Self {
        let Ok(mark) = mark.parse();
        Self { mark, version, looked_at: looked_ms.map(from_ms), since: since_ms.map(from_ms) }
    }
}
