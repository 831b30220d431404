//! What must survive the process: deliveries, dirty marks, the ledger with its intents, audit, passes, what we learned,
//! and who does what when. All SQL lives in this folder.
//!
//! One trait, [`Store`], and two databases behind it. A topic's file (`ledger.rs`, `inbox/`, …) holds its verbs, its types,
//! its rows, and the statements that both databases take to the letter; the folder of each database holds those that
//! differ, and its migrations. What both promise is written down in the doc comments of the traits and tried on both in
//! `tests/store/`. No transaction ever spans a remote call.
//!
//! * [`sqlite`]: one process owns the file.
//! * [`postgres`]: any number of replicas share the database. What only one may do at a time is guarded by a
//!   [`Lease`]: the statements of its holder's writes ask for it, and do nothing once it is lost.
//!
//! # Migrations
//!
//! They are never changed and never undone. During a rolling upgrade the previous version goes on working on the new
//! schema, and may even be started on it, so a migration may only add: tables, indexes, and columns that may be null
//! or have a default. Something is removed or given another meaning no earlier than one version after the last that
//! uses it. Where that cannot be kept, the step's description begins with `breaks`: then a version that does not know it
//! refuses to start. An SQLite file has one process and no rolling upgrade: it is refused after any step that is not known.
//! `tests/it/upgrade.rs` starts the service on the database of every version that was released.
//! Statements name their columns (`SELECT *` breaks in running processes when a column is added).

mod address;
mod column;
mod coordination;
mod decision_log;
mod entry;
mod error;
mod fact;
mod inbox;
mod incident_parts;
mod journal;
mod knowledge;
mod lease;
mod ledger;
mod migrations;
mod names;
mod notices;
mod overview;
pub mod postgres;
mod prune;
mod row;
pub mod sqlite;

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;

pub use self::{
    address::{Address, InvalidAddress},
    coordination::{Coordination, Timetable, Workload},
    decision_log::{
        DecisionLog, Hash, Leaf, LogEntry, LogHead, LogPage, PAGE as LOG_PAGE, StoredCheckpoint, leaf_hash,
    },
    entry::{LedgerEntry, State},
    error::{Error, OpenError},
    fact::Fact,
    inbox::{Accepted, Backlog, Delivery, DirtyMark, Inbox},
    journal::{AuditEntry, AuditRow, DeliveryRow, Journal, Page},
    knowledge::{AskAgain, Knowledge},
    lease::{Duty, Lease},
    ledger::{GrantCursor, GrantPage, GrantQuery, Ledger, OpenRows, UnreadableRow},
    names::StoredName,
    notices::{EndpointState, Findings, Notices, StoredNotice, Told, Waiting},
    overview::{Access, AccessCounts, Boundary, Overview, SeenGrant, View},
};

/// The store, whichever database it is in.
#[async_trait]
pub trait Store:
    Coordination + DecisionLog + Inbox + Journal + Knowledge + Ledger + Notices + Overview + Debug + Send + Sync
{
    /// Whether the store takes writes at `now`. It writes, since only that shows a full disk.
    async fn check_writable(&self, now: DateTime<Utc>) -> Result<(), Error>;

    /// Removes what is older than `before`, and event keys that are older than `keys_before`: a few rows of each table, so
    /// that deliveries do not wait behind it. True if more may be left.
    async fn prune(&self, before: DateTime<Utc>, keys_before: DateTime<Utc>) -> Result<bool, Error>;

    /// Closes all connections; waits for writes under way.
    async fn close(&self);

    /// Wakes whoever waits when a mark was set or a lease released, here or on another replica. A hint: it may come
    /// too often, and between replicas it may get lost.
    fn news(&self) -> &Notify;
}

/// The store as everybody shares it.
pub type SharedStore = Arc<dyn Store>;
