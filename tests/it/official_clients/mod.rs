//! The clients that PagerDuty and strongDM publish themselves, against the stand-ins and the real binary.
//!
//! What they list is what the service granted; so the stand-ins cannot drift into a dialect that only this workspace
//! speaks. Python and the packages of `support/requirements.txt` are part of the tests: without them the tests fail.

use std::{path::Path, process::Command};

use sandbox::{
    pagerduty::{NewIncident, User},
    strongdm::{ApiKey, SecondGrant, SuspendedIn},
    world::{self, SCHEDULE, SERVICE},
};
use serde_json::json;

use crate::support::{ADMIN_TOKEN, ANA, BO, CEM, Config, DB, Scene, python, stderr, stdout};

const READER_KEY: &str = "auth-00000000000reader";
/// More people than fit into the largest page.
const EXTRAS: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_of_strongdm_sees_what_the_service_granted() {
    agrees(&scene().await, "strongdm_sdk.py");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_pagerduty_sees_whom_the_service_let_in() {
    agrees(&scene().await, "pagerduty_client.py");
}

/// All of production for whoever is on call; Cem, whose turn comes, is suspended.
async fn scene() -> Scene {
    let rule =
        crate::support::rule("production", &[SCHEDULE], &[DB]) + "resource_filters = [\"tags:env=prod\"]\n";
    let cluster = crate::support::rule("cluster", &[SCHEDULE], &["prod-cluster"]);
    let cluster = cluster + "kubernetes_groups = [\"viewer\", \"on-call\"]\n";
    let mut scene = Scene::prepared(Config::with_rules([rule, cluster])).await;
    for number in 0..EXTRAS {
        let (id, email) = (format!("PX{number:05}"), format!("person-{number}@example.com"));
        scene.pagerduty.add_user(User::new(&id, &format!("Person {number}"), &email));
    }
    for _ in 0..3 {
        scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[BO.0]));
    }
    let turns: Vec<_> = (0..21)
        .zip([ANA, BO, CEM].into_iter().cycle())
        .map(|(n, who)| (who, n * 480 - 60, n * 480 + 420))
        .collect();
    scene.shifts(SCHEDULE, &turns);
    assert!(scene.strongdm.suspend_user(CEM.1, SuspendedIn::Flag));
    scene.strongdm.configure(|settings| {
        // The SDK tells errors apart by their details only.
        settings.error_details = true;
        settings.second_grant = SecondGrant::RefusesOverlapping;
        let reads = ["datasource:list", "user:list", "grant:read"];
        settings.keys.push(ApiKey::new(READER_KEY, world::SECRET_KEY, &reads));
    });
    scene.others_ask_pagerduty();
    scene.start().await;
    scene
}

/// Runs a script and fails with everything that it said, unless it found agreement.
fn agrees(scene: &Scene, script: &str) {
    let users =
        scene.pagerduty.edit(|world| world.users.iter().map(|user| user.id.clone()).collect::<Vec<_>>());
    let given = json!({
        "service": scene.url(),
        "admin_token": ADMIN_TOKEN,
        "pagerduty": scene.pagerduty.url(),
        "token": world::TOKEN,
        "strongdm": scene.strongdm.url().trim_start_matches("http://"),
        "access_key": world::ACCESS_KEY,
        "secret_key": world::SECRET_KEY,
        "reader_key": READER_KEY,
        "schedule": world::SCHEDULE,
        "v3_schedule": world::V3_SCHEDULE,
        "lonely_schedule": world::LONELY_SCHEDULE,
        "policy": world::POLICY,
        "always": world::CEM,
        "assignee": BO.0,
        "team": world::TEAM,
        "members": [world::BO, world::DENIZ, world::ELA],
        "priorities": [world::P1, world::P2],
        "client_id": world::CLIENT_ID,
        "client_secret": world::CLIENT_SECRET,
        "subdomain": world::SUBDOMAIN,
        "users": users,
    });
    // The stand-ins answer from other threads meanwhile.
    let output = tokio::task::block_in_place(|| {
        Command::new(python())
            .arg("-B")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/official_clients").join(script))
            .env("GIVEN", given.to_string())
            // Everything is on loopback, where no proxy may come in between.
            .envs([("NO_PROXY", "*"), ("no_proxy", "*")])
            .output()
            .expect("the interpreter can be run")
    });
    let said = stdout(&output);
    assert!(
        output.status.success() && said.ends_with("all agreed\n"),
        "{script} disagrees:\n{said}\n{}",
        stderr(&output)
    );
}
