//! The timetable, reports of passes, and that the store is there.

use oncall_grants::{
    model::{PassCounts, Retry, SecondLook, Source},
    store::{SharedStore, Timetable},
};

use crate::{at, lease, on_both};

on_both! {
    the_timetable_is_kept,
    reports_are_kept,
    a_working_store_is_writable,
}

async fn the_timetable_is_kept(store: SharedStore) {
    let lease = lease(&store).await;
    assert_eq!(store.workload().await.unwrap().timetable, Timetable::default());
    let counts = PassCounts { held: 1, grants: 7, last_complete: Some(at(3)), ..PassCounts::default() };
    let timetable = Timetable {
        last_full: Some(at(1)),
        wake: Some(at(2)),
        failures: 3,
        retry_at: Some(at(4)),
        retries: [("schedule P1".to_owned(), Retry { failures: 2, at: at(7), sources: [].into() })].into(),
        verified_at: Some(at(5)),
        second_look: Some(SecondLook { at: at(6), sources: [Source::Schedule("P1".into())].into() }),
        follow_ups: [("PS".into(), vec![at(8), at(9)])].into(),
        counts,
    };
    assert!(store.set_timetable(&lease, &timetable).await.unwrap());
    assert_eq!(store.workload().await.unwrap().timetable, timetable);
}

async fn reports_are_kept(store: SharedStore) {
    store.record_pass("pass-1", at(0), "{}").await.unwrap();
    assert_eq!(store.last_passes(2).await.unwrap(), ["{}"]);
}

async fn a_working_store_is_writable(store: SharedStore) {
    store.check_writable(at(0)).await.unwrap();
    store.close().await;
    store.check_writable(at(0)).await.unwrap_err();
}
