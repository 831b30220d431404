//! What `check` tells beside a running service, and what the service finds ahead by itself.

use sandbox::{
    faults::{Action, Fault},
    world::SCHEDULE,
};

use super::{check, fill};
use crate::support::{ANA, BO, CEM, Config, DENIZ, Scene};

#[tokio::test]
async fn what_the_service_could_not_do_is_told_beside_it() {
    let config = Config { max_revocations: 0, ..Config::default() };
    let mut scene = Scene::running(config).await;
    fill(&scene);
    scene.synced().await;
    assert_eq!(check(&scene).await.kinds("problem"), Vec::<&str>::new());

    scene.shifts(SCHEDULE, &[(BO, 120, 20_000)]);
    assert_eq!(scene.sync().await.status, 409);
    check(&scene).await.assert_problem("held", "held revocations", ANA.1);

    scene.shifts(SCHEDULE, &[(CEM, -60, 20_000)]);
    let refused = Fault::on("AccountGrants.Create", Action::grpc(tonic::Code::Internal, "no luck today"))
        .until_cleared();
    scene.strongdm.faults().add(refused);
    assert_eq!(scene.sync().await.status, 502);
    // It would try again at any moment, and both would ask PagerDuty at once.
    scene.kill();
    check(&scene).await.assert_problem("write_failed", "writes to strongDM", CEM.1);
}

#[tokio::test]
async fn the_service_counts_and_logs_what_lies_ahead_once() {
    let scene = Scene::running(Config::default()).await;
    let findings =
        async |kind: &str| scene.metric::<u32>(&format!(r#"preflight_findings{{kind="{kind}"}}"#)).await;
    assert_eq!((findings("gap").await, findings("no_account").await), (Some(1), None));
    let gap = r#"found ahead: rule "payments": nobody is on call"#;
    let told = scene.logged(1, gap).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 20_000)]);
    for _ in 0..3 {
        scene.synced().await;
    }
    assert_eq!((findings("gap").await, findings("no_account").await), (Some(0), Some(1)));
    assert_eq!(scene.logged(1, "found ahead: Deniz Kaya (deniz@example.com)").await.len(), 1);
    assert_eq!(scene.logged(1, gap).await.len(), 1);
}
