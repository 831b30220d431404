//! The store in PostgreSQL, for any number of replicas.
//!
//! Each replica keeps a small pool. Nothing waits for ever: getting a connection, each statement, each call of this
//! module and an idle transaction all have a limit, so that a server that is gone, frozen or cut off turns into an
//! error, and the next call finds it again when it is back. Rows that several transactions write are always locked
//! in the same order: event keys, marks, deliveries, each sorted.
//!
//! Connect to the server itself or through a pooler in session mode: prepared statements and LISTEN need one session.

mod coordination;
mod inbox;
mod journal;
mod knowledge;
mod ledger;
mod notify;

use std::{str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::Notify, time::timeout};

use super::{Error, Lease, OpenError, Store, inbox::Queue, knowledge::TRY_TO_WRITE, migrations, prune};

/// One writes deliveries, one keeps the lease, four write grants, and the API shares the rest; one more, outside of the
/// pool, listens. Ten replicas stay below the hundred connections that a server allows by default.
const CONNECTIONS: u32 = 8;
/// Getting a connection: a healthy server takes milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// One call of this module. The server gives up on a statement before that; this limit is for a server that does not
/// answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Checking whether a connection is still good; several may have to be tried while getting one.
const CHECK_WITHIN: Duration = Duration::from_millis(500);

/// The store in a database.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    queue: Queue,
    news: Arc<Notify>,
    /// Tells this replica's leases from those of others.
    owner: Arc<str>,
}

impl Postgres {
    /// Connects, and brings the schema up to date; replicas that start together do so one after the other.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let options = options(url)?;
        let place = place(&options);
        let failed = |reason| OpenError::Database { place: place.clone(), reason };
        // Neither waiting for another replica's migration nor a long one is a statement that hangs.
        let unlimited = options.clone().options([("statement_timeout", "0"), ("lock_timeout", "0")]);
        let migrating = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_WITHIN);
        let migrating = match migrating.connect_with(unlimited).await {
            Ok(migrating) => migrating,
            Err(error) => return Err(failed(cause(options, error).await)),
        };
        let migrated = migrations::postgres().run(&migrating).await;
        migrated.map_err(|reason| OpenError::Migration { place: place.clone(), reason })?;
        migrating.close().await;
        let pool = pool(options.clone()).await.map_err(failed)?;
        let store = Self::on(pool);
        notify::listen(store.pool.clone(), options, Arc::clone(&store.news));
        Ok(store)
    }

    /// Connects to read only. None if there is no store in that database yet.
    pub async fn open_beside(url: &str) -> Result<Option<Self>, OpenError> {
        let options = options(url)?.options([("default_transaction_read_only", "on")]);
        let place = place(&options);
        let failed = |reason| OpenError::Database { place: place.clone(), reason };
        let pool = match pool(options.clone()).await {
            Ok(pool) => pool,
            Err(error) => return Err(failed(cause(options, error).await)),
        };
        let row = sqlx::query("SELECT to_regclass('leases') IS NOT NULL AS there");
        let row = row.fetch_one(&pool).await.map_err(failed)?;
        let there: bool = row.try_get("there").map_err(failed)?;
        Ok(there.then(|| Self::on(pool)))
    }

    fn on(pool: PgPool) -> Self {
        let queue = Queue::start(inbox::Writer(pool.clone()));
        let owner = uuid::Uuid::now_v7().to_string().into();
        Self { pool, queue, news: Arc::default(), owner }
    }
}

#[async_trait]
impl Store for Postgres {
    async fn check_writable(&self) -> Result<(), Error> {
        self.queue.check()?;
        within(async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query(TRY_TO_WRITE).execute(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(())
        })
        .await
    }

    async fn prune(&self, before: DateTime<Utc>, keys_before: DateTime<Utc>) -> Result<bool, Error> {
        let mut more = false;
        for (statement, limit) in prune::step(before, keys_before) {
            let done = within(async { Ok(sqlx::query(statement).bind(limit).execute(&self.pool).await?) });
            more |= done.await?.rows_affected() >= prune::STEP;
        }
        Ok(more)
    }

    async fn close(&self) {
        self.pool.close().await;
    }

    fn news(&self) -> &Notify {
        &self.news
    }
}

fn options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let failed = |reason| OpenError::Database { place: "in PostgreSQL".to_owned(), reason };
    let options = PgConnectOptions::from_str(url).map_err(failed)?;
    Ok(options.application_name("oncall-grants").disable_statement_logging().options([
        // Below ANSWER_WITHIN, so that the server's own word arrives.
        ("statement_timeout", "8s"),
        ("lock_timeout", "5s"),
        // A replica that freezes inside a transaction must not keep its locks.
        ("idle_in_transaction_session_timeout", "10s"),
        // The server finds out within a minute that a replica is gone.
        ("tcp_keepalives_idle", "20"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
    ]))
}

/// Names the database to people, without the password.
fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgres://{}:{}/{database}", options.get_host(), options.get_port())
}

async fn pool(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_WITHIN)
        .idle_timeout(Duration::from_mins(5))
        .max_lifetime(Duration::from_mins(30))
        // The pool's own checks wait without a limit of their own; connections that were cut off would occupy their
        // places for long, and each would cost whoever is handed it all the time there is.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(check(connection)))
        .after_release(|connection, _| Box::pin(check(connection)))
        .after_connect(|connection, _| Box::pin(commit_to_disk(connection)))
        .connect_with(options)
        .await
}

/// What we answered must be on disk, even where the server by default confirms a commit before it is.
async fn commit_to_disk(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let statement = "SELECT set_config('synchronous_commit', 'on', false)
                     WHERE current_setting('synchronous_commit') = 'off'";
    let setting = timeout(CONNECT_WITHIN, sqlx::query(statement).execute(connection)).await;
    setting.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(drop)
}

/// Why there is no connection, in the system's or the server's words. A pool tries again for a while and then says only
/// that it waited.
async fn cause(options: PgConnectOptions, error: sqlx::Error) -> sqlx::Error {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error;
    }
    match timeout(CONNECT_WITHIN, options.connect()).await {
        Ok(Err(cause)) => cause,
        Ok(Ok(_)) | Err(_) => error,
    }
}

async fn check(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match timeout(CHECK_WITHIN, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Gives up on a server that does not answer.
async fn within<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(ANSWER_WITHIN, work).await.unwrap_or(Err(Error::Slow))
}

/// Whether the lease is still ours; if so, nobody can take it before this transaction ends.
async fn is_held(connection: &mut PgConnection, lease: &Lease) -> Result<bool, Error> {
    let row = sqlx::query(
        "SELECT 1 FROM leases WHERE name = $1 AND token = $2 AND until > clock_timestamp() FOR SHARE",
    );
    let row = row.bind(lease.duty.as_str()).bind(lease.token).fetch_optional(connection).await?;
    Ok(row.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_refuses_is_told_as_that_and_without_the_password() {
        let url = "postgres://ops:pa55word@127.0.0.1:1/grants";
        let own = Postgres::open(url).await.map(drop).unwrap_err().to_string();
        let beside = Postgres::open_beside(url).await.map(drop).unwrap_err().to_string();
        assert_eq!(own, beside);
        assert!(
            own.starts_with("cannot open the store postgres://127.0.0.1:1/grants: Connection refused"),
            "{own}"
        );
    }
}
