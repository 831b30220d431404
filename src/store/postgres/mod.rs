//! The store in PostgreSQL, for any number of replicas.
//!
//! Each replica keeps a small pool. Nothing waits for ever: getting a connection, each statement, each call of this
//! module and an idle transaction all have a limit, so that a server that is gone, frozen or cut off turns into an
//! error, and the next call finds it again when it is back. Rows that several transactions write are always locked
//! in the same order: event keys, marks, deliveries, each sorted.
//!
//! Connect to the server itself or through a pooler in session mode: settings, prepared statements and LISTEN need one
//! session. A connection to a server that takes no writes is thrown away: another may have taken its place.

mod coordination;
mod decision_log;
mod inbox;
mod journal;
mod knowledge;
mod ledger;
mod notices;
mod notify;
mod overview;
mod session;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{
    ConnectOptions, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::Notify, time::timeout};

use self::session::{CONNECT_WITHIN, Session};
use super::{
    Error, Knowledge, Lease, OpenError, Store, decision_log::take_in_all, inbox::Queue,
    knowledge::WRITE_CHECK, migrations, prune,
};

/// One writes deliveries, one keeps the lease, four write grants, and the API shares the rest; one more, outside of the
/// pool, listens. Ten replicas stay below the hundred connections that a server allows by default.
const CONNECTIONS: u32 = 8;
/// One call of this module. The server gives up on a statement before that; this limit is for a server that does not
/// answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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
        let migrating = match pool(options.clone(), Session::Migrate).await {
            Ok(migrating) => migrating,
            Err(error) => return Err(failed(cause(options, Session::Migrate, error).await)),
        };
        let steps = migrations::postgres();
        let migrated = steps.run(&migrating).await;
        migrated.map_err(|reason| migrations::failed(place.clone(), &steps, reason))?;
        if let Some(step) = migrations::breaking(&migrating, &steps).await.map_err(failed)? {
            return Err(OpenError::Newer { place, step, known: migrations::newest(&steps) });
        }
        migrating.close().await;
        let pool = pool(options.clone(), Session::Work).await.map_err(failed)?;
        let store = Self::on(pool);
        take_in_all(&store).await;
        notify::listen(store.pool.clone(), options, Arc::clone(&store.news));
        Ok(store)
    }

    /// Connects to read only. None if there is no store in that database yet.
    pub async fn open_beside(url: &str) -> Result<Option<Self>, OpenError> {
        let options = options(url)?;
        let place = place(&options);
        let failed = |reason| OpenError::Database { place: place.clone(), reason };
        let pool = match pool(options.clone(), Session::LookOn).await {
            Ok(pool) => pool,
            Err(error) => return Err(failed(cause(options, Session::LookOn, error).await)),
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
    async fn check_writable(&self, now: DateTime<Utc>) -> Result<(), Error> {
        self.queue.check()?;
        self.set_fact(WRITE_CHECK, &now.to_rfc3339(), None).await
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
    session::options(url).map_err(|reason| OpenError::Database { place: "in PostgreSQL".to_owned(), reason })
}

/// Names the database to people, without the password.
fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgres://{}:{}/{database}", options.get_host(), options.get_port())
}

async fn pool(options: PgConnectOptions, session: Session) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_WITHIN)
        .idle_timeout(Duration::from_mins(5))
        .max_lifetime(Duration::from_mins(30))
        // The pool's own checks wait without a limit of their own; connections that were cut off would occupy their
        // places for long, and each would cost whoever is handed it all the time there is.
        .test_before_acquire(false)
        .before_acquire(move |connection, _| Box::pin(session::check(connection, session)))
        .after_release(move |connection, _| Box::pin(session::check(connection, session)))
        .after_connect(move |connection, _| Box::pin(session::begin(connection, session)))
        .connect_with(options)
        .await
}

/// Why there is no connection, in the system's or the server's words. A pool tries again for a while and then says only
/// that it waited.
async fn cause(options: PgConnectOptions, session: Session, error: sqlx::Error) -> sqlx::Error {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error;
    }
    let connecting = async { session::begin(&mut options.connect().await?, session).await };
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(Err(cause)) => cause,
        Ok(Ok(())) | Err(_) => error,
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
