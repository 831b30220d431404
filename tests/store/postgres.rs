//! What only replicas need: leases, wake-ups, healing, and rolling upgrades.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use oncall_grants::{
    model::{ForeignGrant, GrantId, KubernetesGroups, Mark, Pair, Window},
    store::{Accepted, Duty, Error, Lease, SharedStore, State, Timetable, postgres::Postgres},
};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    LONG, at, audit, delivery, dirty, intended, lease, live, mark, marks, new_and_known, new_grant, passes,
    postgres_server::Database, replica,
};

/// Longer than anything here takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

async fn two() -> (Database, SharedStore, SharedStore) {
    let database = Database::create().await;
    // Both bring the schema up to date at the same time.
    let (one, other) = tokio::join!(replica(&database), replica(&database));
    (database, one, other)
}

async fn run(database: &Database, statement: &str) {
    let mut connection: PgConnection = database.connect().await;
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
}

/// Ends all leases at once, as if their holders had been silent for long.
async fn expire(database: &Database) {
    run(database, "UPDATE leases SET until = clock_timestamp() - interval '1 second'").await;
}

#[tokio::test]
async fn only_one_replica_has_a_duty() {
    let (_database, one, other) = two().await;
    let held = lease(&one).await;
    assert!(!held.was_abandoned());
    assert!(other.try_lease(Duty::Passes, LONG, "").await.unwrap().is_none());
    assert!(one.try_lease(Duty::Passes, LONG, "").await.unwrap().is_none(), "not even the holder itself");
    assert!(other.try_lease(Duty::Housekeeping, LONG, "").await.unwrap().is_some());
    one.release(&held).await.unwrap();
    assert!(!one.renew(&held, LONG).await.unwrap());
    let next = lease(&other).await;
    assert!(!next.was_abandoned(), "it was given back");
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_gets_it() {
    let (_database, one, other) = two().await;
    let asked = (0..20).map(|n| if n % 2 == 0 { &one } else { &other });
    let asked = asked.map(|store| store.try_lease(Duty::Passes, LONG, ""));
    let leases = futures_util::future::join_all(asked).await;
    assert_eq!(leases.into_iter().filter_map(Result::unwrap).count(), 1);
}

#[tokio::test]
async fn an_expired_lease_can_be_taken_and_tells_that_it_was_abandoned() {
    let (database, one, other) = two().await;
    let held = one.try_lease(Duty::Passes, LONG, "at work").await.unwrap().unwrap();
    let note = "SELECT note FROM leases WHERE name = 'passes'";
    let note: String = sqlx::query_scalar(note).fetch_one(&mut database.connect().await).await.unwrap();
    assert_eq!(note, "at work", "for people who look into the database");
    assert!(!other.workload().await.unwrap().abandoned);
    expire(&database).await;
    assert!(other.workload().await.unwrap().abandoned);
    assert!(one.renew(&held, LONG).await.unwrap(), "nobody took it yet");
    expire(&database).await;
    let taken = lease(&other).await;
    assert!(taken.was_abandoned());
    assert!(!one.renew(&held, LONG).await.unwrap());
    one.release(&held).await.unwrap();
    assert!(other.renew(&taken, LONG).await.unwrap(), "the late release changed nothing");
    assert!(!other.workload().await.unwrap().abandoned);
}

#[tokio::test]
async fn who_lost_the_lease_begins_no_write_but_settles_those_begun() {
    let (database, one, other) = two().await;
    let lost = lease(&one).await;
    let there = live(&one, &lost, "ag-1").await;
    let going = live(&one, &lost, "ag-3").await;
    assert!(one.intend_revoke(&lost, going).await.unwrap());
    let begun = intended(&one, &lost).await;
    one.accept(delivery("e1", &["A"])).await.unwrap();
    let seen = dirty(&one).await;
    expire(&database).await;

    let refuses = async |lost: &Lease| {
        assert_eq!(one.intend_create(lost, &new_grant(), at(0)).await.unwrap(), None);
        assert!(!one.intend_revoke(lost, there).await.unwrap());
        one.settle_kept(lost, going).await.unwrap();
        assert!(!one.set_timetable(lost, &Timetable { failures: 9, ..Timetable::default() }).await.unwrap());
        assert!(!one.clear_dirty(lost, &seen, at(1), "pass-1").await.unwrap());
        let window = Window::new(at(0), at(9)).unwrap();
        let foreign = ForeignGrant {
            id: "x".into(),
            pair: Pair { account: "a".into(), resource: "r".into() },
            window,
            groups: KubernetesGroups::default(),
        };
        one.set_foreign_grants(lost, None, &[foreign], at(0)).await.unwrap();
    };
    refuses(&lost).await;
    lease(&other).await;
    refuses(&lost).await;
    assert_eq!(other.workload().await.unwrap().timetable.failures, 0);
    assert_eq!(marks(&other).await, BTreeSet::from([mark("A")]));
    assert!(other.foreign_grants().await.unwrap().is_empty());
    let state = async |row| {
        let ledger = other.ledger(at(1)).await.unwrap();
        ledger.into_iter().find(|entry| entry.own.row == row).map(|entry| entry.state)
    };
    assert_eq!(state(going).await, Some(State::Revoking), "another replica may be at it");

    one.settle_created(
        begun,
        &GrantId::from("ag-2"),
        &new_grant().grant.window.into(),
        &audit(&new_grant().grant),
    )
    .await
    .unwrap();
    assert!(other.is_ours(&GrantId::from("ag-2")).await.unwrap());
}

#[tokio::test]
async fn the_same_event_counts_once_over_all_replicas() {
    let (_database, one, other) = two().await;
    let deliveries = (0..1000).map(|n| {
        let store = if n % 2 == 0 { &one } else { &other };
        // Many marks in many orders: groups that wait for each other in a circle would fail.
        let (a, b) = (format!("A{}", n % 7), format!("A{}", (n * 3) % 5));
        store.accept(delivery(&format!("e{}", n / 2), &[&a, &b]))
    });
    let outcomes = futures_util::future::join_all(deliveries).await;
    assert_eq!(new_and_known(&outcomes), (500, 500));
}

#[tokio::test]
async fn a_mark_wakes_the_other_replica() {
    let (_database, one, other) = two().await;
    let waking = async {
        // The listener may not be there yet, so this asks again and again.
        loop {
            one.mark(&Mark::Everything).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = other.news().notified() => {}
        () = waking => {}
        () = tokio::time::sleep(PATIENCE) => panic!("no news"),
    }
}

#[tokio::test]
async fn lost_connections_heal() {
    let (database, one, _other) = two().await;
    let name = database.url.path().trim_start_matches('/').to_owned();
    for round in 0..3 {
        // With a time limit it answers only once they have ended.
        let end = format!(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity
             WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
        run(&database, &end).await;
        let accepted = one.accept(delivery(&format!("e{round}"), &["A"])).await;
        assert_eq!(accepted.unwrap(), Accepted::New, "the pool notices before it hands the connection out");
    }
}

#[tokio::test]
async fn looking_on_changes_nothing_and_needs_no_schema() {
    let database = Database::create().await;
    assert!(Postgres::open_beside(database.url.as_str()).await.unwrap().is_none());
    let owner = replica(&database).await;
    owner.accept(delivery("e1", &["A"])).await.unwrap();
    let beside: SharedStore = Arc::new(Postgres::open_beside(database.url.as_str()).await.unwrap().unwrap());
    assert!(beside.ledger(at(0)).await.unwrap().is_empty());
    assert!(matches!(beside.mark(&Mark::Everything).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn this_version_starts_on_the_schema_of_a_later_one() {
    let database = Database::create().await;
    replica(&database).await.close().await;
    run(&database, "ALTER TABLE grants ADD COLUMN of_a_later_version TEXT").await;
    run(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', true, '', 0)",
    )
    .await;
    let store = replica(&database).await;
    intended(&store, &lease(&store).await).await;
}

#[tokio::test]
async fn what_a_replica_of_a_version_without_looks_writes_meanwhile_is_served_and_shown() {
    let database = Database::create().await;
    let store = replica(&database).await;
    // Its statements, from before the second migration.
    run(
        &database,
        "INSERT INTO dirty (mark, version, done) VALUES ('schedule:A', 1, 0)
         ON CONFLICT (mark) DO UPDATE SET version = dirty.version + 1",
    )
    .await;
    let insert = |event: &str, pass: &str| {
        format!(
            "INSERT INTO deliveries (received_ms, event_id, status, marks, versions, pass_id)
             VALUES (1, '{event}', 'accepted', '[\"schedule:A\"]', '[1]', {pass})"
        )
    };
    run(&database, &insert("served there", "'its pass'")).await;
    run(&database, &insert("waits", "NULL")).await;
    store.accept(delivery("e3", &["A"])).await.unwrap();
    assert_eq!(passes(&store).await, ["none", "none", "its pass"]);
    let seen = dirty(&store).await;
    store.clear_dirty(&lease(&store).await, &seen, at(1), "ours").await.unwrap();
    assert_eq!(passes(&store).await, ["ours", "ours", "its pass"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let error = Postgres::open("postgres://me:s3cret@127.0.0.1:1/db").await.unwrap_err();
    let error = format!("{:#}", anyhow::Error::from(error));
    assert!(error.contains("127.0.0.1:1/db") && !error.contains("s3cret"), "{error}");
}
