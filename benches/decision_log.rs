//! What the decision log costs: how long it takes to write an audit entry with its number and its hash, and without, as the
//! version before did; by one writer and by four at once (no process has more writes to strongDM under way), on SQLite and
//! on PostgreSQL, every commit on disk. Both kinds take turns within one run, so that they share the load of the machine.
//!
//! `cargo bench --bench decision_log`, with `BENCH_ENTRIES` (default 400), for each writer and kind.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use oncall_grants::{
    clock,
    model::{AuditAction, AuditOutcome, Grant, KubernetesGroups, Window},
    store::{AuditEntry, SharedStore, postgres::Postgres, sqlite::Sqlite},
};
use sqlx::{
    PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

mod on_disk;
#[path = "../tests/it/support/postgres.rs"]
mod postgres;

/// Each kind is measured so often, one after the other.
const TURNS: usize = 10;

/// What the version before writes: no number, no hash, no lock.
const PLAIN: &str = "INSERT INTO audit (at_ms, action, outcome, granted, reason, cause, pass_id)
    VALUES ($1, 'create', 'done', $2, 'because', 'manual', 'pass')";

/// Where entries go without a number.
enum Plain {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Numbered,
}

struct Subject {
    name: &'static str,
    store: SharedStore,
    plain: Plain,
    entry: AuditEntry,
    granted: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let entries = env::var("BENCH_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    // Beside the sources: the folder for what is temporary may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let database = postgres::Database::create().await;
    on_disk::keep(&database).await?;
    let path = folder.path().join("bench.db");
    let file: SharedStore = Arc::new(Sqlite::open(&path).await?);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(30));
    let sqlite = Plain::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?);
    let url = database.url.as_str();
    let server: SharedStore = Arc::new(Postgres::open(url).await?);
    let postgres = Plain::Postgres(PgPoolOptions::new().max_connections(8).connect(url).await?);
    println!(
        "{:<12}{:>8}{:>22}{:>22}{:>8}",
        "", "writers", "without, median ms", "numbered, median ms", "ratio"
    );
    for (name, store, plain) in [("SQLite", file, sqlite), ("PostgreSQL", server, postgres)] {
        let entry = entry()?;
        let granted = serde_json::to_string(&entry.grant)?;
        let subject = Subject { name, store, plain, entry, granted };
        for writers in [1, 4] {
            subject.compare(writers, entries).await?;
        }
    }
    Ok(())
}

impl Subject {
    async fn compare(&self, writers: usize, entries: usize) -> anyhow::Result<()> {
        let (mut plain, mut numbered) = (Vec::new(), Vec::new());
        let each = (entries / TURNS).max(1);
        for _ in 0..TURNS {
            plain.extend(self.measure(Kind::Plain, writers, each).await?);
            numbered.extend(self.measure(Kind::Numbered, writers, each).await?);
        }
        let [plain, numbered] = [plain, numbered].map(median);
        println!("{:<12}{writers:>8}{plain:>22.2}{numbered:>22.2}{:>8.2}", self.name, numbered / plain);
        Ok(())
    }

    /// How long each of so many entries took, of each of so many writers at once.
    async fn measure(&self, kind: Kind, writers: usize, entries: usize) -> anyhow::Result<Vec<Duration>> {
        let writer = async |_| {
            let mut took = Vec::new();
            for _ in 0..entries {
                let began = Instant::now();
                match kind {
                    Kind::Plain => self.write_plain().await?,
                    Kind::Numbered => self.store.audit(&self.entry).await?,
                }
                took.push(began.elapsed());
            }
            Ok::<_, anyhow::Error>(took)
        };
        Ok(try_join_all((0..writers).map(writer)).await?.concat())
    }

    async fn write_plain(&self) -> sqlx::Result<()> {
        let at = self.entry.at.timestamp_millis();
        match &self.plain {
            Plain::Sqlite(pool) => {
                sqlx::query(PLAIN).bind(at).bind(&self.granted).execute(pool).await?;
            }
            Plain::Postgres(pool) => {
                sqlx::query(PLAIN).bind(at).bind(&self.granted).execute(pool).await?;
            }
        }
        Ok(())
    }
}

/// In milliseconds.
fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1000.0
}

fn entry() -> anyhow::Result<AuditEntry> {
    let now = clock::now();
    let grant = Grant {
        id: Some("ag-1".into()),
        email: "ana@example.com".parse()?,
        name: None,
        account_id: "a-1".into(),
        resource: "prod-postgres".to_owned(),
        resource_id: "rs-1".into(),
        window: Window::new(now, now + chrono::TimeDelta::hours(8)).expect("eight hours"),
        kubernetes_groups: KubernetesGroups::default(),
        rules: vec!["prod database".to_owned()],
    };
    Ok(AuditEntry {
        at: now,
        action: AuditAction::Create,
        outcome: AuditOutcome::Done,
        grant,
        reason: "rule \"prod database\": user PA1NAL7 is on call for schedule PI7DH85".to_owned(),
        trigger: "webhook".to_owned(),
        pass_id: "01a227c6-6c20-779b-9e11-7cfbe93116f6".to_owned(),
    })
}
