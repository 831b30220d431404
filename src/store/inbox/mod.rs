//! Deliveries and the dirty marks that they leave. `queue.rs` writes many of them in one commit.

mod group;
mod queue;

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Error, Lease, column::from_ms, row::row};
use crate::model::Mark;

pub(super) use self::{
    group::Group,
    queue::{Queue, WriteGroup},
};

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

/// A dirty mark as a pass reads it. Clearing it by its version leaves what was marked since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyMark {
    /// What a pass must look at.
    pub mark: Mark,
    /// How often events have set it so far.
    pub version: i64,
    /// Until when the looks at it that events asked for are paid for: the more of them lately, the later. None before the
    /// first.
    pub paced_until: Option<DateTime<Utc>>,
    /// When the oldest delivery arrived that waits for a pass to look at it. If an event set it again during the last
    /// pass that did: when that pass began.
    pub since: Option<DateTime<Utc>>,
}

/// The deliveries that no pass has served yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many. A delivery that set two marks counts twice, and a mark set without a delivery counts once.
    pub deliveries: i64,
    /// When the oldest arrived.
    pub since: Option<DateTime<Utc>>,
}

impl From<(i64, Option<i64>)> for Backlog {
    fn from((deliveries, since_ms): (i64, Option<i64>)) -> Self {
        Self { deliveries, since: since_ms.map(from_ms) }
    }
}

/// Accepts deliveries, and tells what they left to do.
#[async_trait]
pub trait Inbox {
    /// Stores a delivery and sets its marks in one transaction, and returns once both are on disk. A delivery of an event
    /// that was seen before is stored but sets no mark.
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error>;

    /// Sets a mark without a delivery, and returns once it is on disk.
    async fn mark(&self, mark: &Mark) -> Result<(), Error>;

    /// The deliveries that no pass has served yet, in numbers.
    async fn backlog(&self) -> Result<Backlog, Error>;

    /// Records that the pass `pass`, which began at `began`, looked at `marks`: it has served the deliveries that set
    /// them. A mark that was set again since then stays dirty. Each is paced as it says. False, and nothing is written,
    /// if the lease is lost.
    async fn clear_dirty(
        &self,
        lease: &Lease,
        marks: &[DirtyMark],
        began: DateTime<Utc>,
        pass: &str,
    ) -> Result<bool, Error>;
}

/// Counts the [`Backlog`], however large it is, from the few marks that are dirty.
pub(super) const BACKLOG: &str = "
    SELECT CAST(coalesce(sum(version - done), 0) AS BIGINT), min(since_ms)
    FROM dirty WHERE version > done";

/// The marks that are dirty.
pub(super) const DIRTY: &str =
    "SELECT mark, version, paced_ms, since_ms FROM dirty WHERE version > done ORDER BY mark";

/// Removes the keys of events that were last seen before `$1`.
pub(super) const PRUNE_EVENT_KEYS: &str = "
    DELETE FROM event_keys
    WHERE key IN (SELECT key FROM event_keys WHERE seen_ms < $1 ORDER BY seen_ms LIMIT 500)";

/// Removes deliveries that arrived before `$1`.
pub(super) const PRUNE_DELIVERIES: &str = "
    DELETE FROM deliveries
    WHERE seq IN (SELECT seq FROM deliveries WHERE received_ms < $1 ORDER BY received_ms LIMIT 500)";

/// Removes the memory of looks that began before `$1`.
pub(super) const PRUNE_LOOKS: &str = "
    DELETE FROM looks
    WHERE seq IN (SELECT seq FROM looks WHERE began_ms < $1 ORDER BY began_ms LIMIT 500)";

row! {
    /// A dirty mark as it is stored.
    pub(super) struct DirtyRow {
        mark: String,
        version: i64,
        paced_ms: Option<i64>,
        since_ms: Option<i64>,
    }
}

impl From<DirtyRow> for DirtyMark {
    fn from(DirtyRow { mark, version, paced_ms, since_ms }: DirtyRow) -> Self {
        let Ok(mark) = mark.parse();
        Self { mark, version, paced_until: paced_ms.map(from_ms), since: since_ms.map(from_ms) }
    }
}
