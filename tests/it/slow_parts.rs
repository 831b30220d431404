//! What PagerDuty or strongDM answer late, or never, keeps back only what depends on it; and many things are asked for in
//! few requests.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use oncall_grants::model::Asked;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Policy, Schedule, Shift, Target, User},
    strongdm::ResourceKind,
};
use serde_json::json;

use crate::support::{ANA, Config, Scene, rule};

/// So long is somebody without access who could have it.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Whether `/oncalls` tells who is on call through a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedules {
    InPolicies,
    InNoPolicy,
}

fn schedule(number: usize) -> String {
    format!("PS{number:03}")
}

fn user(number: usize) -> String {
    format!("PU{number:03}")
}

fn email(number: usize) -> String {
    format!("person-{number}@example.com")
}

fn resource(number: usize) -> String {
    format!("db-{number}")
}

/// So many schedules, each with a person of its own on call, who gets a resource of its own.
async fn many(count: usize, which: Schedules) -> Scene {
    let rules = (0..count).map(|n| rule(&format!("rule {n}"), &[&schedule(n)], &[&resource(n)]));
    let scene = Scene::prepared(Config::with_rules(rules)).await;
    let mut targets = Vec::new();
    for n in 0..count {
        scene.pagerduty.add_user(User::new(&user(n), &format!("Person {n}"), &email(n)));
        let shift = Shift::new(&user(n), scene.minute(-60), scene.minute(120));
        scene.pagerduty.put_schedule(Schedule::layers(&schedule(n), &format!("Schedule {n}")).with(shift));
        targets.push(Target::schedule(&schedule(n)));
        scene.strongdm.add_user(&email(n));
        scene.strongdm.add_resource(ResourceKind::Postgres, &resource(n), &[]);
    }
    if which == Schedules::InPolicies {
        scene.pagerduty.put_policy(Policy::new("PMANY00", "Everybody", vec![targets]));
    }
    scene
}

/// Waits until this person has the resource of the same number.
async fn has_access(scene: &Scene, number: usize) {
    let what = format!("person {number} has access");
    crate::support::wait_until(&what, async || {
        scene.strongdm.has_access(&email(number), &resource(number), scene.now())
    })
    .await;
}

/// How often each method of strongDM was called.
fn calls(scene: &Scene) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in scene.strongdm.calls() {
        *counts.entry(call.method).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn schedules_in_no_policy_are_asked_for_four_at_a_time_and_each_gives_access() {
    const COUNT: usize = 60;
    let each = Duration::from_millis(400);
    let mut scene = many(COUNT, Schedules::InNoPolicy).await;
    scene.pagerduty.faults().add(Fault::on("GET /schedules", Action::delay(each)).until_cleared());
    let began = Instant::now();
    scene.start().await;
    for number in 0..COUNT {
        has_access(&scene, number).await;
    }
    let one_by_one = each * u32::try_from(COUNT).expect("a few");
    assert!(began.elapsed() < one_by_one, "{:?}, and {one_by_one:?} one by one", began.elapsed());
    assert_eq!(scene.pagerduty.max_in_flight(), 4);
    let users =
        scene.pagerduty.requests().iter().filter(|request| request.path.starts_with("/users/")).count();
    assert!(users < COUNT / 2, "{users} of {COUNT} people were asked for one by one");
}

#[tokio::test]
async fn a_schedule_that_fails_or_stalls_is_the_only_one_that_is_unknown() {
    const COUNT: usize = 60;
    for action in [Action::http(500, ""), Action::Stall] {
        let mut scene = many(COUNT, Schedules::InPolicies).await;
        let culprit = Fault::on("GET /oncalls", action).containing(schedule(17)).until_cleared();
        scene.pagerduty.faults().add(culprit);
        scene.start().await;
        for number in (0..COUNT).filter(|number| *number != 17) {
            has_access(&scene, number).await;
        }
        scene.pagerduty.clear_requests();
        let answer = scene.sync().await;
        assert_eq!(answer.status, 502);
        let unknown: Vec<Asked> = answer.report().unknown.into_iter().map(|unknown| unknown.about).collect();
        assert_eq!(unknown, [Asked::Schedule(schedule(17).as_str().into())]);
        // Two chunks, twelve requests until the culprit stands alone, and some to try that again.
        let asked = scene.pagerduty.requests().len();
        assert!(asked <= 32, "{asked} requests");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_schedule_that_stalls() {
    let mut scene = many(8, Schedules::InPolicies).await;
    let culprit = Fault::on("GET /oncalls", Action::Stall).containing(schedule(3)).until_cleared();
    scene.pagerduty.faults().add(culprit);
    scene.start().await;
    // By an event, while the culprit may still be waited for by the look at everything.
    let shift = Shift::new(ANA.0, scene.minute(-60), scene.minute(120));
    scene.pagerduty.set_shifts(&schedule(5), vec![shift]);
    let began = Instant::now();
    scene.deliver(&scene.about(&schedule(5))).await;
    crate::support::wait_until("Ana has access", async || {
        scene.strongdm.has_access(ANA.1, &resource(5), scene.now())
    })
    .await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn nobody_waits_for_people_who_cannot_be_asked_about() {
    let mut scene = many(8, Schedules::InNoPolicy).await;
    for number in 0..5 {
        let stall = Fault::on(format!("GET /users/{}", user(number)), Action::Stall).until_cleared();
        scene.pagerduty.faults().add(stall);
    }
    scene.start().await;
    for number in 5..8 {
        has_access(&scene, number).await;
    }
    let shift = Shift::new(&user(6), scene.minute(-60), scene.minute(120));
    scene.pagerduty.set_shifts(&schedule(7), vec![shift]);
    let began = Instant::now();
    scene.deliver(&scene.about(&schedule(7))).await;
    crate::support::wait_until("the relief has access", async || {
        scene.strongdm.has_access(&email(6), &resource(7), scene.now())
    })
    .await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let answer = scene.sync().await;
    let unknown: Vec<Asked> = answer.report().unknown.into_iter().map(|unknown| unknown.about).collect();
    let expected: Vec<Asked> = (0..5).map(|number| Asked::User(user(number).as_str().into())).collect();
    assert_eq!(unknown, expected);
}

#[tokio::test]
async fn a_look_at_everything_takes_few_requests_however_many_people_are_on_call() {
    const COUNT: usize = 120;
    let mut scene = many(COUNT, Schedules::InPolicies).await;
    scene.start().await;
    assert_eq!(scene.strongdm.grants().len(), COUNT);
    let before = calls(&scene);
    scene.pagerduty.clear_requests();
    let report = scene.synced().await;
    assert_eq!(report.unchanged, COUNT);
    // Three chunks of schedules, none of them with more than a page of shifts.
    assert_eq!(scene.pagerduty.requests().len(), 3);
    let after = calls(&scene);
    let more = |method: &str| after.get(method).unwrap_or(&0) - before.get(method).unwrap_or(&0);
    assert_eq!((more("Accounts.List"), more("Resources.List")), (1, 2));
}

#[tokio::test]
async fn an_event_about_one_schedule_asks_about_that_one_first() {
    const COUNT: usize = 60;
    let mut scene = many(COUNT, Schedules::InPolicies).await;
    scene.start().await;
    let shift = Shift::new(&user(6), scene.minute(-60), scene.minute(120));
    scene.pagerduty.add_shift(&schedule(7), shift);
    scene.pagerduty.clear_requests();
    let before = calls(&scene);
    scene.deliver(&scene.about(&schedule(7))).await;
    crate::support::wait_until("the second person has access", async || {
        scene.strongdm.has_access(&email(6), &resource(7), scene.now())
    })
    .await;
    let requests = scene.pagerduty.requests();
    let first = &requests[0];
    assert!(first.path == "/oncalls" && first.query.contains(&schedule(7)), "{first:?}");
    assert!(!first.query.contains(&schedule(8)), "{first:?}");
    let after = calls(&scene);
    for method in ["Accounts.List", "Resources.List"] {
        assert_eq!(after.get(method), before.get(method), "{method}");
    }
}

#[tokio::test]
async fn whoever_only_wants_to_know_does_not_keep_an_event_waiting() {
    let mut scene = many(8, Schedules::InPolicies).await;
    scene.start().await;
    let gate = scene.pagerduty.faults().gate_with(Fault::on("GET /oncalls", Action::Stall).times(1));
    let dry_run = async {
        let answer = scene.sync_with(json!({"dry_run": true})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    let event = async {
        gate.arrived().await;
        scene
            .pagerduty
            .set_shifts(&schedule(5), vec![Shift::new(ANA.0, scene.minute(-60), scene.minute(120))]);
        scene.deliver(&scene.about(&schedule(5))).await;
        crate::support::wait_until("Ana has access", async || {
            scene.strongdm.has_access(ANA.1, &resource(5), scene.now())
        })
        .await;
        gate.open();
    };
    tokio::join!(dry_run, event);
}
