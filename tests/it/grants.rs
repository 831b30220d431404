//! From who is on call to who has access, while nothing goes wrong.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::world::{LONELY_SCHEDULE, SCHEDULE};
use serde_json::json;

use crate::support::{ANA, BO, CEM, Config, DB, Person, Scene, rule, some_attempt_within};

#[tokio::test]
async fn the_first_pass_makes_exactly_the_right_grants_and_the_next_writes_nothing() {
    let scene = Scene::running(Config::default()).await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert_eq!(scene.access(BO, DB), [(120, 240)]);
    assert_eq!(scene.strongdm.grants().len(), 2);

    for _ in 0..2 {
        let report = scene.synced().await;
        assert_eq!((report.unchanged, report.created, report.revoked), (2, vec![], vec![]));
    }
    assert_eq!(scene.writes(), (2, 0));
}

/// When the newest grant of this person was made, and when one was last removed.
fn newest(scene: &Scene, person: Person) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let account = scene.strongdm.account_id(person.1).expect("an account");
    let all = scene.strongdm.all_grants();
    let theirs = || all.iter().filter(|grant| grant.account_id == account);
    (theirs().map(|grant| grant.created_at).max(), theirs().filter_map(|grant| grant.deleted_at).max())
}

#[tokio::test]
async fn a_swapped_shift_and_a_signed_webhook_give_access_at_once_and_take_it_after_a_second_look() {
    let scene = Scene::running(Config::default()).await;
    let mut swaps = Vec::new();
    let is_prompt =
        |(given, taken): &(TimeDelta, TimeDelta)| given.num_seconds() < 1 && taken.num_seconds() < 8;
    // A machine that is busy with other things slows some of them down.
    while !swaps.iter().any(is_prompt) {
        assert!(swaps.len() < 8, "access is given and taken after {swaps:?}");
        let (on, off) = if swaps.len() % 2 == 0 { (CEM, ANA) } else { (ANA, CEM) };
        scene.shifts(SCHEDULE, &[(on, -60, 120), (BO, 120, 240)]);
        let told = scene.now();
        scene.deliver(&scene.about(SCHEDULE)).await;
        scene.access_becomes(on, DB, &[(0, 120)]).await;
        scene.access_becomes(off, DB, &[]).await;
        let (given, taken) = (newest(&scene, on).0.expect("made"), newest(&scene, off).1.expect("removed"));
        assert!(taken - told >= TimeDelta::seconds(2), "one look takes nothing away");
        swaps.push((given - told, taken - told));
    }
    assert_eq!(scene.access(BO, DB), [(120, 240)]);
    assert_eq!(scene.writes(), (2 + swaps.len(), swaps.len()));
}

#[tokio::test]
async fn without_any_event_a_change_is_found_at_the_next_interval() {
    let scene = Scene::running(Config { interval: "1s", ..Config::default() }).await;
    let mut people = [CEM, ANA].into_iter().cycle();
    some_attempt_within(Duration::from_secs(3), "the next interval", async || {
        let person = people.next().expect("no end");
        scene.shifts(SCHEDULE, &[(person, -60, 120)]);
        scene.access_becomes(person, DB, &[(0, 120)]).await;
    })
    .await;
    scene.access_becomes(BO, DB, &[]).await;
}

#[tokio::test]
async fn access_begins_early_and_ends_late_as_the_rule_says() {
    let margins = "start_early = \"30m\"\nend_late = \"15m\"\n";
    let rules = [rule("payments", &[SCHEDULE], &[DB]) + margins];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, -10), (ANA, -10, 120), (BO, 120, 240)]);
    scene.start().await;
    assert_eq!(scene.access(CEM, DB), [(0, 5)], "the shift is over, the access is not");
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 135)], vec![(90, 255)]));
    scene.synced().await;
    assert_eq!(scene.writes(), (3, 0));
}

#[tokio::test]
async fn what_several_rules_want_is_granted_once_and_stays_as_long_as_one_wants_it() {
    let rules = [
        rule("one", &[SCHEDULE], &[DB]),
        rule("two", &[SCHEDULE, LONELY_SCHEDULE], &[DB, "prod-web-1"]),
        rule("other", &[LONELY_SCHEDULE], &["prod-web-1"]),
    ];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);
    scene.shifts(LONELY_SCHEDULE, &[(ANA, 60, 180), (ANA, 180, 240)]);
    scene.start().await;
    for resource in [DB, "prod-web-1"] {
        assert_eq!(scene.access(ANA, resource), [(0, 240)]);
        assert_eq!(scene.strongdm.grants_of(ANA.1, resource).len(), 1, "neighbours and overlaps are one");
    }
    let rules = |resource: &'static str| {
        let path = format!("/api/grants?resource={resource}");
        let scene = &scene;
        async move { scene.get(&path).await.json()[0]["rules"].clone() }
    };
    assert_eq!(rules(DB).await, json!(["one", "two"]));
    assert_eq!(rules("prod-web-1").await, json!(["other", "two"]));

    scene.shifts(SCHEDULE, &[]);
    scene.synced().await;
    assert_eq!((scene.access(ANA, DB), scene.access(ANA, "prod-web-1")), (vec![(60, 240)], vec![(60, 240)]));
}
