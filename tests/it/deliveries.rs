//! What an accepted webhook leads to, however busy or broken everything around it is.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::Event,
    world::{LONELY_SCHEDULE, SCHEDULE, V3_SCHEDULE},
};
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::{ANA, CEM, Config, DB, Scene, rule, some_attempt_within};

/// What answers may take whatever goes on elsewhere.
const PROMPT: Duration = Duration::from_secs(1);

/// The requests to `/oncalls` so far, decoded.
fn questions(scene: &Scene) -> Vec<String> {
    let requests = scene.pagerduty.requests().into_iter();
    requests.filter(|request| request.path == "/oncalls").map(|request| request.query).collect()
}

#[tokio::test]
async fn a_webhook_is_answered_within_a_second_while_both_upstreams_stall() {
    let scene = Scene::running(Config::default()).await;
    let everything = || Fault::on("", Action::Stall).until_cleared();
    scene.pagerduty.faults().add(everything());
    scene.strongdm.faults().add(everything());
    for _ in 0..5 {
        some_attempt_within(PROMPT, "a webhook", async || scene.deliver(&scene.about(SCHEDULE)).await).await;
    }
    for path in ["/healthz", "/readyz", "/metrics", "/api/grants", "/api/events"] {
        some_attempt_within(PROMPT, path, async || assert_eq!(scene.get(path).await.status, 200)).await;
    }
}

#[tokio::test]
async fn events_during_a_pass_are_looked_at_by_others() {
    let scene = Scene::running(Config::default()).await;
    let before = scene.refreshes();
    let gate = scene.pagerduty.faults().gate("GET /oncalls");
    scene.deliver(&scene.about(SCHEDULE)).await;
    gate.arrived().await;
    for _ in 0..3 {
        scene.deliver(&scene.about(SCHEDULE)).await;
    }
    gate.open();
    scene.all_served().await;

    let refreshes = scene.refreshes() - before;
    assert!((2..=4).contains(&refreshes), "{refreshes}");
    let passes: Vec<Value> = scene.events().await.iter().map(|event| event["pass_id"].clone()).collect();
    assert!(
        passes[..3].iter().all(|pass| *pass != passes[3]),
        "no look before an event serves it: {passes:?}"
    );
}

#[tokio::test]
async fn a_burst_about_one_schedule_is_refreshed_together_and_none_is_lost() {
    let scene = Scene::running(Config::default()).await;
    scene.pagerduty.clear_requests();
    let began = Instant::now();
    join_all((0..100).map(async |_| scene.deliver(&scene.about(SCHEDULE)).await)).await;
    scene.all_served().await;

    assert_eq!(scene.events().await.len(), 100);
    scene.assert_few_refreshes_since(began);
    assert_eq!(scene.writes(), (2, 0));
}

#[tokio::test]
async fn an_event_makes_only_what_it_is_about_be_asked() {
    let rules = [
        rule("payments", &[SCHEDULE], &[DB]),
        rule("data", &[V3_SCHEDULE], &["prod-web-1"]),
        rule("also web", &[LONELY_SCHEDULE], &["prod-web-1"]),
    ];
    let scene = Scene::running(Config::with_rules(rules)).await;
    let named = |question: &str| -> Vec<&str> {
        [SCHEDULE, V3_SCHEDULE, LONELY_SCHEDULE].into_iter().filter(|id| question.contains(id)).collect()
    };
    for (what, event, expected) in [
        ("a schedule", scene.about(SCHEDULE), vec![SCHEDULE]),
        ("a schedule that shares its resource", scene.about(V3_SCHEDULE), vec![LONELY_SCHEDULE, V3_SCHEDULE]),
        (
            "an incident of a policy with two of them, and what shares a resource",
            scene.incident(),
            vec![SCHEDULE, LONELY_SCHEDULE, V3_SCHEDULE],
        ),
        ("a stranger", scene.about("PSTRANGER"), vec![SCHEDULE, LONELY_SCHEDULE, V3_SCHEDULE]),
    ] {
        scene.pagerduty.clear_requests();
        scene.deliver(&event).await;
        scene.all_served().await;
        // What was asked less than a second ago is asked by a pass of its own.
        let mut asked: Vec<&str> = questions(&scene).iter().flat_map(|question| named(question)).collect();
        asked.sort_unstable();
        assert_eq!(asked, expected, "{what}: each of them once");
    }
    assert_eq!(scene.writes().1, 0);
}

#[tokio::test]
async fn what_was_accepted_survives_a_sigkill_right_after_the_answer() {
    let mut scene = Scene::running(Config::default()).await;
    let gate = scene.pagerduty.faults().gate("GET /oncalls");
    scene.cem_takes_over();
    let (first, second) = (scene.about(SCHEDULE), scene.about(V3_SCHEDULE));
    scene.deliver(&first).await;
    gate.arrived().await;
    scene.deliver(&second).await;
    scene.kill();
    scene.pagerduty.faults().clear();

    scene.start().await;
    scene.all_served().await;
    let ids: Vec<Value> = scene.events().await.iter().map(|event| event["event_id"].clone()).collect();
    assert_eq!(ids, [json!(second.id), json!(first.id)]);
    assert_eq!(scene.access(CEM, DB), [(0, 120)]);
    scene.access_becomes(ANA, DB, &[]).await;
    assert_eq!(scene.post_signed(first.body()).await.json()["status"], "duplicate");
}

#[tokio::test]
async fn while_the_store_takes_no_writes_webhooks_are_put_off_and_readiness_says_so() {
    let scene = Scene::running(Config::default()).await;
    assert_eq!(scene.get("/readyz").await.json()["status"], "ready");
    let mut other = scene.open_store().await;
    other.execute("BEGIN IMMEDIATE").await.expect("a lock");

    let event = scene.about(SCHEDULE);
    some_attempt_within(PROMPT, "a refusal", async || {
        let answer = scene.post_signed(event.body()).await;
        answer.assert_error(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u32>().is_ok());
    })
    .await;
    scene.ready_becomes(503).await;
    assert_eq!(scene.get("/readyz").await.json()["status"], "store_unavailable");
    assert_eq!(scene.get("/healthz").await.status, 200);

    other.execute("ROLLBACK").await.expect("no lock");
    scene.ready_becomes(200).await;
    assert_eq!(scene.post_signed(event.body()).await.status, 202);
    scene.all_served().await;
    assert!(scene.has_received(&event).await);
}

#[tokio::test]
async fn the_list_of_events_tells_what_came_and_which_pass_served_it() {
    let scene = Scene::running(Config::default()).await;
    let event = scene.about(SCHEDULE);
    scene.deliver(&event).await;
    scene.all_served().await;
    scene.post_signed(Event::ping(scene.now()).body()).await;
    let events = scene.events().await;
    let keys: Vec<&String> = events[0].as_object().expect("an object").keys().collect();
    let mut expected = [
        "received_at",
        "event_id",
        "event_type",
        "webhook_id",
        "subscription",
        "status",
        "schedules",
        "names",
        "pass_id",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!((&events[0]["status"], &events[0]["pass_id"]), (&json!("ignored"), &Value::Null));
    assert_eq!(
        (&events[1]["event_id"], &events[1]["event_type"]),
        (&json!(event.id), &json!("schedule.updated"))
    );
    assert!(events[1]["pass_id"].is_string() && events[1]["received_at"].as_str().unwrap().ends_with('Z'));
}
