//! The guard against revoking too much at once.

use sandbox::{
    pagerduty::User,
    world::{SCHEDULE, V3_SCHEDULE},
};
use serde_json::json;

use crate::support::{ANA, BO, CEM, Config, Person, Scene, rule};

const DB: &str = "prod-postgres";
const EVE: Person = ("PE5EVE1", "eve@example.com");

/// Three people are on call at once; one revocation is allowed in a pass.
async fn scene() -> Scene {
    let rules = [rule("all", &[V3_SCHEDULE], &[DB])];
    let mut scene = Scene::set(Config { max_revocations: 1, ..Config::with_rules(rules) }).await;
    scene.pagerduty.add_user(User::new(EVE.0, "Eve Roy", EVE.1));
    scene.strongdm.add_user(EVE.1);
    scene.shifts(
        V3_SCHEDULE,
        &[(ANA, -60, 120), (BO, -60, 120), (CEM, -60, 120), (ANA, 300, 400), (BO, 300, 400)],
    );
    scene.start().await;
    assert_eq!(scene.strongdm.grants().len(), 5);
    scene
}

/// The log tells of held revocations so often, and not more often.
async fn told(scene: &Scene, times: usize) {
    let lines = scene.logged(times, "are held").await;
    assert_eq!(lines.len(), times, "one line, however many passes");
}

#[tokio::test]
async fn more_revocations_than_allowed_are_held_until_somebody_confirms_them() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[(EVE, -60, 120)]);
    scene.deliver(&scene.about(V3_SCHEDULE)).await;
    scene.access_becomes(EVE, DB, &[(0, 120)]).await;
    scene.all_served().await;
    for _ in 0..3 {
        let answer = scene.sync().await;
        assert_eq!((answer.status, answer.count("held")), (409, 5), "{}", answer.text);
        assert_eq!((answer.count("revoked"), &answer.json()["unchanged"]), (0, &json!(1)));
    }
    scene.deliver(&scene.about(V3_SCHEDULE)).await;
    scene.all_served().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120), (300, 400)]);
    told(&scene, 1).await;
    assert!(scene.get("/metrics").await.text.contains("oncall_grants_held_revocations 5\n"));

    let answer = scene.sync_with(json!({"dry_run": true, "allow_mass_revocation": true})).await;
    assert_eq!((answer.status, answer.count("revoked")), (200, 5), "{}", answer.text);
    assert_eq!(scene.writes().1, 0);

    let answer = scene.sync_with(json!({"allow_mass_revocation": true})).await;
    assert_eq!(
        (answer.status, answer.count("revoked"), answer.count("held")),
        (200, 5, 0),
        "{}",
        answer.text
    );
    assert_eq!(scene.strongdm.grants().len(), 1);
    scene.synced().await;

    // Only that pass was let through.
    scene.shifts(V3_SCHEDULE, &[(EVE, -60, 120), (ANA, -60, 120), (BO, -60, 120)]);
    scene.synced().await;
    scene.shifts(V3_SCHEDULE, &[]);
    assert_eq!(scene.sync().await.status, 409);
    told(&scene, 2).await;
}

#[tokio::test]
async fn held_revocations_are_done_once_fewer_are_due() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[(EVE, -60, 120)]);
    assert_eq!(scene.sync().await.status, 409);
    scene.shifts(V3_SCHEDULE, &[(EVE, -60, 120), (ANA, -60, 120), (BO, -60, 120)]);
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.count("revoked")), (200, 3), "{}", answer.text);
    assert_eq!(scene.access(CEM, DB), []);
}

#[tokio::test]
async fn grants_to_come_do_not_count() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[(ANA, -60, 120), (BO, -60, 120)]);
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.count("revoked")), (200, 3), "{}", answer.text);
}

#[tokio::test]
async fn a_guard_of_none_holds_every_revocation_and_a_swap_gives_access_all_the_same() {
    let scene = Scene::running(Config { max_revocations: 0, ..Config::default() }).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 120), (BO, 120, 240)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.count("held")), (409, 1));
    let held = &answer.json()["held"][0];
    assert_eq!((&held["email"], &held["resource"]), (&json!(ANA.1), &json!(DB)));
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
}
