//! Every audit entry is a leaf of a hash tree, whoever wrote it and whatever was removed since; and whoever changes one is
//! found out.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::join_all;
use oncall_grants::{
    evidence::{Checkpoint, Evidence, Flaw, verify},
    model::Grant,
    store::{AuditEntry, LogEntry, SharedStore, sqlite::Sqlite},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

use crate::{at, audit, new_grant, on_both, postgres_server::Database, replica};

on_both!(
    entries_are_numbered_without_a_gap_and_hashed,
    checkpoints_grow_from_each_other_and_older_ones_still_hold,
    pruning_leaves_the_hashes,
);

fn entry(second: i64, reason: &str) -> AuditEntry {
    AuditEntry { at: at(second), reason: reason.to_owned(), ..audit(&new_grant().grant) }
}

async fn write(store: &SharedStore, reasons: &[&str]) {
    for (second, reason) in (1..).zip(reasons) {
        store.audit(&entry(second, reason)).await.unwrap();
    }
}

/// The numbers and reasons of all entries.
async fn entries(store: &SharedStore) -> Vec<(i64, String)> {
    let entries = store.log_entries(1000, 0, at(-1000)).await.unwrap();
    let read = |entry: LogEntry| (entry.number, entry.read().unwrap().reason);
    entries.into_iter().map(read).collect()
}

fn evidence(store: &SharedStore) -> Evidence {
    Evidence::new(store.clone(), None)
}

/// A checkpoint of now, for whoever keeps it.
async fn kept(store: &SharedStore) -> (String, Checkpoint) {
    let made = evidence(store).make(at(0)).await.unwrap();
    ("a file".to_owned(), made.note.parse().unwrap())
}

async fn verified(store: &SharedStore, kept: &[(String, Checkpoint)]) -> Result<i64, String> {
    verify(store, kept, None).await.map(|proof| proof.entries).map_err(|flaw: Flaw| flaw.to_string())
}

async fn entries_are_numbered_without_a_gap_and_hashed(store: SharedStore) {
    assert_eq!(verified(&store, &[]).await, Ok(0));
    write(&store, &["a", "b\0"]).await;
    let lease = crate::lease(&store).await;
    crate::live(&store, &lease, "ag-1").await;
    // What is not written gets no number: the grant is known already.
    let row = crate::intended(&store, &lease).await;
    let Grant { window, .. } = new_grant().grant;
    assert!(!store.settle_created(row, &"ag-1".into(), &window.into(), &entry(3, "again")).await.unwrap());
    store.settle_refused(row, Some(&entry(4, "refused"))).await.unwrap();
    let told = entries(&store).await;
    let reasons = told.iter().map(|(number, reason)| (*number, reason.trim_end_matches(['\0', '\u{fffd}'])));
    assert_eq!(reasons.collect::<Vec<_>>(), [(0, "a"), (1, "b"), (2, "because"), (3, "refused")]);
    assert_eq!(verified(&store, &[]).await, Ok(4));
    let text = store.log_entries(1, 3, at(-1000)).await.unwrap().remove(0).text;
    assert!(text.starts_with(r#"{"action":"create","at":"2027-01-15T08:00:04.000Z","grant":{"account_id":"#));
    assert!(
        text.ends_with(
            r#""number":3,"outcome":"done","pass_id":"pass","reason":"refused","trigger":"manual"}"#
        )
    );
}

async fn checkpoints_grow_from_each_other_and_older_ones_still_hold(store: SharedStore) {
    let (evidence, hour) = (evidence(&store), TimeDelta::hours(1));
    assert_eq!(evidence.add_if_due(at(0), hour).await.unwrap(), None, "there is nothing to tell");
    let mut all = vec![kept(&store).await];
    for second in 0..9 {
        write(&store, &["x"]).await;
        let due = evidence.add_if_due(at(second * 1200), hour).await.unwrap();
        assert_eq!(due.is_some(), second % 3 == 0, "{second}");
        all.push(kept(&store).await);
        assert_eq!(verified(&store, &all).await, Ok(second + 1));
    }
    let newest = evidence.newest(at(0)).await.unwrap();
    assert_eq!((newest.size, newest.at), (7, at(7200)));
    assert!(newest.note.ends_with("=\n\n"), "nobody signed it");
    let none = evidence.add_if_due(at(11_000), hour).await.unwrap().map(|made| made.size);
    assert_eq!(none, Some(9));
    assert_eq!(evidence.add_if_due(at(20_000), hour).await.unwrap(), None, "nothing was added");
}

async fn pruning_leaves_the_hashes(store: SharedStore) {
    for (second, reason) in [(10, "old"), (11, "old"), (50, "young"), (12, "a clock behind")] {
        store.audit(&entry(second, reason)).await.unwrap();
    }
    let before = kept(&store).await;
    while store.prune(at(40), at(40)).await.unwrap() {}
    assert_eq!(entries(&store).await, [(2, "young".to_owned())]);
    write(&store, &["new"]).await;
    assert_eq!(verified(&store, &[before.clone(), kept(&store).await]).await, Ok(5));
    while store.prune(at(100), at(100)).await.unwrap() {}
    assert_eq!(entries(&store).await, []);
    assert_eq!(verified(&store, &[before]).await, Ok(5));
    write(&store, &["next"]).await;
    assert_eq!(entries(&store).await, [(5, "next".to_owned())]);
}

#[tokio::test]
async fn replicas_number_one_after_the_other() {
    let database = Database::create().await;
    let replicas = [replica(&database).await, replica(&database).await, replica(&database).await];
    let writers =
        replicas.iter().enumerate().flat_map(|(at, store)| (0..4).map(move |n| (at * 4 + n, store)));
    join_all(writers.map(async |(writer, store)| {
        for n in 0..25 {
            store.audit(&entry(n, &writer.to_string())).await.unwrap();
        }
    }))
    .await;
    let numbers: Vec<i64> = entries(&replicas[0]).await.into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    assert_eq!(verified(&replicas[1], &[]).await, Ok(300));
}

/// What the version before writes: it knows nothing of numbers.
const THEIR_AUDIT: &str = "INSERT INTO audit (at_ms, action, outcome, granted, reason, cause, pass_id)
    VALUES (1800000000000, 'create', 'done', '{\"id\": \"ag-1\"}', 'one', 'start', 'p'),
      (1800000001000, 'extend', 'done', 'no JSON', 'two', 'start', 'p'),
      (1700000000000, 'revoke', 'done', '{}', 'three', 'start', 'p')";

#[tokio::test]
async fn what_the_version_before_wrote_in_a_file_is_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let store: SharedStore = Arc::new(Sqlite::open(&path).await.unwrap());
    write(&store, &["ours"]).await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    connection.execute(THEIR_AUDIT).await.unwrap();
    beside(&store).await;
    store.close().await;
    connection.execute(THEIR_AUDIT).await.unwrap();
    drop(store);
    let store: SharedStore = Arc::new(Sqlite::open(&path).await.unwrap());
    at_the_start(&store).await;
}

#[tokio::test]
async fn what_the_version_before_wrote_in_a_database_is_taken_in() {
    let database = Database::create().await;
    let store = replica(&database).await;
    write(&store, &["ours"]).await;
    database.connect().await.execute(THEIR_AUDIT).await.unwrap();
    beside(&store).await;
    database.connect().await.execute(THEIR_AUDIT).await.unwrap();
    at_the_start(&replica(&database).await).await;
}

/// While this version runs.
async fn beside(store: &SharedStore) {
    write(store, &["ours again"]).await;
    assert_eq!((store.log_head().await.unwrap().waiting, verified(store, &[]).await), (3, Ok(2)));
    let made = evidence(store).add_if_due(at(0), TimeDelta::hours(1)).await.unwrap();
    assert_eq!(made.map(|made| made.size), Some(5));
    let told: Vec<_> = entries(store).await.into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(told, ["ours", "ours again", "one", "two"], "the oldest is older than what was asked for");
    assert_eq!(verified(store, &[]).await, Ok(5));
}

/// Before this version writes.
async fn at_the_start(store: &SharedStore) {
    assert_eq!((store.log_head().await.unwrap().waiting, verified(store, &[]).await), (0, Ok(8)));
}

/// What somebody does to the store of five entries, and what is said of it. `#` stands for what the database calls its hash.
const MEDDLED: [(&str, &str); 16] = [
    ("UPDATE audit SET reason = 'because she asked' WHERE number = 1", "entry 1 was changed: what listings show"),
    ("UPDATE audit SET granted = '{}' WHERE number = 4", "entry 4 was changed: what listings show"),
    ("UPDATE audit SET canonical = replace(canonical, 'x2', 'y2') WHERE number = 2", "entry 2 was changed: its text"),
    ("DELETE FROM audit WHERE number = 3", "entry 3 is missing"),
    ("DELETE FROM audit WHERE number = 3; DELETE FROM decision_leaves WHERE number = 3", "entry 3 is missing"),
    (
        "UPDATE audit SET number = 9 WHERE number = 1; UPDATE audit SET number = 1 WHERE number = 2;
         UPDATE audit SET number = 2 WHERE number = 9",
        "entry 1 was changed: its text",
    ),
    (
        "UPDATE decision_leaves SET hash = (SELECT hash FROM decision_leaves WHERE number = 0),
           at_ms = (SELECT at_ms FROM decision_leaves WHERE number = 0) WHERE number = 1;
         UPDATE audit SET number = 9 WHERE number = 1;
         INSERT INTO audit (number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id)
         SELECT 1, canonical, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit WHERE number = 0;
         DELETE FROM audit WHERE number = 9",
        "entry 1 was changed: what listings show",
    ),
    (
        "INSERT INTO audit (number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id)
         SELECT 5, canonical, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit WHERE number = 0",
        "entry 5 was inserted",
    ),
    (
        "DELETE FROM audit WHERE number = 4; DELETE FROM decision_leaves WHERE number = 4;
         UPDATE decision_log SET size = 4",
        "entry 4 is missing, and all after it: a file tells of 5 entries",
    ),
    (
        "DELETE FROM audit WHERE number > 2; DELETE FROM decision_leaves WHERE number > 2;
         UPDATE decision_log SET size = 3",
        "entry 3 is missing, and all after it: a file tells of 5 entries",
    ),
    ("UPDATE decision_log SET size = 4", "entry 4 was inserted"),
    // Nothing would be signed any more.
    (
        "UPDATE decision_checkpoints SET edge = (SELECT hash FROM decision_leaves WHERE number = 0)",
        "the newest checkpoint in the store, of 3 entries is not as it was made",
    ),
    // Shown in listings, with a leaf of its own, before the first.
    (
        "INSERT INTO audit (number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id)
         SELECT -1, canonical, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit WHERE number = 0;
         INSERT INTO decision_leaves (number, hash, at_ms) SELECT -1, hash, at_ms FROM decision_leaves WHERE number = 0",
        "entry -1 was inserted",
    ),
    // A number that is given twice, where it is said that anything may have been pruned.
    (
        "DROP INDEX audit_number;
         INSERT INTO audit (number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id)
         SELECT number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit WHERE number = 1;
         UPDATE decision_log SET pruned_ms = 4000000000000",
        "entry 1 was inserted",
    ),
    (
        "DROP INDEX audit_number;
         INSERT INTO audit (number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id)
         SELECT number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit WHERE number = 4;
         UPDATE decision_log SET pruned_ms = 4000000000000",
        "entry 4 was inserted",
    ),
    ("UPDATE decision_log SET store_id = 'another'", "a file is of another log"),
];

/// Writes entry 1 anew with all that the store has of it: only a checkpoint of more than one entry tells.
const REWRITTEN: &str = "
    DELETE FROM decision_leaves WHERE number = 1;
    INSERT INTO decision_leaves (number, hash, at_ms) SELECT 1, hash, 0 FROM decision_leaves WHERE number = 0;
    UPDATE decision_log SET pruned_ms = 1; DELETE FROM audit WHERE number = 1";

trait Meddling {
    async fn meddle(&mut self, statements: &str);
}

impl Meddling for SqliteConnection {
    async fn meddle(&mut self, statements: &str) {
        self.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
    }
}

impl Meddling for PgConnection {
    async fn meddle(&mut self, statements: &str) {
        self.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
    }
}

async fn is_found_out(store: &SharedStore, connection: &mut impl Meddling, statements: &str, words: &str) {
    write(store, &["x0", "x1", "x2"]).await;
    evidence(store).newest(at(0)).await.unwrap();
    write(store, &["x3", "x4"]).await;
    let kept = [kept(store).await];
    assert_eq!(verified(store, &kept).await, Ok(5));
    connection.meddle(statements).await;
    let said = verified(store, &kept).await.unwrap_err();
    assert!(said.starts_with(words), "{statements}: {said}");
}

#[tokio::test]
async fn whoever_changes_a_file_is_found_out() {
    let rewritten = [(REWRITTEN, "the first 3 entries do not lead to the newest checkpoint in the store")];
    for (statements, words) in MEDDLED.into_iter().chain(rewritten) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.db");
        let store: SharedStore = Arc::new(Sqlite::open(&path).await.unwrap());
        let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        is_found_out(&store, &mut connection, statements, words).await;
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_changes_a_database_is_found_out() {
    let rewritten = [(REWRITTEN, "the first 3 entries do not lead to the newest checkpoint in the store")];
    for (statements, words) in MEDDLED.into_iter().chain(rewritten) {
        let database = Database::create().await;
        let store = replica(&database).await;
        is_found_out(&store, &mut database.connect().await, statements, words).await;
        store.close().await;
    }
}

#[tokio::test]
async fn the_log_moves_to_another_database_with_its_checkpoints() {
    let database = Database::create().await;
    let old: SharedStore = Arc::new(Sqlite::in_memory().await.unwrap());
    let new = replica(&database).await;
    write(&old, &["a\0", "b", "c"]).await;
    while old.prune(at(2), at(2)).await.unwrap() {}
    let before = kept(&old).await;
    let (head, part) = (old.log_head().await.unwrap(), old.log_page(0, 2).await.unwrap());
    assert!(new.carry(&head, &part).await.unwrap());
    assert!(!new.carry(&head, &part).await.unwrap(), "it ends elsewhere by now");
    assert!(new.carry(&head, &old.log_page(2, 10).await.unwrap()).await.unwrap());
    write(&new, &["d"]).await;
    assert_eq!(verified(&new, &[before]).await, Ok(4));
    let told: Vec<_> = entries(&new).await;
    assert_eq!(told, [(1, "b".to_owned()), (2, "c".to_owned()), (3, "d".to_owned())]);
    let other: SharedStore = Arc::new(Sqlite::in_memory().await.unwrap());
    write(&other, &["of its own"]).await;
    assert!(!other.carry(&head, &old.log_page(0, 10).await.unwrap()).await.unwrap());
}
