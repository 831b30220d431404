//! `POST /trigger`: senders that cannot sign make us look, and do nothing else.

use reqwest::{Method, RequestBuilder};
use sandbox::world::{POLICY, SCHEDULE, V3_SCHEDULE};
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, ANA, Answer, BO, CEM, Config, DB, Scene, rule, wait_for};

const TERRAFORM: &str = "trigger-token-of-terraform-51c2";
const WORKFLOW: &str = "trigger-token-of-a-workflow-9be0";
const WEB: &str = "prod-web-1";

async fn scene() -> Scene {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("data", &[V3_SCHEDULE], &[WEB])];
    let trigger_tokens = vec![TERRAFORM, WORKFLOW];
    let mut scene = Scene::prepared(Config { trigger_tokens, ..Config::with_rules(rules) }).await;
    scene.shifts(V3_SCHEDULE, &[(BO, -60, 120)]);
    scene.start().await;
    scene
}

fn request(scene: &Scene, body: impl Into<reqwest::Body>) -> RequestBuilder {
    scene.request(Method::POST, "/trigger").bearer_auth(TERRAFORM).body(body)
}

async fn trigger(scene: &Scene, body: impl Into<reqwest::Body>) -> Answer {
    scene.send(request(scene, body)).await
}

/// The deliveries that triggers left, newest first, once passes have served all of them.
async fn served(scene: &Scene) -> Vec<Value> {
    wait_for("every trigger is served", async || {
        let events = scene.get("/api/events").await.json()["items"].as_array().expect("a list").clone();
        let all = events.iter().all(|event| event["pass_id"].is_string());
        (!events.is_empty() && all).then_some(events)
    })
    .await
}

#[tokio::test]
async fn a_trigger_makes_the_service_look_and_answers_nothing_about_access() {
    let scene = scene().await;
    scene.cem_takes_over();
    let answer = trigger(&scene, "").await;
    assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"status":"accepted"}"#));
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    scene.access_becomes(ANA, DB, &[]).await;
    let events = served(&scene).await;
    assert_eq!((&events[0]["event_type"], &events[0]["event_id"]), (&json!("trigger"), &Value::Null));
    assert_eq!(events[0]["schedules"], json!(["*"]), "everything was looked at");
}

#[tokio::test]
async fn ids_of_rules_narrow_the_look_wherever_they_stand() {
    let scene = scene().await;
    for (body, schedules) in [
        (json!({"schedules": [SCHEDULE]}).to_string(), json!([SCHEDULE])),
        (
            json!([1, {"deep": [{"text": format!("changed: {V3_SCHEDULE}")}]}]).to_string(),
            json!([V3_SCHEDULE]),
        ),
        (format!("schedule={SCHEDULE}&by=terraform"), json!([SCHEDULE])),
        (
            json!({"dry_run": false, "allow_mass_revocation": true, "policy": POLICY}).to_string(),
            json!(["*"]),
        ),
        ("no ID at all".to_owned(), json!(["*"])),
    ] {
        assert_eq!(trigger(&scene, body.clone()).await.status, 202, "{body}");
        assert_eq!(served(&scene).await[0]["schedules"], schedules, "{body}");
    }
}

#[tokio::test]
async fn no_body_does_any_harm() {
    let scene = scene().await;
    let before = scene.writes();
    for body in [
        "[".repeat(65_536).into_bytes(),
        "{\"a\":".repeat(10_000).into_bytes(),
        b"\xff\xfe\x00\\u\\".to_vec(),
        br#"{"email": "ana@example.com", "resource": "prod-postgres", "grant": true, "schedules": []}"#
            .to_vec(),
    ] {
        assert_eq!(trigger(&scene, body).await.text, r#"{"status":"accepted"}"#);
    }
    trigger(&scene, vec![b' '; 65_537]).await.assert_error(413, "too_large");
    served(&scene).await;
    assert_eq!((scene.writes(), scene.access(ANA, DB)), (before, vec![(0, 120)]));
}

#[tokio::test]
async fn a_trigger_token_opens_this_route_alone_and_the_admin_token_opens_it_too() {
    let scene = scene().await;
    for token in [TERRAFORM, WORKFLOW, ADMIN_TOKEN] {
        let request = scene.request(Method::POST, "/trigger").bearer_auth(token);
        assert_eq!(scene.send(request).await.status, 202);
    }
    let wrong = &TERRAFORM[1..];
    for request in [
        scene.request(Method::POST, "/trigger"),
        scene.request(Method::POST, "/trigger").bearer_auth(wrong),
        scene.request(Method::POST, "/trigger").bearer_auth(format!("{TERRAFORM},{WORKFLOW}")),
        scene.request(Method::POST, "/trigger").bearer_auth(""),
        scene.request(Method::POST, &format!("/trigger?token={TERRAFORM}")),
    ] {
        scene.send(request).await.assert_error(401, "unauthorized");
    }
    for (method, path) in [
        (Method::POST, "/sync"),
        (Method::GET, "/api/grants"),
        (Method::GET, "/api/events"),
        (Method::GET, "/"),
    ] {
        let answer = scene.send(scene.request(method, path).bearer_auth(TERRAFORM)).await;
        answer.assert_error(401, "unauthorized");
    }
    let told = scene.logged(1, "with a wrong trigger token").await;
    assert!(told[0].contains("for /trigger") && !told[0].contains(wrong), "{told:?}");
    let metrics = scene.get("/metrics").await.text;
    assert!(metrics.contains("oncall_grants_triggers_total{result=\"accepted\"} 3\n"), "{metrics}");
}

#[tokio::test]
async fn without_trigger_tokens_the_admin_token_alone_serves() {
    let scene = Scene::running(Config::default()).await;
    let request = |token: &str| scene.request(Method::POST, "/trigger").bearer_auth(token);
    scene.send(request("")).await.assert_error(401, "unauthorized");
    scene.send(request(TERRAFORM)).await.assert_error(401, "unauthorized");
    assert_eq!(scene.send(request(ADMIN_TOKEN)).await.status, 202);
}

#[tokio::test]
async fn a_storm_of_triggers_costs_one_look_a_second() {
    let scene = scene().await;
    scene.pagerduty.clear_requests();
    let began = std::time::Instant::now();
    let body = json!({"schedules": [SCHEDULE]}).to_string();
    let storm = (0..300).map(|_| trigger(&scene, body.clone()));
    let statuses: Vec<u16> =
        futures_util::future::join_all(storm).await.iter().map(|answer| answer.status).collect();
    // A disk that is busy with other things may take too long, of which the sender is told.
    assert!(
        statuses.iter().all(|status| [202, 503].contains(status)) && statuses.contains(&202),
        "{statuses:?}"
    );
    served(&scene).await;
    scene.assert_few_refreshes_since(began);
}
