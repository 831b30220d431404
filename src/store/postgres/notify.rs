//! Wake-ups from other replicas, by LISTEN and NOTIFY. They save time and nothing else: whoever waits for news also polls
//! the store now and then.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{sync::Notify, time::timeout};

use super::session::{self, CONNECT_WITHIN, Session};
use crate::store::Error;

/// The channel; each database has its own.
const CHANNEL: &str = "oncall_grants_news";
/// The pause after the connection was lost; until then, polling must do.
const PAUSE: Duration = Duration::from_secs(2);
/// A connection that is silent for longer is asked whether it still lives: one that was cut off would stay silent.
const SILENCE: Duration = Duration::from_secs(30);

/// Tells all replicas, once the transaction is committed.
pub(super) async fn tell(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(connection).await?;
    Ok(())
}

/// Passes wake-ups on, over a connection of its own, until `pool` is closed.
pub(super) fn listen(pool: PgPool, options: PgConnectOptions, news: Arc<Notify>) {
    tokio::spawn(async move {
        let mut closed = std::pin::pin!(pool.close_event());
        let listening = async {
            loop {
                match AssertUnwindSafe(pass_on(&options, &news)).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::debug!(error, "lost the wake-ups of other replicas");
                    }
                    Err(_) => {
                        tracing::error!("waiting for wake-ups of other replicas panicked; it begins again");
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = &mut closed => {}
            () = listening => {}
        }
    });
}

async fn pass_on(options: &PgConnectOptions, news: &Notify) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_WITHIN)
        .after_connect(|connection, _| Box::pin(session::begin(connection, Session::Work)));
    let mut listener = PgListener::connect_with(&pool.connect_lazy_with(options.clone())).await?;
    listener.listen(CHANNEL).await?;
    loop {
        if let Ok(received) = timeout(SILENCE, listener.try_recv()).await {
            // Nothing means that the connection was lost and found again: something may have been missed.
            received?;
            news.notify_waiters();
        } else {
            let asked = timeout(CONNECT_WITHIN, sqlx::query("SELECT 1").execute(&mut listener)).await;
            asked.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        }
    }
}
