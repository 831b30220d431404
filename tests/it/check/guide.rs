//! What `check` says to do next can be done: the line can be written, the command can be run, and it helps.

use sandbox::world::SCHEDULE;
use serde_json::json;

use super::{check, fill};
use crate::support::{ANA, Config, DB, DENIZ, Scene, exit_code, rule, stderr, stdout};

/// The command that the last line of an output names.
fn next(output: &str) -> &str {
    let last = output.trim_end().lines().next_back().unwrap_or_default();
    last.split_once(": ").unwrap_or_else(|| panic!("no command in {last:?} of {output}")).1
}

/// Runs a command of ours as it was told.
async fn run(scene: &Scene, command: &str) -> std::process::Output {
    let arguments: Vec<&str> = command.split(' ').collect();
    assert_eq!(arguments[0], "oncall-grants", "{command}");
    scene.run(&arguments[1..]).await
}

#[tokio::test]
async fn each_command_names_the_next_one_until_access_is_there() {
    let mut scene = Scene::prepared(Config::default()).await;
    fill(&scene);
    let output = scene.run(&["check", "--offline"]).await;
    assert_eq!(next(&stdout(&output)), "oncall-grants check");
    let output = run(&scene, next(&stdout(&output))).await;
    assert_eq!(next(&stdout(&output)), "oncall-grants sync --dry-run");
    let output = run(&scene, next(&stdout(&output))).await;
    assert!(stdout(&output).contains("grant     Ana Lima (ana@example.com) on prod-postgres"), "{output:?}");
    scene.start().await;
    let output = scene.run(&["check"]).await;
    assert_eq!(next(&stdout(&output)), "oncall-grants explain --email ana@example.com");
    let output = run(&scene, next(&stdout(&output))).await;
    assert!(stdout(&output).contains("prod-postgres: yes"), "{output:?}");
}

#[tokio::test]
async fn the_line_that_a_finding_tells_to_write_mends_it() {
    let scene = Scene::prepared(Config::default()).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 20_000)]);
    let output = scene.run(&["check"]).await;
    let said = stdout(&output);
    let line = "aliases = { \"deniz@example.com\" = \"ADDRESS-IN-STRONGDM\" }";
    assert!(said.contains(&format!("write: {line}   under [accounts]")), "{said}");
    assert_eq!(next(&said), "oncall-grants check");
    scene.strongdm.add_user("deniz.kaya@example.com");
    let line = line.replace("ADDRESS-IN-STRONGDM", "deniz.kaya@example.com");
    scene.write_config(&scene.config_file().replacen("aliases = {  }", &line, 1));
    let found = check(&scene).await;
    assert_eq!((found.code, found.kinds("problem")), (Some(0), vec![]), "{:#}", found.report);
}

#[tokio::test]
async fn what_a_rule_names_in_vain_is_left_out_of_the_line_to_write() {
    let rules = [rule("two", &[SCHEDULE, "PGONE99"], &[DB, "prod-postgras"])];
    let scene = Scene::prepared(Config::with_rules(rules)).await;
    let found = check(&scene).await;
    let step = |kind: &str| found.of(kind)[0]["steps"].clone();
    let under = "[[rules]] \"two\"";
    let line = format!("schedules = [{SCHEDULE:?}]");
    assert_eq!(step("source_not_found"), json!([{"write": line, "under": under}]));
    let line = format!("resources = [{DB:?}, \"EXACT-NAME\"]");
    assert_eq!(step("resource_not_found"), json!([{"write": line, "under": under}]));
    assert_eq!(found.report["next"], "oncall-grants check");
}

#[tokio::test]
async fn a_mistake_in_the_file_is_answered_by_a_line_and_the_command_to_run_then() {
    let scene = Scene::prepared(Config::default()).await;
    let file = scene.config_file();
    let wrong = file.replacen("[pagerduty]", "[pagerduty]\ntoken_flie = \"x\"", 1);
    scene.write_config(&wrong.replacen("max_revocations = 20", "max_revocations = \"many\"", 1));
    let output = scene.run(&["check"]).await;
    assert_eq!(exit_code(&output), 2);
    let said = stderr(&output);
    for words in [
        "pagerduty.token_flie: unknown key; did you mean token_file?",
        "  -> write, for example: token_file = \"pagerduty-token\"   under [pagerduty]",
        "  -> write, for example: max_revocations = 20   under [sync]",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(next(&said), "oncall-grants check --offline");

    std::fs::rename(scene.dir().join("oncall-grants.toml"), scene.dir().join("other.toml")).expect("a file");
    let output = scene.run(&["--config", "other.toml", "check"]).await;
    assert_eq!(next(&stderr(&output)), "oncall-grants --config other.toml check --offline");
    scene.write_file("other.toml", &file);
    let output = scene.run(&["--config", "other.toml", "check", "--offline"]).await;
    assert_eq!(next(&stdout(&output)), "oncall-grants --config other.toml check");
}

#[tokio::test]
async fn whoever_has_no_file_is_told_a_whole_one() {
    let scene = Scene::prepared(Config::default()).await;
    std::fs::remove_file(scene.dir().join("oncall-grants.toml")).expect("a file");
    let said = stderr(&scene.run(&["check"]).await);
    assert_eq!(next(&said), "oncall-grants check --offline");
    let lines = said.lines().filter_map(|line| line.strip_prefix("    "));
    scene.write_config(&lines.collect::<Vec<_>>().join("\n"));
    for secret in ["admin-token", "pagerduty-token", "sdm-access-key"] {
        scene.write_file(secret, "a-secret-of-the-tests-0123");
    }
    scene.write_file("sdm-secret-key", sandbox::world::SECRET_KEY);
    let output = run(&scene, next(&said)).await;
    assert_eq!(exit_code(&output), 0, "{}", stderr(&output));
}
