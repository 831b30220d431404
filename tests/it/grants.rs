//! From who is on call to who has access, while nothing goes wrong.

use std::time::Duration;

use crate::support::{ANA, BO, CEM, Config, Scene};
use sandbox::world::SCHEDULE;

const DB: &str = "prod-postgres";

#[tokio::test]
async fn the_first_pass_makes_exactly_the_right_grants_and_the_next_writes_nothing() {
    let scene = Scene::running(Config::default()).await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert_eq!(scene.access(BO, DB), [(120, 240)]);
    assert_eq!(scene.strongdm.grants().len(), 2);

    for _ in 0..2 {
        let report = scene.synced().await;
        assert_eq!(report["unchanged"], 2);
        assert_eq!(
            (report["created"].as_array(), report["revoked"].as_array()),
            (Some(&vec![]), Some(&vec![]))
        );
    }
    assert_eq!(scene.writes(), (2, 0));
}

#[tokio::test]
async fn a_swapped_shift_and_a_signed_webhook_change_access_within_two_seconds() {
    let scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 120), (BO, 120, 240)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    let mut took = scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    took += scene.access_becomes(ANA, DB, &[]).await;
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert_eq!(scene.access(BO, DB), [(120, 240)]);
    assert_eq!(scene.writes(), (3, 1));
}
