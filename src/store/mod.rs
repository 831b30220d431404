//! What must survive the process: deliveries, dirty marks, the ledger with its intents, audit, passes, and what was
//! learned. All SQL lives in this folder.
//!
//! SQLite in WAL mode with `synchronous = FULL`: what was answered is on disk. One process owns the file (a lock
//! file beside it says so), one connection writes, a few read. No transaction ever spans a remote call.

mod intake;
mod journal;
mod knowledge;
mod ledger;
mod queue;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{
    SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::intake::Intake;
pub use self::{
    intake::{Accepted, Delivery, DirtyMark},
    journal::{AuditEntry, AuditRow, DeliveryRow, Page},
    ledger::{GrantQuery, LedgerEntry, State},
    queue::Waiting,
};

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// Readers for the API and the planner's inputs; a pass reads one query at a time, so a few are plenty.
const READERS: u32 = 4;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused.
    #[error("the store failed")]
    Database(#[from] sqlx::Error),
    /// A stored value is not what this version writes.
    #[error("the store holds a {what} that this version cannot read: {value:?}")]
    Corrupt {
        /// What kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// More deliveries are waiting for the disk than may.
    #[error("too many deliveries are waiting for the disk")]
    Busy,
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns the file.
    #[error("{0} is in use by another oncall-grants process")]
    InUse(PathBuf),
    /// The lock file or the directory is not accessible.
    #[error("cannot open the lock file {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database did not open.
    #[error("cannot open the store {path}")]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the store {path} up to date")]
    Migration {
        /// The database file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// The store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    intake: Intake,
    /// Held for as long as the store is open; the operating system lets go of it when the process dies.
    _lock: Option<Arc<File>>,
}

impl Store {
    /// Opens the file as its only owner, makes it if need be, and brings the schema up to date.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            // Keeps the log file from staying as large as its largest burst.
            .pragma("journal_size_limit", "16777216");
        let failed = |source| OpenError::Database { path: path.to_owned(), source };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|source| OpenError::Migration { path: path.to_owned(), source })?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(failed)?;
        Ok(Self { intake: Intake::start(writer.clone()), writer, reader, _lock: Some(Arc::new(lock)) })
    }

    /// Opens the file to look only, beside the process that owns it; an absent file is an empty store.
    pub async fn open_beside(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { path: path.to_owned(), source };
        if !path.exists() {
            return Self::in_memory().await.map_err(failed);
        }
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5)).read_only(true);
        let reader =
            SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)?;
        Ok(Self { intake: Intake::start(reader.clone()), writer: reader.clone(), reader, _lock: None })
    }

    /// An empty store that ends with the process.
    pub async fn in_memory() -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new().in_memory(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        MIGRATIONS.run(&pool).await?;
        Ok(Self { intake: Intake::start(pool.clone()), writer: pool.clone(), reader: pool, _lock: None })
    }

    /// Whether the store takes writes now.
    pub async fn check_writable(&self) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM facts WHERE name = ''").execute(&mut *transaction).await?;
        transaction.rollback().await?;
        Ok(())
    }

    /// Closes all connections; waits for writes under way.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    // Not the database file itself: SQLite's own locks on it are lost when any handle to it is closed.
    let lock_path = PathBuf::from(format!("{}.lock", path.display()));
    let failed = |source| OpenError::Lock { path: lock_path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn from_ms(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

fn from_seconds(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

fn from_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt { what, value: text.to_owned() })
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data always serialises")
}

#[cfg(test)]
mod tests;
