//! The operator's routes: who may use them, what they take, and how they refuse.

use std::time::Instant;

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use sandbox::{
    faults::{Action, Fault},
    world::{LONELY_SCHEDULE, SCHEDULE},
};
use serde_json::json;

use crate::support::{ADMIN_TOKEN, ANA, BO, CEM, Config, DB, Scene, rule};

const ADMIN_ROUTES: [(Method, &str); 6] = [
    (Method::POST, "/sync"),
    (Method::GET, "/api/grants"),
    (Method::GET, "/api/audit"),
    (Method::GET, "/api/audit/checkpoint"),
    (Method::GET, "/api/events"),
    (Method::GET, "/review"),
];

#[tokio::test]
async fn the_admin_token_is_asked_for_on_every_route_of_the_operator() {
    let scene = Scene::running(Config::default()).await;
    for (method, path) in ADMIN_ROUTES {
        let request = || scene.request(method.clone(), path);
        let wrong = &ADMIN_TOKEN[..ADMIN_TOKEN.len() - 1];
        for (case, request) in [
            ("none", request()),
            ("wrong", request().bearer_auth(wrong)),
            ("longer", request().bearer_auth(format!("{ADMIN_TOKEN}x"))),
            ("empty", request().header("Authorization", "Bearer ")),
            ("wrong password", request().basic_auth("admin", Some(wrong))),
            ("the token as the user", request().basic_auth(ADMIN_TOKEN, None::<&str>)),
            ("in the query", scene.request(method.clone(), &format!("{path}?token=x&admin_token=x"))),
        ] {
            let answer = scene.send(request).await;
            answer.assert_error(401, "unauthorized");
            assert!(answer.headers.contains_key("www-authenticate"), "{case} {path}");
        }
        assert_eq!(scene.send(request().bearer_auth(ADMIN_TOKEN)).await.status, 200, "{path}");
        assert_eq!(scene.send(request().basic_auth("anyone", Some(ADMIN_TOKEN))).await.status, 200, "{path}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(scene.send(scene.request(Method::GET, path)).await.status, 200, "{path}");
    }
    let metrics = scene.get("/metrics").await.text;
    for (result, count) in [("no_token", 2), ("wrong_token", 5)] {
        let count = count * ADMIN_ROUTES.len();
        let sample = format!("oncall_grants_admin_requests_refused_total{{result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&sample), "{sample} is not in {metrics}");
    }
    let told = scene.logged(1, "with a wrong admin token").await;
    assert!(
        told.len() < 5 && told[0].contains("from 127.0.0.1") && told[0].contains("for /sync"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_pass_does_not_wait_for_whoever_only_looks() {
    let scene = Scene::running(Config::default()).await;
    let gate = scene.strongdm.faults().gate_with(Fault::on("Resources.List", Action::Stall));
    let look = async { (scene.sync_with(json!({"dry_run": true})).await.status, Instant::now()) };
    let pass = async {
        gate.arrived().await;
        let pass = (scene.sync().await.status, Instant::now());
        gate.open();
        pass
    };
    let ((looked, look_ended), (passed, pass_ended)) = tokio::join!(look, pass);
    assert_eq!((looked, passed), (200, 200));
    assert!(pass_ended < look_ended, "the pass waited for the dry run");
}

/// PagerDuty does not answer somebody who looks, and does answer the pass that a webhook asks for meanwhile.
#[tokio::test]
async fn nobody_who_comes_on_call_waits_for_an_answer_that_somebody_who_looks_does_not_get() {
    let scene = Scene::running(Config::default()).await;
    let explanation = format!("/api/explain?email={}", ANA.1);
    let mut swaps = Vec::new();
    // A machine that is busy with other things slows some of them down.
    while !swaps.iter().any(|given: &TimeDelta| given.num_milliseconds() < 1500) {
        assert!(swaps.len() < 8, "access is given after {swaps:?}");
        let gate = scene.pagerduty.faults().gate_with(Fault::on("GET /oncalls", Action::Stall));
        let handed_over = async {
            gate.arrived().await;
            let (on, off) = if swaps.len() % 2 == 0 { (CEM, ANA) } else { (ANA, CEM) };
            scene.shifts(SCHEDULE, &[(on, -60, 120), (BO, 120, 240)]);
            let told = scene.now();
            scene.deliver(&scene.about(SCHEDULE)).await;
            scene.access_becomes(on, DB, &[(0, 120)]).await;
            let given = scene.now() - told;
            scene.access_becomes(off, DB, &[]).await;
            gate.open();
            given
        };
        let (looked, given) = tokio::join!(scene.get(&explanation), handed_over);
        assert_eq!(looked.status, 200, "{}", looked.text);
        swaps.push(given);
    }
}

#[tokio::test]
async fn another_site_cannot_make_a_browser_ask_for_a_pass() {
    let scene = Scene::running(Config::default()).await;
    for (name, value) in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        let request = scene.request(Method::POST, "/sync").basic_auth("x", Some(ADMIN_TOKEN));
        let answer = scene.send(request.header(name, value)).await;
        answer.assert_error(403, "cross_site");
    }
    let request = scene.request(Method::POST, "/sync").basic_auth("x", Some(ADMIN_TOKEN));
    let answer = scene.send(request.header("Sec-Fetch-Site", "same-origin")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_a_request_gets_wrong_is_told_as_json() {
    let scene = Scene::running(Config::default()).await;
    let writes = scene.writes();
    for body in [
        "{",
        "nonsense",
        "[]",
        "7",
        r#""dry_run""#,
        r#"{"dry_run": "yes"}"#,
        r#"{"dry_run": null}"#,
        r#"{"schedules": "PI7DH85"}"#,
        r#"{"schedules": [7]}"#,
        r#"{"dryrun": true}"#,
        r#"{"dry_run": true} {}"#,
        r#"{"dry_run": true, "dry_run": false}"#,
    ] {
        let answer = scene.sync_with(body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        answer.assert_error(400, "bad_request");
    }
    scene.sync_with(json!({"schedules": ["PNOBODY"]})).await.assert_error(404, "unknown_schedule");
    scene
        .sync_with(json!({"schedules": [SCHEDULE, LONELY_SCHEDULE]}))
        .await
        .assert_error(404, "unknown_schedule");
    scene.sync_with("x".repeat(1024 * 1024)).await.assert_error(413, "too_large");
    for (method, path, allow, message) in [
        (Method::GET, "/sync", "POST", "use POST here"),
        (Method::GET, "/webhooks/pagerduty", "POST", "use POST here"),
        (Method::DELETE, "/api/grants", "GET,HEAD", "use GET or HEAD here"),
    ] {
        let answer = scene.send(scene.request(method, path).bearer_auth(ADMIN_TOKEN)).await;
        answer.assert_error(405, "method_not_allowed");
        assert_eq!((answer.header("allow"), &answer.json()["message"]), (allow, &json!(message)), "{path}");
    }
    let answer = scene.sync_with("7").await.json();
    assert!(
        answer["message"].as_str().is_some_and(|told| told.contains("expected a JSON object")),
        "{answer}"
    );
    for path in ["/nothing", "/api", "/api/grants/", "/webhooks"] {
        scene.get(path).await.assert_error(404, "not_found");
    }
    for path in [
        "/api/audit?limit=0",
        "/api/audit?limit=501",
        "/api/events?limit=0",
        "/api/events?limit=501",
        "/api/events?limit=-1",
        "/api/events?limit=ten",
        "/api/events?before=x",
        "/api/events?page=2",
        "/api/grants?active=perhaps",
        "/api/grants?mail=ana@example.com",
    ] {
        scene.get(path).await.assert_error(400, "bad_request");
    }
    assert_eq!(scene.writes(), writes);
}

#[tokio::test]
async fn a_dry_run_tells_the_plan_and_writes_nothing() {
    let scene = Scene::running(Config::default()).await;
    let (events, audit) = (scene.events().await, scene.audit().await);
    scene.shifts(SCHEDULE, &[(BO, -60, 120)]);
    for _ in 0..2 {
        let answer = scene.sync_with(json!({"dry_run": true})).await;
        let report = answer.report();
        assert_eq!((answer.status, report.dry_run), (200, true));
        assert_eq!((report.created.len(), report.revoked.len()), (1, 2));
        assert_eq!((report.created[0].email.as_str(), &report.created[0].id), (BO.1, &None));
    }
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert_eq!(scene.writes(), (2, 0));
    assert_eq!((scene.events().await, scene.audit().await), (events, audit));
}

#[tokio::test]
async fn a_pass_for_one_schedule_leaves_the_others_unasked() {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("alone", &[LONELY_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::running(Config::with_rules(rules)).await;
    scene.shifts(SCHEDULE, &[(BO, -60, 120)]);
    scene.shifts(LONELY_SCHEDULE, &[(BO, -60, 120)]);
    let answer = scene.sync_with(json!({"schedules": [SCHEDULE]})).await;
    assert_eq!(answer.status, 200);
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![], vec![(0, 120)]));
    assert_eq!(scene.access(BO, "prod-web-1"), [], "nobody asked for this one");
    scene.synced().await;
    assert_eq!(scene.access(BO, "prod-web-1"), [(0, 120)]);
}

#[tokio::test]
async fn requests_that_come_during_a_pass_share_the_next_one() {
    let scene = Scene::running(Config::default()).await;
    let mut refreshes = Vec::new();
    // Nothing shows that a request waits. On a busy machine one of them may come only when the next pass has begun to look.
    while refreshes.len() < 10 {
        let before = scene.refreshes();
        let gate = scene.pagerduty.faults().gate("GET /oncalls");
        let first = scene.synced();
        let others = async {
            gate.arrived().await;
            let others = join_all((0..5).map(async |_| scene.synced().await));
            let opened = async {
                // The others were sent before these, so they have arrived after them.
                for _ in 0..30 {
                    scene.get("/healthz").await;
                }
                gate.open();
            };
            futures_util::future::join(others, opened).await.0
        };
        let (first, others) = futures_util::future::join(first, others).await;
        assert!(others.iter().all(|other| other.pass_id != first.pass_id), "it looked before they asked");
        refreshes.push(scene.refreshes() - before);
        if refreshes.last() == Some(&2) {
            assert!(others.iter().all(|other| other.pass_id == others[0].pass_id), "{others:#?}");
            return;
        }
    }
    panic!("six requests led to {refreshes:?} refreshes");
}
