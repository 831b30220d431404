//! The guard against revoking too much at once.

use sandbox::{
    pagerduty::User,
    world::{SCHEDULE, V3_SCHEDULE},
};
use serde_json::json;

use crate::support::{ANA, BO, CEM, Config, DB, Person, Scene, rule};

const EVE: Person = ("PE5EVE1", "eve@example.com");

/// Three people are on call at once; one revocation is allowed in a pass.
async fn scene() -> Scene {
    let rules = [rule("all", &[V3_SCHEDULE], &[DB])];
    let mut scene = Scene::prepared(Config { max_revocations: 1, ..Config::with_rules(rules) }).await;
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
        let report = answer.report();
        assert_eq!((answer.status, report.held.len()), (409, 5), "{}", answer.text);
        assert_eq!((report.revoked.len(), report.unchanged), (0, 1));
    }
    scene.deliver(&scene.about(V3_SCHEDULE)).await;
    scene.all_served().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120), (300, 400)]);
    told(&scene, 1).await;
    assert_eq!(scene.metric("held_revocations").await, Some(5));

    let answer = scene.sync_with(json!({"dry_run": true, "allow_mass_revocation": true})).await;
    assert_eq!((answer.status, answer.report().revoked.len()), (200, 5), "{}", answer.text);
    assert_eq!(scene.writes().1, 0);

    let answer = scene.sync_with(json!({"allow_mass_revocation": true})).await;
    let report = answer.report();
    assert_eq!((answer.status, report.revoked.len(), report.held.len()), (200, 5, 0), "{}", answer.text);
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
    assert_eq!(scene.synced().await.revoked.len(), 3);
    assert_eq!(scene.access(CEM, DB), []);
}

#[tokio::test]
async fn grants_to_come_do_not_count() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[(ANA, -60, 120), (BO, -60, 120)]);
    assert_eq!(scene.synced().await.revoked.len(), 3);
}

#[tokio::test]
async fn a_guard_of_none_holds_every_revocation_and_a_swap_gives_access_all_the_same() {
    let scene = Scene::running(Config { max_revocations: 0, ..Config::default() }).await;
    scene.cem_takes_over();
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    let answer = scene.sync().await;
    let held = answer.report().held;
    assert_eq!((answer.status, held.len()), (409, 1));
    assert_eq!((held[0].email.as_str(), held[0].resource.as_str()), (ANA.1, DB));
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
}
