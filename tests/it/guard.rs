//! The guard against revoking too much at once.

use sandbox::{
    faults::{Action, Fault},
    pagerduty::User,
    world::{SCHEDULE, V3_SCHEDULE},
};
use serde_json::json;

use crate::support::{ANA, BO, CEM, Config, DB, Person, Scene, rule};

const EVE: Person = ("PE5EVE1", "eve@example.com");

/// Three people are on call at once; one revocation is allowed within a minute.
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
    scene.shifts(V3_SCHEDULE, &[(EVE, 120, 240)]);
    scene.deliver(&scene.about(V3_SCHEDULE)).await;
    scene.access_becomes(EVE, DB, &[(120, 240)]).await;
    scene.access_becomes(ANA, DB, &[(0, 120)]).await;
    for _ in 0..2 {
        let answer = scene.sync().await;
        let report = answer.report();
        assert_eq!((answer.status, report.held.len()), (409, 3), "{}", answer.text);
        assert_eq!((report.revoked.len(), report.unchanged), (0, 1));
    }
    told(&scene, 1).await;
    assert_eq!(scene.metric("held_revocations").await, Some(3));

    let narrow = scene.sync_with(json!({"schedules": [V3_SCHEDULE]})).await;
    assert_eq!((narrow.status, narrow.report().held.len()), (409, 3), "{}", narrow.text);

    let answer = scene.sync_with(json!({"dry_run": true, "allow_mass_revocation": true})).await;
    assert_eq!((answer.status, answer.report().revoked.len()), (200, 3), "{}", answer.text);
    assert_eq!(scene.writes().1, 2, "those of tomorrow alone");

    let answer = scene.sync_with(json!({"allow_mass_revocation": true})).await;
    let report = answer.report();
    assert_eq!((answer.status, report.revoked.len(), report.held.len()), (200, 3, 0), "{}", answer.text);
    assert_eq!(scene.strongdm.grants().len(), 1);
    scene.synced().await;

    // Only that pass was let through.
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 120), (ANA, -60, 120), (BO, -60, 120)]);
    scene.synced().await;
    scene.shifts(V3_SCHEDULE, &[]);
    assert_eq!(scene.sync().await.status, 409);
    told(&scene, 2).await;
}

#[tokio::test]
async fn a_confirmation_covers_what_was_held_when_it_was_asked_for() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[]);
    let unasked = scene.sync_with(json!({"allow_mass_revocation": true})).await;
    let held = unasked.report().held;
    assert_eq!((unasked.status, held.len()), (409, 3), "nothing was held before: {}", unasked.text);
    let confirmed = scene.sync_with(json!({"allow_mass_revocation": true})).await;
    assert_eq!((confirmed.status, confirmed.report().revoked.len()), (200, 3), "{}", confirmed.text);
}

#[tokio::test]
async fn what_is_held_stays_held_through_a_restart_and_while_the_source_is_silent() {
    let mut scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[]);
    assert_eq!(scene.sync().await.status, 409);
    scene.kill();
    scene.start().await;
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(500, "")).until_cleared());
    let silent = scene.sync_with(json!({"schedules": [V3_SCHEDULE]})).await;
    assert_eq!((silent.status, silent.report().held.len()), (502, 3), "{}", silent.text);
    scene.pagerduty.faults().clear();
    for _ in 0..2 {
        scene.deliver(&scene.about(V3_SCHEDULE)).await;
        scene.all_served().await;
    }
    assert_eq!(scene.sync().await.report().held.len(), 3);
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
}

#[tokio::test]
async fn held_revocations_are_done_once_people_are_wanted_again() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[]);
    assert_eq!(scene.sync().await.status, 409);
    scene.shifts(V3_SCHEDULE, &[(ANA, -60, 120), (BO, -60, 120)]);
    assert_eq!(scene.synced().await.revoked.len(), 1);
    assert_eq!(scene.access(CEM, DB), []);
}

#[tokio::test]
async fn grants_of_tomorrow_do_not_count() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[(ANA, -60, 120), (BO, -60, 120)]);
    assert_eq!(scene.synced().await.revoked.len(), 3);
}

#[tokio::test]
async fn a_hand_over_of_any_size_is_not_held() {
    let scene = scene().await;
    scene.shifts(V3_SCHEDULE, &[(EVE, -60, 120)]);
    assert_eq!(scene.synced().await.revoked.len(), 5);
    assert_eq!((scene.access(EVE, DB), scene.access(ANA, DB)), (vec![(0, 120)], vec![]));
}

#[tokio::test]
async fn revocations_within_a_minute_count_together() {
    let rules = [rule("db", &[SCHEDULE], &[DB]), rule("web", &[V3_SCHEDULE], &["prod-web-1"])];
    let mut scene = Scene::prepared(Config { max_revocations: 1, ..Config::with_rules(rules) }).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);
    scene.shifts(V3_SCHEDULE, &[(BO, -60, 120)]);
    scene.start().await;
    scene.shifts(SCHEDULE, &[]);
    assert_eq!(scene.synced().await.revoked.len(), 1);
    scene.shifts(V3_SCHEDULE, &[]);
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.report().held.len()), (409, 1), "{}", answer.text);
    assert_eq!(scene.access(BO, "prod-web-1"), [(0, 120)]);
}

#[tokio::test]
async fn a_guard_of_none_holds_every_loss_of_access_and_nothing_else() {
    let scene = Scene::running(Config { max_revocations: 0, ..Config::default() }).await;
    scene.cem_takes_over();
    scene.synced().await;
    assert_eq!((scene.access(CEM, DB), scene.access(ANA, DB)), (vec![(0, 120)], vec![]));
    scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
    let answer = scene.sync().await;
    let held = answer.report().held;
    assert_eq!((answer.status, held.len()), (409, 1));
    assert_eq!((held[0].email.as_str(), held[0].resource.as_str()), (CEM.1, DB));
    assert_eq!(scene.access(CEM, DB), [(0, 120)]);
}
