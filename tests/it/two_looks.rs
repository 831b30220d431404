//! To give access takes one look, to take it away takes two.

use sandbox::{
    faults::{Action, Fault},
    world::SCHEDULE,
};
use serde_json::{Value, json};

use crate::support::{ANA, BO, CEM, Config, Scene, wait_until};

const DB: &str = "prod-postgres";

/// PagerDuty says once that nobody is on call.
fn nobody_for_once(scene: &Scene) {
    let nobody = json!({"oncalls": [], "limit": 100, "offset": 0, "more": false, "total": 0}).to_string();
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(200, nobody)));
    let empty = json!({"schedule": {"id": SCHEDULE, "final_schedule": {"rendered_schedule_entries": [], "rendered_coverage_percentage": 0.0}}});
    scene.pagerduty.faults().add(Fault::on("GET /schedules/", Action::http(200, empty.to_string())));
}

/// The service looked at least so often since the last clearing.
async fn looked(scene: &Scene, times: usize) {
    wait_until("the service looks again", async || (scene.refreshes() >= times).then_some(())).await;
}

#[tokio::test]
async fn one_wrong_answer_takes_nothing_away() {
    let scene = Scene::running(Config::default()).await;
    nobody_for_once(&scene);
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.count("revoked")), (200, 0), "{}", answer.text);
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
    scene.shifts(SCHEDULE, &[(CEM, -60, 120), (BO, 120, 240)]);
    scene.pagerduty.clear_requests();
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    scene.kill();
    scene.start().await;
    scene.access_becomes(ANA, DB, &[]).await;
    wait_until("the audit tells", async || {
        let is_hers = |entry: &Value| entry["action"] == "revoke" && entry["grant"]["email"] == ANA.1;
        scene.audit().await.iter().any(is_hers).then_some(())
    })
    .await;
}
