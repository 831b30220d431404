//! What only a file has: one owner.

use std::{collections::BTreeSet, sync::Arc};

use oncall_grants::store::{OpenError, SharedStore, sqlite::Sqlite};

use crate::{at, delivery, mark, marks};

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
