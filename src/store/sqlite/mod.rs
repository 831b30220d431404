//! The store in one SQLite file, for one process.
//!
//! WAL mode with `synchronous = FULL`: what we answered is on disk. One process owns the file (a lock file beside it
//! says so), one connection writes, a few read. The writer is replaced after a transaction that it could not end. Since
//! there is nobody else, everybody who asks for a lease gets it, it holds until the process ends, and no statement asks
//! for it.

mod coordination;
mod decision_log;
mod inbox;
mod journal;
mod knowledge;
mod ledger;
mod notices;
mod overview;
mod place;

use std::{
    fs::{File, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Notify;

use super::{
    Error, Knowledge, OpenError, Store, decision_log::take_in_all, inbox::Queue, knowledge::WRITE_CHECK,
    migrations, prune,
};

/// Readers for the API and the planner's inputs; a pass reads one query at a time, so a few are plenty.
const READERS: u32 = 4;

/// So many rows a connection reads ahead. Each time that it waits for us, or we for it, takes as long as to read dozens
/// of rows, and whoever comes on call waits until the ledger is read.
const ROWS_AT_ONCE: usize = 1_000;

/// The store in a file.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    reader: SqlitePool,
    queue: Queue,
    news: Arc<Notify>,
    /// Held for as long as the store is open; the operating system lets go of it when the process dies.
    _lock: Option<Arc<File>>,
}

impl Sqlite {
    /// Opens the file as its only owner, makes it if need be, and brings the schema up to date.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        place::warn_of_unsuitable(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .row_buffer_size(ROWS_AT_ONCE)
            // Keeps the log file from staying as large as its largest burst.
            .pragma("journal_size_limit", "16777216");
        let place = || path.display().to_string();
        let failed = |reason| OpenError::Database { place: place(), reason };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            // A connection to a file is not lost; asking each time would keep the deliveries waiting.
            .test_before_acquire(false)
            .after_release(|connection, _| Box::pin(is_clean(connection)))
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        let steps = migrations::sqlite();
        steps.run(&writer).await.map_err(|reason| migrations::failed(place(), &steps, reason))?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(failed)?;
        let store = Self { _lock: Some(Arc::new(lock)), ..Self::on(writer, reader) };
        take_in_all(&store).await;
        Ok(store)
    }

    /// Opens the file read-only, beside the process that owns it. If there is no file, this is an empty store.
    pub async fn open_beside(path: &Path) -> Result<Self, OpenError> {
        let failed = |reason| OpenError::Database { place: path.display().to_string(), reason };
        if !path.exists() {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            tracing::warn!(
                "there is no store at {}, so nothing is known of what was granted before; if a service runs, start this \
                 in its working directory, or give store.url an absolute path",
                absolute.display(),
            );
            return Self::in_memory().await.map_err(failed);
        }
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5)).read_only(true);
        let reader =
            SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)?;
        Ok(Self::on(reader.clone(), reader))
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
        migrations::sqlite().run(&pool).await?;
        Ok(Self::on(pool.clone(), pool))
    }

    fn on(writer: SqlitePool, reader: SqlitePool) -> Self {
        let queue = Queue::start(inbox::Writer(writer.clone()));
        Self { writer, reader, queue, news: Arc::default(), _lock: None }
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn check_writable(&self, now: DateTime<Utc>) -> Result<(), Error> {
        self.queue.check()?;
        self.set_fact(WRITE_CHECK, &now.to_rfc3339(), None).await
    }

    async fn prune(&self, before: DateTime<Utc>, keys_before: DateTime<Utc>) -> Result<bool, Error> {
        let mut more = false;
        for (statement, limit) in prune::step(before, keys_before) {
            let done = sqlx::query(statement).bind(limit).execute(&self.writer).await?;
            more |= done.rows_affected() >= prune::STEP;
        }
        Ok(more)
    }

    async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
    }

    fn news(&self) -> &Notify {
        &self.news
    }
}

/// Whether the pool may hand the writer out again. A full or failing disk makes SQLite end a transaction by itself, and
/// the rollback that follows fails; the driver then takes the connection to be inside a transaction for ever.
async fn is_clean(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // Answered after the rollback of a transaction that was dropped.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

fn lock(path: &Path) -> Result<File, OpenError> {
    // Not the database file itself: SQLite's own locks on it are lost when any handle to it is closed.
    let lock_path = PathBuf::from(format!("{}.lock", path.display()));
    let failed = |source| OpenError::Lock { path: lock_path.clone(), source };
    let private = || File::options().create(true).append(true).mode(0o600).clone();
    let file = private().open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            // It holds names and addresses, and SQLite would make it readable for everyone. It is closed again before
            // SQLite opens it.
            drop(private().open(path).map_err(|source| OpenError::Lock { path: path.to_owned(), source })?);
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
