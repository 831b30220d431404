//! The timetable, reports of passes, and that the store is there.

use oncall_grants::{
    model::{NewNotice, NoticeKind, PassCounts, Retry, SecondLook, Source},
    store::{EndpointState, Findings, SharedStore, Timetable, Told, Waiting},
};
use serde_json::json;

use crate::{at, lease, on_both};

on_both! {
    the_timetable_is_kept,
    reports_are_kept,
    what_a_pass_found_is_told_with_its_report_and_once,
    how_an_endpoint_fares_is_kept,
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
    store.record_pass("pass-1", at(0), "{}", &[]).await.unwrap();
    assert_eq!(store.last_passes(2).await.unwrap(), ["{}"]);
}

async fn what_a_pass_found_is_told_with_its_report_and_once(store: SharedStore) {
    let told = |subject: &str| Told {
        subjects: [subject.to_owned()].into(),
        notice: NewNotice { kind: NoticeKind::Held, at: at(0), data: json!({}), text: subject.to_owned() },
    };
    let found = |told: Vec<Told>, lasting: Option<&[&str]>| Findings {
        kind: NoticeKind::Held,
        told,
        lasting: lasting.map(|all| all.iter().map(ToString::to_string).collect()),
    };
    store.record_pass("pass-1", at(0), "{}", &[found(vec![told("a")], None)]).await.unwrap();
    store.tell_findings(&[found(vec![told("a"), told("b")], None)]).await.unwrap();
    store.record_pass("pass-2", at(1), "{}", &[found(vec![told("b")], Some(&["b"]))]).await.unwrap();
    store.tell_findings(&[found(vec![told("a"), told("b")], None)]).await.unwrap();
    let mut texts = Vec::new();
    while let Some(notice) = store.next_notice(i64::try_from(texts.len()).unwrap()).await.unwrap() {
        texts.push(notice.text);
    }
    assert_eq!(texts, ["a", "b", "a"], "what was over is news again");
    let waiting = store.waiting(1).await.unwrap();
    assert_eq!(waiting, [Waiting { kind: NoticeKind::Held, count: 2, since: at(0) }]);
}

async fn how_an_endpoint_fares_is_kept(store: SharedStore) {
    assert_eq!(store.known_endpoint("x").await.unwrap(), None);
    let new = store.endpoint("x").await.unwrap();
    assert_eq!((new.sent, &new.failure, new.dropped), (None, &None, 0));
    let known = EndpointState {
        next: 7,
        attempts: 3,
        due: at(4),
        stopped: true,
        sent: Some(at(1)),
        failure: Some((at(2), "it answered 500".to_owned())),
        dropped: 5,
    };
    store.set_endpoint("x", &known).await.unwrap();
    assert_eq!(store.known_endpoint("x").await.unwrap(), Some(known));
}

async fn a_working_store_is_writable(store: SharedStore) {
    store.check_writable(at(0)).await.unwrap();
    store.close().await;
    store.check_writable(at(0)).await.unwrap_err();
}
