//! To give access takes one look, to take it away takes two.

use std::time::{Duration, Instant};

use sandbox::{
    faults::{Action, Fault},
    world::SCHEDULE,
};
use serde_json::{Value, json};

use crate::support::{ANA, BO, CEM, Config, DB, Scene, nobody_on_call, wait_until};

/// The second look comes no earlier.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// PagerDuty says once that nobody is on call.
fn nobody_for_once(scene: &Scene) {
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", nobody_on_call()));
    let empty = json!({"schedule": {"id": SCHEDULE, "final_schedule": {"rendered_schedule_entries": [], "rendered_coverage_percentage": 0.0}}});
    scene.pagerduty.faults().add(Fault::on("GET /schedules/", Action::http(200, empty.to_string())));
}

/// The service looked at least so often since the last clearing.
async fn looked(scene: &Scene, times: usize) {
    wait_until("the service looks again", async || scene.refreshes() >= times).await;
}

#[tokio::test]
async fn one_wrong_answer_takes_nothing_away() {
    let scene = Scene::running(Config::default()).await;
    nobody_for_once(&scene);
    assert_eq!(scene.synced().await.revoked, []);
    nobody_for_once(&scene);
    scene.pagerduty.clear_requests();
    scene.deliver(&scene.about(SCHEDULE)).await;
    looked(&scene, 2).await;
    scene.all_served().await;
    scene.synced().await;
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![(120, 240)]));
    assert_eq!(scene.writes(), (2, 0));
}

#[tokio::test]
async fn the_second_look_comes_by_itself_and_after_a_restart() {
    let mut scene = Scene::running(Config { interval: "1h", ..Config::default() }).await;
    scene.cem_takes_over();
    let gate = scene.pagerduty.faults().gate("GET /oncalls");
    gate.release_one();
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    gate.arrivals(2).await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    scene.kill();
    scene.pagerduty.faults().clear();
    scene.start().await;
    scene.access_becomes(ANA, DB, &[]).await;
    // Access ends before that is written down.
    wait_until("the revocation is in the audit", async || {
        let is_this = |entry: &Value| entry["action"] == "revoke" && entry["grant"]["email"] == ANA.1;
        scene.audit().await.iter().any(is_this)
    })
    .await;
}

/// Ana's place is taken by Bo, and his by Cem a moment later. What strongDM was asked for Cem; none if that took so
/// long that a second look was due.
async fn asked_for_the_second_of_two_hand_overs() -> Option<Vec<String>> {
    let mut scene = Scene::prepared(Config::default()).await;
    let put_on_call = |scene: &Scene, person| {
        scene.shifts(SCHEDULE, &[(person, -60, 120), (BO, 120, 240), (CEM, 240, 360)]);
    };
    put_on_call(&scene, ANA);
    scene.start().await;
    let began = Instant::now();
    put_on_call(&scene, BO);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(BO, DB, &[(0, 240)]).await;
    let before = scene.strongdm.calls().len();
    put_on_call(&scene, CEM);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120), (240, 360)]).await;
    let calls = scene.strongdm.calls().into_iter().skip(before).map(|call| call.method);
    (began.elapsed() < BETWEEN_LOOKS).then(|| calls.collect())
}

#[tokio::test]
async fn whoever_comes_on_call_between_the_looks_waits_for_nothing_that_is_known() {
    for _ in 0..5 {
        if let Some(asked) = asked_for_the_second_of_two_hand_overs().await {
            assert_eq!(asked.last().map(String::as_str), Some("AccountGrants.Create"));
            assert!(!asked.iter().any(|method| method.ends_with(".List")), "{asked:?}");
            return;
        }
    }
    panic!("two hand-overs took two seconds each time");
}
