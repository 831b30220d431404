//! A database that the version before wrote goes on; and that version, which may run beside this one or be started again,
//! finds what it knows.

use std::{collections::BTreeSet, sync::Arc};

use oncall_grants::{
    model::{AuditAction, FollowUps, Grant, GrantId, Links, Mark, PassCounts, Retries, SecondGrant, Source},
    store::{Accepted, Backlog, Fact, GrantQuery, SharedStore, State, Store, Timetable, sqlite::Sqlite},
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{
    at, audit, delivery, dirty, lease, mark, marks, new_grant, passes, postgres_server::Database, replica,
};

/// The schema is made by the steps that made it then: `migrations.rs` tries that they are the same.
const WRITTEN: &str = include_str!("fixtures/previous.sql");

/// What the version before asks for.
const THEIR_FACTS: &str = "SELECT value FROM facts WHERE name IN ('second_grant', 'picture') ORDER BY name";
const THEIR_LINKS: &str = "SELECT schedule_id || ' ' || policy_id FROM links ORDER BY schedule_id";
const THEIR_STATES: &str = "SELECT DISTINCT state FROM grants ORDER BY state";

const SECOND_GRANT: Fact<SecondGrant> = Fact::named("second_grant");
const PICTURE: Fact<Value> = Fact::named("picture");

#[tokio::test]
async fn a_file_of_the_version_before_goes_on_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    Sqlite::open(&path).await.unwrap().close().await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::raw_sql(WRITTEN).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let store: SharedStore = Arc::new(Sqlite::open(&path).await.unwrap());
    what_was_known_is_known(&store).await;
    it_goes_on(&store).await;
    store.close().await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let mut theirs = Vec::new();
    for statement in [THEIR_FACTS, THEIR_LINKS, THEIR_STATES] {
        theirs.push(sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap());
    }
    they_find_what_they_know(&theirs);
}

#[tokio::test]
async fn a_database_of_the_version_before_goes_on_and_back() {
    let database = Database::create().await;
    replica(&database).await.close().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql(WRITTEN).execute(&mut connection).await.unwrap();

    let store = replica(&database).await;
    what_was_known_is_known(&store).await;
    it_goes_on(&store).await;
    let mut theirs = Vec::new();
    for statement in [THEIR_FACTS, THEIR_LINKS, THEIR_STATES] {
        theirs.push(sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap());
    }
    they_find_what_they_know(&theirs);
}

async fn what_was_known_is_known(store: &SharedStore) {
    assert_eq!(store.backlog().await.unwrap(), Backlog { deliveries: 1, since: Some(at(1)) });
    assert_eq!(marks(store).await, BTreeSet::from([mark("A")]));
    assert_eq!(passes(store).await, ["none", "pass-1", "pass-0"]);

    let ledger = store.ledger(at(0)).await.unwrap();
    let states: Vec<State> = ledger.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Live, State::Creating, State::Lost, State::Revoking], "the others are over");
    assert_eq!(ledger[0].own.causes[1].source, Source::Policy("B".into()));
    assert_eq!(ledger[0].own.grant.rules, ["r", "s"]);
    let past = GrantQuery { ended: true, ..GrantQuery::default() };
    let ids = async |which: &GrantQuery| -> Vec<String> {
        let grants = store.grants(at(0), which).await.unwrap();
        grants.iter().filter_map(|grant| Some(grant.id.as_ref()?.to_string())).collect()
    };
    assert_eq!(ids(&GrantQuery::default()).await, ["ag-live", "ag-back"]);
    assert_eq!(ids(&past).await, ["ag-over", "ag-live", "ag-back", "ag-gone"]);
    let audit = store.audit_page(10, None).await.unwrap().items;
    assert!(audit[0].action.is(AuditAction::Vanish) && audit[1].action.is(AuditAction::Create));
    let granted: Grant = serde_json::from_str(audit[1].grant.get()).unwrap();
    assert_eq!(granted, ledger[0].own.grant);
    assert_eq!(store.last_passes(1).await.unwrap(), [r#"{"pass_id":"pass-1"}"#]);

    let (foreign, first_seen) = store.foreign_grants().await.unwrap().remove(0);
    assert_eq!((foreign.id.as_str(), first_seen), ("ag-theirs", at(-1000)));
    assert_eq!(store.refusals(at(4)).await.unwrap()[0].until, at(8), "its second refusal, of 4");
    let lesson = SECOND_GRANT.read(store, at(0)).await.unwrap();
    assert_eq!(lesson, Some(SecondGrant::RefusedIfOverlapping));
    assert_eq!(PICTURE.read(store, at(0)).await.unwrap(), Some(json!({"full_at": "2027-01-15T08:00:00Z"})));
    assert_eq!(store.links().await.unwrap(), Links::from_iter([("A".into(), "B".into())]));
    let Timetable {
        last_full,
        wake,
        failures,
        retry_at,
        verified_at: _,
        counts,
        second_look,
        retries,
        follow_ups,
    } = store.workload().await.unwrap().timetable;
    assert_eq!((last_full, wake), (Some(at(0) + chrono::TimeDelta::milliseconds(500)), Some(at(3600))));
    assert_eq!((failures, retry_at, second_look, retries), (2, Some(at(4)), None, Retries::new()));
    let known = PassCounts { held: 1, grants: 2, last_complete: Some(at(-3600)), ..PassCounts::default() };
    assert_eq!((counts, follow_ups), (known, FollowUps::new()));
}

async fn it_goes_on(store: &SharedStore) {
    let lease = lease(store).await;
    assert_eq!(store.accept(delivery("id:e1", &["A"])).await.unwrap(), Accepted::Duplicate);
    assert_eq!(store.accept(delivery("id:e3", &["A"])).await.unwrap(), Accepted::New);
    let seen = dirty(store).await;
    assert!(store.clear_dirty(&lease, &seen, at(2), "pass-2").await.unwrap());
    store.mark(&Mark::Everything).await.unwrap();

    let ledger = store.ledger(at(2)).await.unwrap();
    let creating = ledger.iter().find(|entry| entry.state == State::Creating).unwrap().own.row;
    let grant = new_grant().grant;
    assert!(
        store.settle_created(creating, &"ag-new".into(), &grant.window.into(), &audit(&grant)).await.unwrap()
    );
    assert!(store.intend_revoke(&lease, ledger[0].own.row).await.unwrap());
    let gone = GrantId::from("ag-gone");
    assert_eq!(store.reopen(&gone, at(2)).await.unwrap().and_then(|grant| grant.id), Some(gone));
    store.remember_refusal(&new_grant().grant.pair(), at(2)).await.unwrap();
    SECOND_GRANT.write(store, &SecondGrant::Refused, Some(at(100))).await.unwrap();
    PICTURE.write(store, &json!({"full_at": null}), None).await.unwrap();
    store.set_links(&Links::from_iter([("C".into(), "D".into())])).await.unwrap();
    assert!(store.set_timetable(&lease, &Timetable::default()).await.unwrap());
    store.release(&lease).await.unwrap();
}

fn they_find_what_they_know(theirs: &[Vec<String>]) {
    assert_eq!(theirs[0], [r#"{"full_at":null}"#, r#""refused""#]);
    assert_eq!(theirs[1], ["C D"]);
    assert_eq!(theirs[2], ["live", "lost", "revoking"], "no word that they cannot read");
}

/// What a later version might write, or somebody by hand.
const MEDDLED: &str = r#"
    UPDATE grants SET state = 'parked' WHERE grant_id = 'ag-live';
    UPDATE grants SET causes = '{"in": "another form"}' WHERE state = 'creating';
    UPDATE grants SET email = 'nobody' WHERE state = 'revoking';
    UPDATE grants SET start_at = end_at WHERE state = 'ended';
    UPDATE agenda SET standing = '[]';
    UPDATE audit SET granted = 'no JSON' WHERE action = 'create';
"#;

#[tokio::test]
async fn rows_of_a_file_that_cannot_be_read_hide_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let store: SharedStore = Arc::new(Sqlite::open(&path).await.unwrap());
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    for statements in [WRITTEN, MEDDLED] {
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    }
    only_what_can_be_read_is_read(&store).await;
    // A column of SQLite holds what it is given.
    let mistyped = "UPDATE grants SET start_at = 'soon' WHERE state = 'lost'";
    sqlx::raw_sql(mistyped).execute(&mut connection).await.unwrap();
    let open = store.open_rows(at(0)).await.unwrap();
    assert_eq!((open.entries.len(), open.unreadable[2].pair.account.as_str()), (0, "a-3"));
}

#[tokio::test]
async fn rows_of_a_database_that_cannot_be_read_hide_no_other() {
    let database = Database::create().await;
    let store = replica(&database).await;
    for statements in [WRITTEN, MEDDLED] {
        sqlx::raw_sql(statements).execute(&mut database.connect().await).await.unwrap();
    }
    only_what_can_be_read_is_read(&store).await;
}

async fn only_what_can_be_read_is_read(store: &SharedStore) {
    let open = store.open_rows(at(0)).await.unwrap();
    let states: Vec<State> = open.entries.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Lost]);
    let unreadable: Vec<_> = open.unreadable.iter().map(|row| row.pair.to_string()).collect();
    assert_eq!(unreadable, ["a-1 on rs-1", "a-2 on rs-1", "a-4 on rs-1"]);
    assert!(open.unreadable[0].error.contains("grant state") && open.unreadable[0].error.contains("parked"));
    let past = GrantQuery { ended: true, ..GrantQuery::default() };
    assert_eq!(store.grants(at(0), &past).await.unwrap().len(), 1, "the one whose window is over");
    assert_eq!(store.reopen(&GrantId::from("ag-gone"), at(2)).await.unwrap(), None);
    assert_eq!(store.workload().await.unwrap().timetable.counts, PassCounts::default());
    let audit = store.audit_page(10, None).await.unwrap().items;
    assert_eq!((audit.len(), audit[1].grant.get()), (2, r#""no JSON""#));
}
