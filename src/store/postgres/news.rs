//! Wake-ups from other replicas, by LISTEN and NOTIFY. They save time and nothing else: who waits for news also looks
//! by itself now and then.

use std::{sync::Arc, time::Duration};

use sqlx::{PgConnection, PgPool, postgres::PgListener};
use tokio::sync::Notify;

use crate::store::Error;

/// The channel; each database has its own.
const CHANNEL: &str = "oncall_grants_news";
/// After the connection was lost; until then, looking now and then must do.
const PAUSE: Duration = Duration::from_secs(2);

/// Tells all replicas, once the transaction is committed.
pub(super) async fn tell(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(connection).await?;
    Ok(())
}

/// Passes wake-ups on until the pool is closed.
pub(super) fn listen(pool: PgPool, news: Arc<Notify>) {
    tokio::spawn(async move {
        while !pool.is_closed() {
            if let Err(error) = pass_on(&pool, &news).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "lost the wake-ups of other replicas"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

async fn pass_on(pool: &PgPool, news: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Nothing means that the connection was lost and found again: something may have been missed.
        listener.try_recv().await?;
        news.notify_waiters();
    }
}
