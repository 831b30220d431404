//! Requests made up from `/openapi.json`, good ones and bad ones, against the real binary: what it answers must be
//! what it describes. Python and the packages of `support/requirements.txt` are part of the tests: without them the
//! tests fail.

use std::process::Command;

use crate::support::{ADMIN_TOKEN, Config, Scene, python, stderr, stdout};

/// Requests made up for each operation, beside those that cover each constraint of the description.
const EXAMPLES: &str = "25";

#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers_what_it_describes() {
    let scene = Scene::running(Config::default()).await;
    let output = tokio::task::block_in_place(|| {
        Command::new(python())
            .args(["-m", "schemathesis.cli", "--no-color", "run", &format!("{}/openapi.json", scene.url())])
            .args(["--header", &format!("Authorization: Bearer {ADMIN_TOKEN}")])
            .args(["--checks", "all", "--max-examples", EXAMPLES, "--seed", "7", "--continue-on-failure"])
            // How fast requests can be made up depends on the machine only.
            .args(["--suppress-health-check", "all"])
            .current_dir(scene.dir())
            // Everything is on loopback, where no proxy may come in between.
            .envs([("NO_PROXY", "*"), ("no_proxy", "*")])
            .output()
            .expect("the interpreter can be run")
    });
    assert!(output.status.success(), "{}\n{}", stdout(&output), stderr(&output));
}
