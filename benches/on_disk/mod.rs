//! PostgreSQL as it is in service: every commit on disk.

use crate::postgres::Database;

/// The server of the tests does not wait for the disk; here it must.
pub(crate) async fn keep(database: &Database) -> anyhow::Result<()> {
    if std::env::var_os("TEST_POSTGRES_URL").is_some() {
        return Ok(());
    }
    let mut connection = database.connect().await;
    for statement in ["ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    Ok(())
}
