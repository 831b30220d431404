//! Moving from one database to another without losing sight of a grant.

use sandbox::{
    faults::{Action, Fault},
    world::SCHEDULE,
};
use sqlx::{Connection, Executor};

use crate::support::{ANA, BO, CEM, Config, DB, Database, Scene, stderr, stdout};

const OLD: &str = "sqlite:oncall-grants.db";

/// The configuration names this store from now on.
fn move_to(scene: &mut Scene, store: &str) {
    store.clone_into(&mut scene.config.store);
    scene.write_config(&scene.config_file());
}

#[tokio::test]
async fn what_one_store_knows_is_ours_in_the_next() {
    let database = Database::create().await;
    let mut scene = Scene::running(Config::default()).await;
    // Bo's grant is to be taken back, but strongDM does not say what came of it.
    let lost = Fault::on("AccountGrants.Delete", Action::grpc(14.into(), "unavailable")).until_cleared();
    scene.strongdm.faults().add(lost);
    scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);
    assert_eq!(scene.sync().await.status, 502);

    move_to(&mut scene, database.url.as_str());
    let busy = scene.run(&["import", "--from", OLD]).await;
    assert_eq!(busy.status.code(), Some(1), "a running service owns the file");
    scene.kill();
    scene.strongdm.faults().clear();
    for (taken, known) in [(2, 0), (0, 2)] {
        let output = scene.run(&["import", "--from", OLD]).await;
        let said = stdout(&output);
        assert!(
            said.starts_with(&format!("taken over: {taken} grants, {known} were known already")),
            "{said}"
        );
    }

    scene.start().await;
    scene.access_becomes(BO, DB, &[]).await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert_eq!(scene.writes().0, 2, "nothing was made anew");
    let trail = scene.audit().await;
    assert!(
        trail
            .iter()
            .any(|entry| entry["action"] == "adopt" && entry["reason"] == "imported from another store")
    );
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    let report = scene.synced().await;
    assert_eq!(report.revoked[0].email.as_str(), ANA.1, "it is ours to take back");
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_taken_for_an_empty_one() {
    let scene = Scene::prepared(Config::default()).await;
    let output = scene.run(&["import", "--from", "sqlite:elsewhere.db"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("there is no store elsewhere.db"), "{said}");
}

#[tokio::test]
async fn what_needs_the_store_alone_works_where_the_secrets_are_not() {
    let mut scene = Scene::running(Config::default()).await;
    scene.signal("TERM");
    scene.ended().await;
    std::fs::rename(scene.dir().join("oncall-grants.db"), scene.dir().join("old.db"))
        .expect("the store is there");
    scene.write_config("[server]\nadmin_token_file = \"gone\"\n[strongdm]\nsecret_key_file = \"gone\"\n");
    let empty = scene.run(&["audit"]).await;
    assert_eq!(empty.status.code(), Some(1), "no store is not an empty audit");
    let import = scene.run(&["import", "--from", "sqlite:old.db"]).await;
    assert!(stdout(&import).starts_with("taken over: 2 grants"), "{import:?}");
    let audit = scene.run(&["audit", "--format", "jsonl"]).await;
    assert_eq!(
        (audit.status.code(), stdout(&audit).lines().count()),
        (Some(0), 4),
        "theirs, and that they were adopted"
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_the_others_are_taken() {
    let database = Database::create().await;
    let mut scene = Scene::running(Config::default()).await;
    scene.kill();
    let mut old = scene.open_store().await;
    old.execute("UPDATE grants SET state = 'parked' WHERE email = 'ana@example.com'").await.expect("a table");
    old.close().await.expect("an open file");
    move_to(&mut scene, database.url.as_str());
    let output = scene.run(&["import", "--from", OLD]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).starts_with("taken over: 1 grants, 0 were known already"), "{output:?}");
    assert!(stderr(&output).contains("left behind") && stderr(&output).contains("parked"), "{output:?}");
}
