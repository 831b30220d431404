//! How the schema came to be, step by step; the rules for a step are in the parent's documentation.

use sqlx::{
    PgPool, SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::OpenError;

/// How the description of a step begins that no version before it can live with.
pub(super) const BREAKS: &str = "breaks";

pub(super) fn sqlite() -> Migrator {
    Migrator::with_migrations(vec![
        step(1, "initial", include_str!("migrations/sqlite/0001_initial.sql")),
        step(2, "agenda", include_str!("migrations/sqlite/0002_agenda.sql")),
        step(3, "looks", include_str!("migrations/sqlite/0003_looks.sql")),
        step(4, "second_look", include_str!("migrations/sqlite/0004_second_look.sql")),
        step(5, "pruning", include_str!("migrations/sqlite/0005_pruning.sql")),
        step(6, "own_clocks", include_str!("migrations/sqlite/0006_own_clocks.sql")),
        step(7, "overview", include_str!("migrations/sqlite/0007_overview.sql")),
        step(8, "altered", include_str!("migrations/sqlite/0008_altered.sql")),
        step(9, "incident_parts", include_str!("migrations/sqlite/0009_incident_parts.sql")),
        step(10, "kubernetes_groups", include_str!("migrations/sqlite/0010_kubernetes_groups.sql")),
        step(11, "names", include_str!("migrations/sqlite/0011_names.sql")),
        step(12, "decision_log", include_str!("migrations/sqlite/0012_decision_log.sql")),
        step(13, "notices", include_str!("migrations/sqlite/0013_notices.sql")),
        step(14, "endpoint_health", include_str!("migrations/sqlite/0014_endpoint_health.sql")),
        step(15, "ledger_version", include_str!("migrations/sqlite/0015_ledger_version.sql")),
    ])
}

/// Runs also where a newer version has already added steps.
pub(super) fn postgres() -> Migrator {
    let mut migrator = Migrator::with_migrations(vec![
        step(1, "initial", include_str!("migrations/postgres/0001_initial.sql")),
        step(2, "looks", include_str!("migrations/postgres/0002_looks.sql")),
        step(3, "second_look", include_str!("migrations/postgres/0003_second_look.sql")),
        step(4, "pruning", include_str!("migrations/postgres/0004_pruning.sql")),
        step(5, "own_clocks", include_str!("migrations/postgres/0005_own_clocks.sql")),
        step(6, "overview", include_str!("migrations/postgres/0006_overview.sql")),
        step(7, "altered", include_str!("migrations/postgres/0007_altered.sql")),
        step(8, "incident_parts", include_str!("migrations/postgres/0008_incident_parts.sql")),
        step(9, "kubernetes_groups", include_str!("migrations/postgres/0009_kubernetes_groups.sql")),
        step(10, "names", include_str!("migrations/postgres/0010_names.sql")),
        step(11, "decision_log", include_str!("migrations/postgres/0011_decision_log.sql")),
        step(12, "notices", include_str!("migrations/postgres/0012_notices.sql")),
        step(13, "endpoint_health", include_str!("migrations/postgres/0013_endpoint_health.sql")),
    ]);
    migrator.set_ignore_missing(true);
    migrator
}

/// Why the schema of a store could not be brought up to date.
pub(super) fn failed(place: String, known: &Migrator, reason: MigrateError) -> OpenError {
    match reason {
        MigrateError::VersionMissing(step) if step > newest(known) => {
            OpenError::Newer { place, step, known: newest(known) }
        }
        reason => OpenError::Migration { place, reason },
    }
}

/// The first step after those that are known which they do not allow for.
pub(super) async fn breaking(pool: &PgPool, known: &Migrator) -> Result<Option<i64>, sqlx::Error> {
    let step =
        "SELECT min(version) FROM _sqlx_migrations WHERE version > $1 AND starts_with(description, $2)";
    sqlx::query_scalar(step).bind(newest(known)).bind(BREAKS).fetch_one(pool).await
}

/// The last step that this version knows.
pub(super) fn newest(known: &Migrator) -> i64 {
    known.iter().map(|step| step.version).max().unwrap_or(0)
}

/// A database keeps version, description and checksum, and refuses to go on where a checksum differs.
fn step(version: i64, description: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
}
