//! What the store promises, whatever the database behind it: every promise is tried on SQLite and on PostgreSQL; then
//! what only one of them has.

mod coordination;
mod decision_log;
mod deliveries;
mod grants;
mod knowledge;
mod migrations;
mod overview;
mod postgres;
#[path = "../it/support/postgres.rs"]
mod postgres_server;
mod sqlite;
mod upgrade;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use oncall_grants::{
    model::{
        AccountId, AuditAction, AuditOutcome, Cause, Grant, GrantId, KubernetesGroups, LedgerRow, Mark,
        NewGrant, ResourceId, Source, Window,
    },
    store::{
        Accepted, AuditEntry, Delivery, DirtyMark, Duty, Error, Lease, SharedStore, postgres::Postgres,
        sqlite::Sqlite,
    },
};

use crate::postgres_server::Database;

/// Long enough that no lease of a test ends by itself.
const LONG: Duration = Duration::from_mins(10);

/// Runs each function with an empty store, once on each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::in_memory().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                let database = crate::Database::create().await;
                super::$name(crate::replica(&database).await).await;
            })*
        }
    };
}
pub(crate) use on_both;

async fn in_memory() -> SharedStore {
    Arc::new(Sqlite::in_memory().await.unwrap())
}

/// One more process on the database.
async fn replica(database: &Database) -> SharedStore {
    Arc::new(Postgres::open(database.url.as_str()).await.unwrap())
}

async fn lease(store: &SharedStore) -> Lease {
    store.try_lease(Duty::Passes, LONG, "").await.unwrap().expect("nobody else has it")
}

async fn dirty(store: &SharedStore) -> Vec<DirtyMark> {
    store.workload().await.unwrap().dirty
}

async fn marks(store: &SharedStore) -> BTreeSet<Mark> {
    dirty(store).await.into_iter().map(|dirty| dirty.mark).collect()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn mark(id: &str) -> Mark {
    Mark::Source(Source::Schedule(id.into()))
}

fn delivery(key: &str, marks: &[&str]) -> Delivery {
    Delivery {
        key: key.to_owned(),
        received_at: at(0),
        event_id: Some(key.to_owned()),
        event_type: Some("incident.triggered".to_owned()),
        webhook_id: None,
        subscription: None,
        marks: marks.iter().map(|id| mark(id)).collect(),
    }
}

fn new_grant() -> NewGrant {
    let cause = Cause {
        rule: "r".to_owned(),
        source: Source::Schedule("P1".into()),
        user: "U1".into(),
        address: Some("u1@pd.example".to_owned()),
        through: Some("P1".into()),
        policy: None,
        level: Some(1),
        shift_start: Some(at(0)),
        shift_end: Some(at(100)),
        incident: None,
    };
    let grant = Grant {
        id: None,
        email: "ana@example.com".parse().unwrap(),
        name: None,
        account_id: AccountId::from("a-1"),
        resource: "db".to_owned(),
        resource_id: ResourceId::from("rs-1"),
        window: Window::new(at(0), at(100)).unwrap(),
        kubernetes_groups: KubernetesGroups::default(),
        rules: vec!["r".to_owned()],
    };
    NewGrant { grant, causes: vec![cause] }
}

/// A row whose grant is about to be made.
async fn intended(store: &SharedStore, lease: &Lease) -> LedgerRow {
    store.intend_create(lease, &new_grant(), at(0)).await.unwrap().expect("the lease is held")
}

/// A row whose grant was made, with this ID.
async fn live(store: &SharedStore, lease: &Lease, id: &str) -> LedgerRow {
    let row = intended(store, lease).await;
    let grant = new_grant().grant;
    store.settle_created(row, &GrantId::from(id), &grant.window.into(), &audit(&grant)).await.unwrap();
    row
}

/// The pass that served each delivery, the newest first.
async fn passes(store: &SharedStore) -> Vec<String> {
    let rows = store.delivery_page(10, None).await.unwrap().items;
    rows.into_iter().map(|row| row.pass_id.unwrap_or_else(|| "none".to_owned())).collect()
}

/// How many deliveries were new, and how many known already.
fn new_and_known(outcomes: &[Result<Accepted, Error>]) -> (usize, usize) {
    let count = |wanted| outcomes.iter().filter(|got| got.as_ref().is_ok_and(|got| *got == wanted)).count();
    (count(Accepted::New), count(Accepted::Duplicate))
}

fn audit(grant: &Grant) -> AuditEntry {
    AuditEntry {
        at: at(1),
        action: AuditAction::Create,
        outcome: AuditOutcome::Done,
        grant: grant.clone(),
        reason: "because".to_owned(),
        trigger: "manual".to_owned(),
        pass_id: "pass".to_owned(),
    }
}
