//! Every kind of schedule and policy that PagerDuty answers with, pages, offsets and rate limits.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use futures_util::future::join_all;
use oncall_grants::model::Subject;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Policy, Shift, Target},
    world::{LONELY_SCHEDULE, POLICY, SCHEDULE, V3_SCHEDULE},
};
use serde_json::json;

use crate::support::{
    ANA, BO, CEM, Config, DB, DENIZ, Person, Scene, exit_code, policy_rule, rule, stderr, stdout,
};

/// One grant to a horizon of four hours, as seen from a moment between the start of the test and now.
fn is_granted_for_four_hours(scene: &Scene, person: Person, resource: &str) {
    let grants = scene.strongdm.grants_of(person.1, resource);
    assert_eq!(grants.len(), 1, "{grants:?}");
    let (end, hours) = (grants[0].end.expect("an end"), TimeDelta::hours(4));
    assert!((scene.zero + hours..=scene.now() + hours).contains(&end), "{end}");
}

#[tokio::test]
async fn overrides_come_and_go_while_the_service_runs() {
    let scene = Scene::running(Config::default()).await;
    let id = scene.pagerduty.add_override(SCHEDULE, CEM.0, scene.minute(30), scene.minute(150));
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(30, 150)]).await;
    scene.access_becomes(ANA, DB, &[(0, 30)]).await;
    scene.access_becomes(BO, DB, &[(150, 240)]).await;
    scene.pagerduty.remove_override(SCHEDULE, &id);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[]).await;
    scene.access_becomes(ANA, DB, &[(0, 120)]).await;
    scene.access_becomes(BO, DB, &[(120, 240)]).await;
    scene.all_served().await;
    assert!(scene.strongdm.has_access(ANA.1, DB, scene.now()));
}

#[tokio::test]
async fn a_schedule_in_no_policy_and_one_with_several_people_at_once_are_understood() {
    let rules = [rule("alone", &[LONELY_SCHEDULE], &[DB]), rule("data", &[V3_SCHEDULE], &["prod-web-1"])];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.shifts(LONELY_SCHEDULE, &[(ANA, -60, 60), (BO, 60, 90)]);
    scene.shifts(V3_SCHEDULE, &[(BO, -60, 60), (CEM, 0, 120), (DENIZ, 0, 120)]);
    let gap = Shift::nobody(scene.minute(120), scene.minute(180));
    scene.pagerduty.add_shift(V3_SCHEDULE, gap);
    scene.pagerduty.add_shift(V3_SCHEDULE, Shift::new(ANA.0, scene.minute(180), scene.minute(240)));
    scene.start().await;
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 60)], vec![(60, 90)]));
    assert_eq!(
        (scene.access(BO, "prod-web-1"), scene.access(CEM, "prod-web-1")),
        (vec![(0, 60)], vec![(0, 120)])
    );
    assert_eq!(scene.access(ANA, "prod-web-1"), [(180, 240)]);
    let report = scene.synced().await;
    assert_eq!(report.skipped[0].subject, Subject::Email(DENIZ.1.to_owned()));
    assert_eq!(scene.writes(), (5, 0));
}

#[tokio::test]
async fn a_schedule_upgraded_under_its_id_keeps_every_grant() {
    for (wrong_generation_is_404, schedule) in
        [(false, SCHEDULE), (false, LONELY_SCHEDULE), (true, LONELY_SCHEDULE)]
    {
        let mut scene = Scene::prepared(Config::with_rules([rule("one", &[schedule], &[DB])])).await;
        scene.pagerduty.configure(|settings| settings.wrong_generation_is_404 = wrong_generation_is_404);
        scene.shifts(schedule, &[(ANA, -60, 120), (BO, 120, 240)]);
        scene.start().await;
        for upgraded in [false, true] {
            if upgraded {
                scene.pagerduty.upgrade_schedule(schedule);
                scene.deliver(&scene.about(schedule)).await;
                scene.all_served().await;
            }
            assert_eq!(scene.synced().await.unchanged, 2);
            assert_eq!(scene.writes(), (2, 0), "{schedule}, upgraded: {upgraded}");
        }
        scene.shifts(schedule, &[(ANA, -60, 120), (CEM, 30, 240)]);
        scene.synced().await;
        assert_eq!((scene.access(ANA, DB), scene.access(CEM, DB)), (vec![(0, 120)], vec![(30, 240)]));
    }
}

#[tokio::test]
async fn policies_give_access_by_level_and_to_direct_targets_only_if_asked() {
    let rules = [
        policy_rule("first", &[DB]) + "escalation_levels = [1]\n",
        policy_rule("all", &["prod-web-1"]),
        policy_rule("always", &["prod-cluster"]) + "include_always_on_call = true\n",
    ];
    let mut scene = Scene::prepared(Config { horizon: "4h", ..Config::with_rules(rules) }).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 60), (BO, 60, 120)]);
    scene.shifts(V3_SCHEDULE, &[(BO, -60, 180)]);
    scene.pagerduty.put_policy(Policy::new(
        POLICY,
        "Payments",
        vec![
            vec![Target::schedule(SCHEDULE)],
            vec![Target::schedule(V3_SCHEDULE)],
            vec![Target::user(CEM.0)],
        ],
    ));
    scene.start().await;
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 60)], vec![(60, 120)]));
    assert_eq!(scene.access(BO, "prod-web-1"), [(0, 180)]);
    assert_eq!((scene.access(CEM, DB), scene.access(CEM, "prod-web-1")), (vec![], vec![]));
    is_granted_for_four_hours(&scene, CEM, "prod-cluster");
    let writes = scene.writes();
    scene.synced().await;
    assert_eq!(scene.writes(), writes);
}

#[tokio::test]
async fn long_lists_are_read_to_their_end() {
    join_all([26, 101].map(async |count| {
        let mut scene = Scene::prepared(Config::default()).await;
        scene.take_turns(count);
        scene.start().await;
        let granted: BTreeMap<i64, i64> = [ANA, BO].iter().flat_map(|who| scene.access(*who, DB)).collect();
        assert_eq!(granted, (0..count).map(|n| (n * 10, n * 10 + 10)).collect());
        scene.synced().await;
        assert_eq!(scene.writes(), (usize::try_from(count).expect("not negative"), 0));
    }))
    .await;
}

#[tokio::test]
async fn times_with_an_offset_and_cut_shifts_mean_the_same_instants() {
    let scene = Scene::running(Config::default()).await;
    let entry = |(id, email): (&str, &str), from: i64, to: i64| {
        let zone = chrono::FixedOffset::east_opt(3 * 3600 + 1800).expect("an offset");
        let time = |minute| scene.minute(minute).with_timezone(&zone).to_rfc3339();
        json!({
            "user": {"id": id, "type": "user", "email": email},
            "schedule": {"id": SCHEDULE, "type": "schedule_reference"},
            "escalation_policy": {"id": POLICY, "type": "escalation_policy_reference"},
            "escalation_level": 1,
            "start": time(from),
            "end": time(to),
        })
    };
    let oncalls = [entry(ANA, -60, 120), entry(BO, 120, 240)];
    let body = json!({"oncalls": oncalls, "limit": 100, "offset": 0, "more": false, "total": 2}).to_string();
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(200, body)).until_cleared());
    assert_eq!(scene.synced().await.unchanged, 2);
    scene.pagerduty.faults().clear();
    scene.pagerduty.configure(|settings| settings.cut_oncalls = true);
    assert_eq!(scene.synced().await.unchanged, 2);
    assert_eq!(scene.writes(), (2, 0));
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_with_and_without_word_of_when() {
    let headers = |pairs: &[(&str, &str)]| -> Action {
        let headers = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Action::Http { status: 429, body: String::new(), headers }
    };
    let cases = [
        (
            "explained",
            headers(&[("ratelimit-limit", "960"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "2")]),
            2,
        ),
        ("bare", headers(&[]), 0),
    ];
    join_all(cases.map(async |(name, action, seconds)| {
        let scene = Scene::running(Config::default()).await;
        scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
        scene.pagerduty.faults().add(Fault::on("GET /oncalls", action));
        scene.pagerduty.clear_requests();
        let began = Instant::now();
        scene.synced().await;
        assert!(began.elapsed() >= Duration::from_secs(seconds), "{name}: {:?}", began.elapsed());
        assert_eq!(scene.refreshes(), 3, "{name}: again after the refusal, and a second look");
        assert_eq!(scene.access(CEM, DB), [(0, 120)]);
    }))
    .await;
}

#[tokio::test]
async fn pagerduty_is_asked_few_things_at_a_time_whoever_asks() {
    let rules = [SCHEDULE, V3_SCHEDULE, LONELY_SCHEDULE].map(|id| rule(id, &[id], &[DB]));
    let scene = Scene::running(Config::with_rules(rules)).await;
    scene.pagerduty.faults().set_latency(Duration::from_millis(20));
    let requests = (0..6).map(async |n| match n % 3 {
        0 => drop(scene.sync().await),
        1 => drop(scene.sync_with(json!({"dry_run": true, "schedules": [LONELY_SCHEDULE]})).await),
        _ => scene.deliver(&scene.about(V3_SCHEDULE)).await,
    });
    join_all(requests).await;
    scene.all_served().await;
    assert!(scene.pagerduty.max_in_flight() <= 4, "{}", scene.pagerduty.max_in_flight());
}

#[tokio::test]
async fn an_on_call_without_an_end_is_granted_to_the_horizon_and_not_renewed_before_its_time() {
    let mut scene = Scene::prepared(Config { horizon: "4h", ..Config::default() }).await;
    scene.pagerduty.set_shifts(SCHEDULE, vec![Shift::endless(ANA.0, scene.minute(-60))]);
    scene.start().await;
    assert_eq!(scene.strongdm.grants().len(), 1);
    is_granted_for_four_hours(&scene, ANA, DB);
    for _ in 0..3 {
        scene.synced().await;
    }
    assert_eq!(scene.writes(), (1, 0));
}

#[tokio::test]
async fn a_horizon_and_margins_beyond_what_pagerduty_answers_for_are_asked_for_in_pieces() {
    let late = rule("payments", &[SCHEDULE], &["prod-postgres"]) + "end_late = \"30d\"\n";
    let scene = Scene::prepared(Config { horizon: "90d", ..Config::with_rules([late]) }).await;
    let day = 24 * 60;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 88 * day, 89 * day)]);
    let output = scene.run(&["sync"]).await;
    assert_eq!(exit_code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(scene.access(ANA, "prod-postgres"), [(0, 120 + 30 * day)]);
    assert_eq!(scene.access(BO, "prod-postgres"), [(88 * day, 119 * day)]);
}

#[tokio::test]
async fn a_list_that_pagerduty_does_not_manage_at_once_is_read_in_smaller_pages() {
    let scene = Scene::prepared(Config::default()).await;
    let turns: Vec<_> = (0..60).map(|n| (if n % 2 == 0 { ANA } else { BO }, n * 10, n * 10 + 10)).collect();
    scene.shifts(SCHEDULE, &turns);
    let too_much = Fault::on("GET /oncalls", Action::http(504, "")).containing("limit=100").until_cleared();
    scene.pagerduty.faults().add(too_much);
    let output = scene.run(&["sync"]).await;
    assert_eq!(exit_code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(scene.strongdm.grants().len(), 60);
}
