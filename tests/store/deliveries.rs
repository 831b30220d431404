//! Deliveries and the marks they leave.

use std::collections::BTreeSet;

use oncall_grants::{
    model::Mark,
    store::{Accepted, AuditEntry, Backlog, Delivery, SharedStore},
};

use crate::{at, audit, delivery, dirty, lease, mark, marks, new_and_known, new_grant, on_both, passes};

on_both! {
    an_event_marks_once_however_often_it_comes,
    a_mark_that_is_set_again_meanwhile_stays,
    a_delivery_is_served_once_all_its_marks_are,
    duplicates_and_what_is_ignored_are_served_by_no_pass,
    what_waits_is_counted_until_it_is_served,
    a_mark_that_is_set_again_waits_since_the_look_began,
    a_mark_remembers_until_when_it_is_paced,
    a_pass_that_is_over_after_a_younger_one_changes_no_mark,
    marks_can_be_set_without_a_delivery,
    many_deliveries_at_once_are_all_kept,
    odd_texts_are_taken_as_well,
    old_rows_are_pruned_in_steps_but_event_keys_later,
    rows_of_the_future_do_not_keep_older_ones,
}

/// What became of each delivery, the newest first.
async fn statuses(store: &SharedStore) -> Vec<String> {
    store.delivery_page(10, None).await.unwrap().items.into_iter().map(|row| row.status).collect()
}

async fn an_event_marks_once_however_often_it_comes(store: SharedStore) {
    assert_eq!(store.accept(delivery("e1", &["A"])).await.unwrap(), Accepted::New);
    let seen = dirty(&store).await;
    store.clear_dirty(&lease(&store).await, &seen, at(0), "pass-1").await.unwrap();
    assert_eq!(store.accept(delivery("e1", &["A"])).await.unwrap(), Accepted::Duplicate);
    assert_eq!(store.accept(delivery("e2", &[])).await.unwrap(), Accepted::Ignored);
    assert_eq!(marks(&store).await, BTreeSet::new());
    assert_eq!(statuses(&store).await, ["ignored", "duplicate", "accepted"]);
}

async fn a_mark_that_is_set_again_meanwhile_stays(store: SharedStore) {
    store.accept(delivery("e1", &["A", "B"])).await.unwrap();
    let seen = dirty(&store).await;
    store.accept(delivery("e2", &["A"])).await.unwrap();
    store.clear_dirty(&lease(&store).await, &seen, at(7), "pass-1").await.unwrap();
    assert_eq!(marks(&store).await, BTreeSet::from([mark("A")]));
    assert_eq!(passes(&store).await, ["none", "pass-1"], "only the earlier one was served");
}

async fn a_delivery_is_served_once_all_its_marks_are(store: SharedStore) {
    let lease = lease(&store).await;
    store.accept(delivery("e1", &["A", "B"])).await.unwrap();
    let (a, b): (Vec<_>, Vec<_>) = dirty(&store).await.into_iter().partition(|dirty| dirty.mark == mark("A"));
    store.clear_dirty(&lease, &a, at(1), "pass-1").await.unwrap();
    assert_eq!(passes(&store).await, ["none"]);
    store.clear_dirty(&lease, &b, at(2), "pass-2").await.unwrap();
    assert_eq!(passes(&store).await, ["pass-2"]);
}

async fn duplicates_and_what_is_ignored_are_served_by_no_pass(store: SharedStore) {
    for (key, marks) in [("e1", ["A"].as_slice()), ("e1", &["A"]), ("e2", &[])] {
        store.accept(delivery(key, marks)).await.unwrap();
    }
    let seen = dirty(&store).await;
    store.clear_dirty(&lease(&store).await, &seen, at(1), "pass-1").await.unwrap();
    assert_eq!(statuses(&store).await, ["ignored", "duplicate", "accepted"]);
    assert_eq!(passes(&store).await, ["none", "none", "pass-1"]);
}

async fn what_waits_is_counted_until_it_is_served(store: SharedStore) {
    let lease = lease(&store).await;
    assert_eq!(store.backlog().await.unwrap(), Backlog::default());
    for (id, seconds, marks) in
        [("e1", 20, ["A"].as_slice()), ("e2", 10, &["B"]), ("e2", 5, &["B"]), ("e3", 1, &[])]
    {
        store.accept(Delivery { received_at: at(seconds), ..delivery(id, marks) }).await.unwrap();
    }
    assert_eq!(store.backlog().await.unwrap(), Backlog { deliveries: 2, since: Some(at(10)) });
    let (a, b): (Vec<_>, Vec<_>) = dirty(&store).await.into_iter().partition(|dirty| dirty.mark == mark("A"));
    store.clear_dirty(&lease, &b, at(30), "pass-1").await.unwrap();
    assert_eq!(store.backlog().await.unwrap(), Backlog { deliveries: 1, since: Some(at(20)) });
    store.clear_dirty(&lease, &a, at(31), "pass-2").await.unwrap();
    assert_eq!(store.backlog().await.unwrap(), Backlog::default());
}

async fn a_mark_that_is_set_again_waits_since_the_look_began(store: SharedStore) {
    let lease = lease(&store).await;
    for (key, seconds) in [("e1", 3), ("e2", 2)] {
        store.accept(Delivery { received_at: at(seconds), ..delivery(key, &["A"]) }).await.unwrap();
    }
    let seen = dirty(&store).await;
    assert_eq!((seen[0].version, seen[0].since), (2, Some(at(3))), "as long as the first that came");
    store.accept(Delivery { received_at: at(9), ..delivery("e3", &["A"]) }).await.unwrap();
    store.clear_dirty(&lease, &seen, at(5), "pass-1").await.unwrap();
    let seen = dirty(&store).await;
    assert_eq!((seen[0].version, seen[0].since), (3, Some(at(5))));
    store.clear_dirty(&lease, &seen, at(10), "pass-2").await.unwrap();
    store.accept(Delivery { received_at: at(12), ..delivery("e4", &["A"]) }).await.unwrap();
    assert_eq!(dirty(&store).await[0].since, Some(at(12)));
    assert_eq!(passes(&store).await, ["none", "pass-2", "pass-1", "pass-1"]);
}

async fn a_mark_remembers_until_when_it_is_paced(store: SharedStore) {
    let lease = lease(&store).await;
    store.accept(delivery("e1", &["A"])).await.unwrap();
    let mut seen = dirty(&store).await;
    assert_eq!(seen[0].paced_until, None);
    seen[0].paced_until = Some(at(7));
    store.clear_dirty(&lease, &seen, at(5), "pass-1").await.unwrap();
    store.accept(delivery("e2", &["A"])).await.unwrap();
    assert_eq!(dirty(&store).await[0].paced_until, Some(at(7)));
}

async fn a_pass_that_is_over_after_a_younger_one_changes_no_mark(store: SharedStore) {
    let lease = lease(&store).await;
    store.accept(delivery("e1", &["A"])).await.unwrap();
    let mut older = dirty(&store).await;
    older[0].paced_until = Some(at(6));
    store.accept(delivery("e2", &["A"])).await.unwrap();
    let mut younger = dirty(&store).await;
    younger[0].paced_until = Some(at(7));
    store.clear_dirty(&lease, &younger, at(6), "pass-2").await.unwrap();
    store.accept(Delivery { received_at: at(12), ..delivery("e3", &["A"]) }).await.unwrap();
    store.clear_dirty(&lease, &older, at(5), "pass-1").await.unwrap();
    let seen = dirty(&store).await;
    assert_eq!((seen[0].version, seen[0].since, seen[0].paced_until), (3, Some(at(12)), Some(at(7))));
}

async fn marks_can_be_set_without_a_delivery(store: SharedStore) {
    store.mark(&Mark::Everything).await.unwrap();
    assert_eq!(marks(&store).await, BTreeSet::from([Mark::Everything]));
}

async fn many_deliveries_at_once_are_all_kept(store: SharedStore) {
    let deliveries = (0..500).map(|n| store.accept(delivery(&format!("e{}", n % 250), &["A"])));
    let outcomes = futures_util::future::join_all(deliveries).await;
    assert_eq!(new_and_known(&outcomes), (250, 250));
}

async fn odd_texts_are_taken_as_well(store: SharedStore) {
    let odd = |key: &str| Delivery { event_type: Some("a\0b".to_owned()), ..delivery(key, &["A"]) };
    let long = "x".repeat(100_000);
    for key in ["id:a\0b", "id:\u{1f600}", long.as_str()] {
        assert_eq!(store.accept(odd(key)).await.unwrap(), Accepted::New);
        assert_eq!(store.accept(odd(key)).await.unwrap(), Accepted::Duplicate);
    }
}

async fn old_rows_are_pruned_in_steps_but_event_keys_later(store: SharedStore) {
    for n in 0..600 {
        store.accept(delivery(&format!("e{n}"), &["A"])).await.unwrap();
    }
    let young = Delivery { received_at: at(2), ..delivery("young", &["A"]) };
    store.accept(young).await.unwrap();
    assert!(store.prune(at(1), at(-1)).await.unwrap(), "one step does not remove all");
    assert!(!store.prune(at(1), at(-1)).await.unwrap());
    let left = store.delivery_page(10, None).await.unwrap().items;
    assert_eq!(left.iter().filter_map(|row| row.event_id.as_deref()).collect::<Vec<_>>(), ["young"]);
    assert_eq!(
        store.accept(delivery("e1", &["A"])).await.unwrap(),
        Accepted::Duplicate,
        "its key is still known"
    );
}

async fn rows_of_the_future_do_not_keep_older_ones(store: SharedStore) {
    let lease = lease(&store).await;
    // While the clock was ahead, and after it was put right.
    for (round, second) in [("ahead", 1_000_000), ("right", 0)] {
        for n in 0..501 {
            let key = format!("{round} {n}");
            store.accept(Delivery { received_at: at(second), ..delivery(&key, &["A"]) }).await.unwrap();
            store.audit(&AuditEntry { at: at(second), ..audit(&new_grant().grant) }).await.unwrap();
        }
        let seen = dirty(&store).await;
        store.clear_dirty(&lease, &seen, at(second), round).await.unwrap();
    }
    let pair = new_grant().grant.pair();
    store.remember_refusal(&pair, at(0)).await.unwrap();
    while store.prune(at(1000), at(1000)).await.unwrap() {}
    let deliveries = store.delivery_page(1000, None).await.unwrap().items;
    assert_eq!(deliveries.len(), 501);
    assert!(deliveries.iter().all(|row| row.received_at == at(1_000_000)), "only those are left");
    let audit = store.audit_page(1000, None).await.unwrap().items;
    assert!(audit.len() == 501 && audit.iter().all(|row| row.at == at(1_000_000)), "only those are left");
    store.remember_refusal(&pair, at(1000)).await.unwrap();
    let pause = store.refusals(at(1000)).await.unwrap()[0].until - at(1000);
    assert_eq!(pause.num_seconds(), 2, "as after the first");
}
