//! What only SQLite has: one owner, and a version of the ledger.

use std::{collections::BTreeSet, sync::Arc};

use oncall_grants::{
    model::GrantId,
    store::{OpenError, SharedStore, sqlite::Sqlite},
};

use crate::{at, audit, delivery, in_memory, intended, lease, mark, marks, new_grant};

#[tokio::test]
async fn a_second_owner_is_refused_and_a_dead_ones_file_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let first: SharedStore = Arc::new(Sqlite::open(&path).await.unwrap());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "names and addresses are nobody else's business");
    assert!(matches!(Sqlite::open(&path).await, Err(OpenError::InUse(_))));
    let beside: SharedStore = Arc::new(Sqlite::open_beside(&path).await.unwrap());
    assert!(beside.ledger(at(0)).await.unwrap().is_empty());
    first.accept(delivery("e1", &["A"])).await.unwrap();
    first.close().await;
    drop(first);
    let again: SharedStore = Arc::new(Sqlite::open(&path).await.unwrap());
    assert_eq!(marks(&again).await, BTreeSet::from([mark("A")]), "what was accepted survives");
    again.check_writable(at(0)).await.unwrap();
}

#[tokio::test]
async fn each_change_of_the_ledger_gives_it_another_version_and_nothing_else_does() {
    let store = in_memory().await;
    let lease = lease(&store).await;
    let (new, id) = (new_grant(), GrantId::from("ag-1"));
    let (grant, audit) = (&new.grant, audit(&new.grant));
    let version = async || store.ledger_version().await.unwrap().unwrap();
    let mut versions = vec![version().await];
    let row = intended(&store, &lease).await;
    versions.push(version().await);
    store.settle_created(row, &id, &grant.terms(), &audit).await.unwrap();
    versions.push(version().await);
    store.relabel(&[(row, Vec::new())]).await.unwrap();
    versions.push(version().await);
    store.intend_revoke(&lease, row).await.unwrap();
    versions.push(version().await);
    store.settle_ended(row, at(11), &audit).await.unwrap();
    versions.push(version().await);
    store.prune(at(200), at(0)).await.unwrap();
    versions.push(version().await);
    assert!(versions.is_sorted_by(|before, after| before < after), "{versions:?}");

    store.accept(delivery("e1", &["A"])).await.unwrap();
    store.audit(&audit).await.unwrap();
    store.settle_lost(row).await.unwrap();
    assert_eq!(versions.last(), Some(&version().await), "none of this changes a row");
}
