//! The ledger, and settlements that come late or twice.

use chrono::TimeDelta;
use oncall_grants::{
    model::{Grant, GrantId, KubernetesGroups, Terms, Window},
    store::{GrantQuery, SharedStore, State},
};

use crate::{at, audit, intended, lease, live, new_grant, on_both};

on_both! {
    a_grant_goes_from_intent_to_end_with_its_audit,
    grants_are_listed_by_person_resource_and_time,
    grants_are_paged_through_without_loss_though_they_start_together,
    relabelling_changes_causes_and_rules,
    a_late_creation_is_ours_whatever_became_of_its_row,
    a_creation_that_was_settled_already_is_not_settled_again,
    a_late_settlement_does_not_bring_an_ended_grant_back,
    a_grant_is_over_with_its_window_though_nobody_writes_that_down,
    a_grant_that_was_recorded_as_ended_can_be_reopened,
    a_late_refusal_does_not_forget_a_grant_that_was_found,
    what_is_not_live_is_not_revoked,
    a_grant_has_the_window_that_strongdm_gave_it,
    a_grant_has_the_groups_that_it_was_made_with,
}

async fn a_grant_goes_from_intent_to_end_with_its_audit(store: SharedStore) {
    let lease = lease(&store).await;
    let new = new_grant();
    let row = store.intend_create(&lease, &new, at(0)).await.unwrap().unwrap();
    let ledger = store.ledger(at(10)).await.unwrap();
    assert_eq!((ledger[0].state, &ledger[0].own.causes), (State::Creating, &new.causes));
    let grant = Grant { id: Some(GrantId::from("ag-1")), ..new.grant.clone() };
    store.settle_created(row, &GrantId::from("ag-1"), &grant.window.into(), &audit(&grant)).await.unwrap();
    assert_eq!(store.ledger(at(10)).await.unwrap()[0].own.grant, grant);
    assert_eq!(store.open_among(&[row, 7.into()].into(), at(99)).await.unwrap(), [row].into());
    assert!(store.open_among(&[row].into(), at(100)).await.unwrap().is_empty(), "its window ended");
    assert_eq!(store.grants(at(10), &GrantQuery::default()).await.unwrap(), std::slice::from_ref(&grant));
    assert!(store.intend_revoke(&lease, row).await.unwrap());
    assert_eq!(store.ledger(at(10)).await.unwrap()[0].state, State::Revoking);
    store.settle_ended(row, at(11), &audit(&grant)).await.unwrap();
    assert!(store.ledger(at(10)).await.unwrap().is_empty());
    assert!(store.is_ours(&GrantId::from("ag-1")).await.unwrap(), "once ours, never foreign");
    let (ours, others) = (GrantId::from("ag-1"), GrantId::from("ag-2"));
    assert_eq!(store.ours_among(&[&others, &ours]).await.unwrap(), [ours].into());
    assert!(store.ours_among(&[]).await.unwrap().is_empty());
    assert!(store.open_among(&[row].into(), at(10)).await.unwrap().is_empty());
    let past = GrantQuery { ended: true, ..GrantQuery::default() };
    assert_eq!(store.grants(at(10), &past).await.unwrap(), [grant]);
    let actions = store.log_entries(1, 1, at(0)).await.unwrap();
    assert_eq!((store.audit_page(1, None).await.unwrap().next.as_deref(), actions[0].number), (Some("2"), 1));
    assert!(store.log_entries(9, 0, at(2)).await.unwrap().is_empty(), "nothing was done that late");
}

async fn grants_are_listed_by_person_resource_and_time(store: SharedStore) {
    live(&store, &lease(&store).await, "ag-1").await;
    let count = async |now, which| store.grants(at(now), &which).await.unwrap().len();
    let all = GrantQuery::default;
    assert_eq!(count(10, GrantQuery { email: Some("Ana@Example.com".to_owned()), ..all() }).await, 1);
    assert_eq!(count(10, GrantQuery { email: Some("bo@example.com".to_owned()), ..all() }).await, 0);
    assert_eq!(count(10, GrantQuery { resource: Some("db".to_owned()), ..all() }).await, 1);
    assert_eq!(count(10, GrantQuery { resource: Some("d".to_owned()), ..all() }).await, 0);
    assert_eq!(count(-1, all()).await, 1, "to come");
    assert_eq!(count(-1, GrantQuery { active: true, ..all() }).await, 0);
    assert_eq!(count(100, GrantQuery { active: true, ended: true, ..all() }).await, 0);
    assert_eq!(count(100, all()).await, 0);
    assert_eq!(count(100, GrantQuery { ended: true, ..all() }).await, 1);
}

async fn grants_are_paged_through_without_loss_though_they_start_together(store: SharedStore) {
    let lease = lease(&store).await;
    for id in ["ag-1", "ag-2", "ag-3"] {
        live(&store, &lease, id).await;
    }
    let all = store.grants(at(10), &GrantQuery::default()).await.unwrap();
    let (mut paged, mut after) = (Vec::new(), None);
    for is_last in [false, true] {
        let page = store.grant_page(at(10), &GrantQuery::default(), 2, after).await.unwrap();
        paged.extend(page.items);
        after = page.next.map(|next| next.to_string().parse().unwrap());
        assert_eq!(after.is_none(), is_last);
    }
    assert_eq!((paged.len(), paged), (3, all));
}

async fn relabelling_changes_causes_and_rules(store: SharedStore) {
    let mut new = new_grant();
    let row = store.intend_create(&lease(&store).await, &new, at(0)).await.unwrap().unwrap();
    "other".clone_into(&mut new.causes[0].rule);
    store.relabel(&[(row, new.causes.clone())]).await.unwrap();
    let ledger = store.ledger(at(0)).await.unwrap();
    assert_eq!(
        (&ledger[0].own.causes, ledger[0].own.grant.rules.as_slice()),
        (&new.causes, &["other".to_owned()][..])
    );
    assert_eq!(ledger[0].intended_at, at(0));
    store.settle_lost(row).await.unwrap();
    store.settle_refused(row, None).await.unwrap();
    assert!(store.ledger(at(0)).await.unwrap().is_empty());
    assert_eq!(store.ledger(at(0) + TimeDelta::days(1)).await.unwrap(), []);
}

async fn a_late_creation_is_ours_whatever_became_of_its_row(store: SharedStore) {
    let lease = lease(&store).await;
    let row = intended(&store, &lease).await;
    store.settle_lost(row).await.unwrap();
    // Another grant was found for the row; then the first call answers after all.
    for id in ["ag-1", "ag-2"] {
        let grant = new_grant().grant;
        let audit = audit(&grant);
        assert!(store.settle_created(row, &GrantId::from(id), &grant.window.into(), &audit).await.unwrap());
    }
    let ids: Vec<_> =
        store.ledger(at(1)).await.unwrap().into_iter().map(|entry| entry.own.grant.id).collect();
    assert_eq!(ids, [Some("ag-1".into()), Some("ag-2".into())], "the planner sees both and revokes one");
}

async fn a_creation_that_was_settled_already_is_not_settled_again(store: SharedStore) {
    let lease = lease(&store).await;
    let row = live(&store, &lease, "ag-1").await;
    let settle = async |row| {
        let (id, grant) = (GrantId::from("ag-1"), new_grant().grant);
        store.settle_created(row, &id, &grant.window.into(), &audit(&grant)).await.unwrap()
    };
    assert!(!settle(row).await, "adopted meanwhile");
    let other = intended(&store, &lease).await;
    assert!(!settle(other).await, "adopted for another row");
    store.settle_ended(row, at(1), &audit(&new_grant().grant)).await.unwrap();
    assert!(!settle(row).await, "adopted and revoked");
    assert!(!settle(other).await, "adopted for another row, and revoked");
    assert_eq!(store.audit_page(9, None).await.unwrap().items.len(), 2, "what was known is not told again");
}

async fn a_late_settlement_does_not_bring_an_ended_grant_back(store: SharedStore) {
    let lease = lease(&store).await;
    let row = live(&store, &lease, "ag-1").await;
    assert!(store.intend_revoke(&lease, row).await.unwrap());
    let audit = audit(&new_grant().grant);
    assert!(store.settle_ended(row, at(1), &audit).await.unwrap());
    store.settle_kept(&lease, row).await.unwrap();
    store.settle_lost(row).await.unwrap();
    assert!(!store.settle_ended(row, at(2), &audit).await.unwrap());
    assert!(store.ledger(at(1)).await.unwrap().is_empty());

    let row = live(&store, &lease, "ag-2").await;
    store.settle_lost(row).await.unwrap();
    assert_eq!(store.ledger(at(1)).await.unwrap()[0].state, State::Live, "found, so not lost");
}

async fn a_grant_is_over_with_its_window_though_nobody_writes_that_down(store: SharedStore) {
    live(&store, &lease(&store).await, "ag-1").await;
    assert_eq!(store.ledger(at(99)).await.unwrap()[0].state, State::Live);
    assert!(store.ledger(at(100)).await.unwrap().is_empty());
    assert!(store.grants(at(100), &GrantQuery::default()).await.unwrap().is_empty());
    assert_eq!(store.reopen(&GrantId::from("ag-1"), at(100)).await.unwrap(), None);
    assert!(store.is_ours(&GrantId::from("ag-1")).await.unwrap());
}

async fn a_grant_that_was_recorded_as_ended_can_be_reopened(store: SharedStore) {
    let lease = lease(&store).await;
    let row = live(&store, &lease, "ag-1").await;
    let id = GrantId::from("ag-1");
    let found = async |before| store.reopen(&id, at(before)).await.unwrap().map(|grant| grant.id);
    assert_eq!(found(5).await, None, "it is not over");
    assert!(store.settle_ended(row, at(5), &audit(&new_grant().grant)).await.unwrap());
    assert_eq!(found(5).await, None, "its end was recorded only now");
    assert_eq!(found(200).await, None, "its window is over");
    assert_eq!(found(6).await, Some(Some(id.clone())));
    assert_eq!(store.ledger(at(6)).await.unwrap()[0].state, State::Live);
    assert_eq!(store.reopen(&GrantId::from("ag-9"), at(6)).await.unwrap(), None, "never ours");
}

async fn a_late_refusal_does_not_forget_a_grant_that_was_found(store: SharedStore) {
    let row = live(&store, &lease(&store).await, "ag-1").await;
    store.settle_refused(row, None).await.unwrap();
    assert_eq!(store.ledger(at(1)).await.unwrap().len(), 1);
}

async fn what_is_not_live_is_not_revoked(store: SharedStore) {
    let lease = lease(&store).await;
    let row = intended(&store, &lease).await;
    assert!(!store.intend_revoke(&lease, row).await.unwrap());
}

async fn a_grant_has_the_window_that_strongdm_gave_it(store: SharedStore) {
    let lease = lease(&store).await;
    let window = |start, end| Window::new(at(start), at(end)).unwrap();
    let known = async || store.ledger(at(1)).await.unwrap()[0].own.grant.window;
    let row = intended(&store, &lease).await;
    let audit = audit(&new_grant().grant);
    assert!(store.settle_created(row, &GrantId::from("ag-1"), &window(1, 50).into(), &audit).await.unwrap());
    assert_eq!(known().await, window(1, 50), "not what was asked for");
    let other = intended(&store, &lease).await;
    for (id, end) in [("ag-2", 60), ("ag-3", 70)] {
        assert!(
            store.settle_created(other, &GrantId::from(id), &window(0, end).into(), &audit).await.unwrap()
        );
    }
    let ends: Vec<_> =
        store.ledger(at(1)).await.unwrap().iter().map(|it| it.own.grant.window.end()).collect();
    assert_eq!(ends, [at(50), at(60), at(70)], "the copy as well");

    let changed = async |known: Window, found: Window| {
        store.settle_terms(&lease, row, &known.into(), &found.into(), &audit).await.unwrap()
    };
    assert!(!changed(window(0, 100), window(1, 90)).await, "that is not what was known");
    assert!(changed(window(1, 50), window(1, 90)).await);
    assert_eq!(known().await, window(1, 90));
    assert!(store.intend_revoke(&lease, row).await.unwrap());
    assert!(!changed(window(1, 90), window(1, 95)).await, "it is about to go");
}

async fn a_grant_has_the_groups_that_it_was_made_with(store: SharedStore) {
    let lease = lease(&store).await;
    let groups = |names: &[&str]| -> KubernetesGroups { names.iter().copied().collect() };
    let of = async |row: usize| store.ledger(at(1)).await.unwrap()[row].own.grant.terms();
    let mut new = new_grant();
    new.grant.kubernetes_groups = groups(&["viewer", "ad\"min"]);
    let row = store.intend_create(&lease, &new, at(0)).await.unwrap().unwrap();
    assert_eq!(of(0).await, new.grant.terms());
    let audit = audit(&new.grant);
    let fewer = Terms { groups: groups(&["viewer"]), ..new.grant.terms() };
    assert!(store.settle_created(row, &GrantId::from("ag-1"), &fewer, &audit).await.unwrap());
    assert!(store.settle_created(row, &GrantId::from("ag-2"), &new.grant.terms(), &audit).await.unwrap());
    assert_eq!([of(0).await, of(1).await], [fewer.clone(), new.grant.terms()], "the copy as well");

    let (none, all) = (Terms::from(new.grant.window), new.grant.terms());
    let changed = async |known, found| store.settle_terms(&lease, row, known, found, &audit).await.unwrap();
    assert!(!changed(&none, &all).await, "that is not what was known");
    assert!(changed(&fewer, &none).await);
    assert_eq!(of(0).await, none);
    assert!(changed(&none, &fewer).await);
    let listed = store.grants(at(1), &GrantQuery::default()).await.unwrap();
    assert_eq!(listed[0].kubernetes_groups, fewer.groups);
}
