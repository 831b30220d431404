//! What the store promises, whatever the database behind it.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::*;
use crate::{
    model::{AccountId, Grant, GrantId, ResourceId, Source, Window},
    reconcile::{
        plan::NewGrant,
        scope::Mark,
        world::{Cause, ForeignGrant, SecondGrant},
    },
};

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
        through: Some("P1".into()),
        policy: None,
        level: Some(1),
        shift_start: Some(at(0)),
        shift_end: Some(at(100)),
    };
    let grant = Grant {
        id: None,
        email: "ana@example.com".parse().unwrap(),
        account_id: AccountId::from("a-1"),
        resource: "db".to_owned(),
        resource_id: ResourceId::from("rs-1"),
        window: Window::new(at(0), at(100)).unwrap(),
        rules: vec!["r".to_owned()],
    };
    NewGrant { grant, causes: vec![cause] }
}

fn audit(grant: &Grant) -> AuditEntry {
    AuditEntry {
        at: at(1),
        action: "create",
        outcome: "done",
        grant: grant.clone(),
        reason: "because".to_owned(),
        trigger: "manual".to_owned(),
        pass_id: "pass".to_owned(),
    }
}

async fn marks(store: &Store) -> BTreeSet<Mark> {
    store.dirty().await.unwrap().into_iter().map(|dirty| dirty.mark).collect()
}

#[tokio::test]
async fn an_event_marks_once_however_often_it_comes() {
    let store = Store::in_memory().await.unwrap();
    assert_eq!(store.accept(delivery("e1", &["A"])).await.unwrap(), Accepted::New);
    let dirty = store.dirty().await.unwrap();
    store.clear_dirty(&dirty, store.newest_delivery().await.unwrap(), "pass-1").await.unwrap();
    assert_eq!(store.accept(delivery("e1", &["A"])).await.unwrap(), Accepted::Duplicate);
    assert_eq!(store.accept(delivery("e2", &[])).await.unwrap(), Accepted::Ignored);
    assert_eq!(marks(&store).await, BTreeSet::new());
    let statuses: Vec<_> =
        store.delivery_page(10, None).await.unwrap().items.into_iter().map(|row| row.status).collect();
    assert_eq!(statuses, ["ignored", "duplicate", "accepted"]);
}

#[tokio::test]
async fn a_mark_that_is_set_again_meanwhile_stays() {
    let store = Store::in_memory().await.unwrap();
    store.accept(delivery("e1", &["A", "B"])).await.unwrap();
    let (seen, newest) = (store.dirty().await.unwrap(), store.newest_delivery().await.unwrap());
    store.accept(delivery("e2", &["A"])).await.unwrap();
    store.clear_dirty(&seen, newest, "pass-1").await.unwrap();
    assert_eq!(marks(&store).await, BTreeSet::from([mark("A")]));
    let rows = store.delivery_page(10, None).await.unwrap().items;
    let passes: Vec<_> = rows.iter().map(|row| row.pass_id.as_deref()).collect();
    assert_eq!(passes, [None, Some("pass-1")], "newest first; only the earlier one was served");
}

#[tokio::test]
async fn many_deliveries_at_once_are_all_kept() {
    let store = Store::in_memory().await.unwrap();
    let deliveries = (0..500).map(|n| store.accept(delivery(&format!("e{}", n % 250), &["A"])));
    let outcomes = futures_util::future::join_all(deliveries).await;
    let count =
        |wanted| outcomes.iter().filter(|outcome| outcome.as_ref().is_ok_and(|got| *got == wanted)).count();
    assert_eq!((count(Accepted::New), count(Accepted::Duplicate)), (250, 250));
}

#[tokio::test]
async fn a_grant_goes_from_intent_to_end_with_its_audit() {
    let store = Store::in_memory().await.unwrap();
    let new = new_grant();
    let row = store.intend_create(&new, at(0)).await.unwrap();
    let ledger = store.ledger(at(10)).await.unwrap();
    assert_eq!((ledger[0].state, &ledger[0].own.causes), (State::Creating, &new.causes));
    let grant = Grant { id: Some(GrantId::from("ag-1")), ..new.grant.clone() };
    store.settle_created(row, &GrantId::from("ag-1"), &audit(&grant)).await.unwrap();
    assert_eq!(store.ledger(at(10)).await.unwrap()[0].own.grant, grant);
    assert_eq!(store.grants(at(10), &GrantQuery::default()).await.unwrap(), std::slice::from_ref(&grant));
    store.intend_revoke(row).await.unwrap();
    assert_eq!(store.ledger(at(10)).await.unwrap()[0].state, State::Revoking);
    store.settle_ended(row, at(11), &audit(&grant)).await.unwrap();
    assert!(store.ledger(at(10)).await.unwrap().is_empty());
    assert!(store.is_ours(&GrantId::from("ag-1")).await.unwrap(), "once ours, never foreign");
    let past = GrantQuery { ended: true, ..GrantQuery::default() };
    assert_eq!(store.grants(at(10), &past).await.unwrap(), [grant]);
    assert_eq!(store.audit_page(1, None).await.unwrap().next.as_deref(), Some("2"));
}

#[tokio::test]
async fn lessons_expire_and_refusals_grow() {
    let store = Store::in_memory().await.unwrap();
    assert_eq!(store.second_grant(at(0)).await.unwrap(), SecondGrant::Taken);
    store.learn_second_grant(SecondGrant::Refused, at(100)).await.unwrap();
    assert_eq!(store.second_grant(at(99)).await.unwrap(), SecondGrant::Refused);
    assert_eq!(store.second_grant(at(100)).await.unwrap(), SecondGrant::Taken);

    let (account, resource) = (AccountId::from("a-1"), ResourceId::from("rs-1"));
    let mut pauses = Vec::new();
    for _ in 0..12 {
        store.remember_refusal(&account, &resource, at(0)).await.unwrap();
        pauses.push((store.refusals(at(0)).await.unwrap()[0].until - at(0)).num_seconds());
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    store.forget_refusal(&account, &resource).await.unwrap();
    assert!(store.refusals(at(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn foreign_grants_keep_the_moment_they_were_first_seen() {
    let store = Store::in_memory().await.unwrap();
    let foreign = |id: &str, account: &str| ForeignGrant {
        id: id.into(),
        account_id: account.into(),
        resource_id: "rs-1".into(),
        window: Window::new(at(0), at(100)).unwrap(),
    };
    store.set_foreign_grants(None, &[foreign("x", "a-1"), foreign("y", "a-2")], at(1)).await.unwrap();
    let pair = (&AccountId::from("a-1"), &ResourceId::from("rs-1"));
    store.set_foreign_grants(Some(pair), &[foreign("x", "a-1"), foreign("z", "a-1")], at(5)).await.unwrap();
    let seen: Vec<_> = store.foreign_grants().await.unwrap();
    let mut seen: Vec<_> =
        seen.iter().map(|(foreign, first)| (foreign.id.as_str(), (*first - at(0)).num_seconds())).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("x", 1), ("y", 1), ("z", 5)]);
}

#[tokio::test]
async fn old_rows_are_pruned_in_steps_but_event_keys_later() {
    let store = Store::in_memory().await.unwrap();
    for n in 0..600 {
        store.accept(delivery(&format!("e{n}"), &["A"])).await.unwrap();
    }
    assert!(store.prune(at(1), at(-1)).await.unwrap(), "one step does not remove all");
    assert!(!store.prune(at(1), at(-1)).await.unwrap());
    assert!(store.delivery_page(1, None).await.unwrap().items.is_empty());
    assert_eq!(
        store.accept(delivery("e1", &["A"])).await.unwrap(),
        Accepted::Duplicate,
        "its key is still known"
    );
}

#[tokio::test]
async fn a_second_owner_is_refused_and_a_dead_ones_file_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let first = Store::open(&path).await.unwrap();
    assert!(matches!(Store::open(&path).await, Err(OpenError::InUse(_))));
    let beside = Store::open_beside(&path).await.unwrap();
    assert!(beside.ledger(at(0)).await.unwrap().is_empty());
    first.accept(delivery("e1", &["A"])).await.unwrap();
    first.close().await;
    drop(first);
    let again = Store::open(&path).await.unwrap();
    assert_eq!(marks(&again).await, BTreeSet::from([mark("A")]), "what was accepted survives");
    again.check_writable().await.unwrap();
}

#[tokio::test]
async fn relabelling_changes_causes_and_rules() {
    let store = Store::in_memory().await.unwrap();
    let mut new = new_grant();
    let row = store.intend_create(&new, at(0)).await.unwrap();
    new.causes[0].rule = "other".to_owned();
    store.relabel(&[(row, new.causes.clone())]).await.unwrap();
    let ledger = store.ledger(at(0)).await.unwrap();
    assert_eq!(
        (&ledger[0].own.causes, ledger[0].own.grant.rules.as_slice()),
        (&new.causes, &["other".to_owned()][..])
    );
    assert_eq!(ledger[0].intended_at, at(0));
    store.set_state(row, State::Lost).await.unwrap();
    store.settle_refused(row, None).await.unwrap();
    assert!(store.ledger(at(0)).await.unwrap().is_empty());
    assert_eq!(store.ledger(at(0) + TimeDelta::days(1)).await.unwrap(), []);
}
