//! `simulate`: what the rules would do, seen before they open production.

use std::process::Output;

use sandbox::world::{SCHEDULE, SERVICE, V3_SCHEDULE};
use serde_json::{Value, json};

use crate::support::{ANA, BO, CEM, Config, DB, DENIZ, Scene, exit_code, policy_rule, rule, stderr, stdout};

/// Ana for two hours, Bo for two more, nobody for an hour, then Cem until after the horizon begins anew.
async fn scene(rules: impl IntoIterator<Item = String>) -> Scene {
    let scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240), (CEM, 300, 14_000)]);
    scene
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}{}", stdout(output), stderr(output)))
}

/// What each write is about, in order: what, whose, and the end of the grant.
fn writes(simulation: &Value) -> Vec<(String, String)> {
    let events = simulation["events"].as_array().expect("a list");
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    events.iter().map(|event| (word(&event["action"]), word(&event["grant"]["email"]))).collect()
}

#[tokio::test]
async fn a_day_is_lived_through_and_nothing_is_written() {
    let scene = scene([rule("database", &[SCHEDULE], &[DB])]).await;
    let until = format!("--until={}", scene.minute(24 * 60).to_rfc3339());
    let output = scene.run(&["simulate", &until, "--format", "json"]).await;
    assert_eq!(exit_code(&output), 0, "{}", stderr(&output));
    let day = json_of(&output);
    let create = |person: &str| ("create".to_owned(), person.to_owned());
    assert_eq!(writes(&day), [create(ANA.1), create(BO.1), create(CEM.1)]);
    assert_eq!(day["events"][0]["grant"]["name"], "Ana Lima");
    let reason = day["events"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("Payments primary") && reason.contains("database"), "{reason}");
    let gaps = day["gaps"].as_array().expect("a list");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["schedule"], SCHEDULE);
    assert_eq!(gaps[0]["start"], json!(scene.minute(240)));
    assert_eq!(gaps[0]["end"], json!(scene.minute(300)));
    assert_eq!(
        (&day["skipped"], &day["unknown"], &day["ignored_rules"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!(day["forecast"]["grants_created"], 3);
    assert_eq!(scene.writes(), (0, 0));
    let text = stdout(&scene.run(&["simulate", &until]).await);
    for words in [
        "grant    Ana Lima (ana@example.com) on prod-postgres",
        "gap      nobody is on call",
        "3 grants made",
    ] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
}

#[tokio::test]
async fn whoever_never_goes_off_call_is_renewed_and_whoever_has_no_account_is_told() {
    let rule = policy_rule("platform", &[DB]) + "escalation_levels = [2, 3]\ninclude_always_on_call = true\n";
    let scene = scene([rule]).await;
    let output = scene.run(&["simulate", "--until", "+21d", "--format", "json"]).await;
    let weeks = json_of(&output);
    let events = weeks["events"].as_array().expect("a list");
    let of_cem: Vec<&Value> =
        events.iter().map(|event| &event["grant"]).filter(|grant| grant["email"] == CEM.1).collect();
    assert!(of_cem.len() >= 5, "{of_cem:?}");
    assert!(of_cem.windows(2).all(|pair| pair[0]["end"] == pair[1]["start"]), "without a gap: {of_cem:?}");
    let skipped = weeks["skipped"].as_array().expect("a list");
    assert_eq!((skipped.len(), &skipped[0]["email"]), (1, &json!(DENIZ.1)), "{skipped:?}");
    assert_eq!(skipped[0]["reason"], "no_account");
}

#[tokio::test]
async fn what_was_observed_once_is_simulated_without_a_network_and_always_alike() {
    let scene =
        scene([rule("database", &[SCHEDULE], &[DB]), rule("data", &[V3_SCHEDULE], &["staging-mysql"])]).await;
    let file = scene.dir().join("world.json");
    let file = file.to_str().expect("a plain path");
    let saved = scene.run(&["simulate", "--until", "+30d", "--save", file, "--format", "json"]).await;
    assert_eq!(exit_code(&saved), 0, "{}", stderr(&saved));
    scene.pagerduty.clear_requests();
    let before = scene.strongdm.calls().len();
    let first = scene.run(&["simulate", "--world", file, "--format", "json"]).await;
    let again = scene.run(&["simulate", "--world", file, "--format", "json"]).await;
    assert_eq!(stdout(&first), stdout(&saved));
    assert_eq!(stdout(&first), stdout(&again));
    assert_eq!((scene.pagerduty.requests().len(), scene.strongdm.calls().len()), (0, before));
    let one = scene.run(&["simulate", "--world", file, "--rule", "data", "--format", "json"]).await;
    assert!(writes(&json_of(&one)).iter().all(|(_, who)| who != ANA.1), "{}", stdout(&one));
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(!text.contains(sandbox::world::TOKEN) && !text.contains(sandbox::world::SECRET_KEY));
    for (what, words) in
        [("{}", "no world that simulate --save wrote"), ("{\"oncall_grants_world\": 7}", "form 7")]
    {
        std::fs::write(file, what).expect("the file can be written");
        let output = scene.run(&["simulate", "--world", file]).await;
        assert_eq!(exit_code(&output), 2);
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn what_cannot_be_simulated_is_said() {
    let incidents = format!(
        "[[rules]]\nname = \"incidents\"\nresources = [{DB:?}]\n[rules.incidents]\nservices = [{SERVICE:?}]\n"
    );
    let scene =
        scene([rule("database", &[SCHEDULE], &[DB]), rule("gone", &["PGONE99"], &[DB]), incidents]).await;
    let output = scene.run(&["simulate", "--format", "json"]).await;
    assert_eq!(exit_code(&output), 1, "an unknown is no success");
    let week = json_of(&output);
    assert_eq!(week["ignored_rules"], json!(["incidents"]));
    assert_eq!(week["unknown"][0]["schedule"], "PGONE99");
    for (arguments, words) in [
        (["--rule", "none", "--rule", "database"], "no rule has the name"),
        (["--until", "+91d", "--rule", "database"], "90d"),
        (["--from", "+60d", "--until", "+100d"], "90d"),
        (["--from", "+2h", "--until", "+1h"], "is not after"),
        (["--from", "yesterday", "--rule", "database"], "is no time"),
    ] {
        let mut command = vec!["simulate"];
        command.extend(arguments);
        let output = scene.run(&command).await;
        assert_eq!(exit_code(&output), 2, "{arguments:?}: {}", stdout(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
    // A rule that the world was not saved for.
    let file = scene.dir().join("world.json");
    let file = file.to_str().expect("a plain path");
    let saved = scene.run(&["simulate", "--rule", "database", "--save", file]).await;
    assert_eq!(exit_code(&saved), 0, "{}", stderr(&saved));
    let output = scene.run(&["simulate", "--world", file, "--format", "json"]).await;
    assert_eq!(exit_code(&output), 1);
    let unknown = json_of(&output)["unknown"].to_string();
    assert!(unknown.contains("PGONE99") && unknown.contains("save it anew"), "{unknown}");
}

#[tokio::test]
async fn pictures_show_everybody_and_nothing_of_them_is_run() {
    let scene = scene([rule("database", &[SCHEDULE], &[DB])]).await;
    scene.pagerduty.add_user(sandbox::pagerduty::User::new(ANA.0, "<script>alert(1)</script>", ANA.1));
    let page = stdout(&scene.run(&["simulate", "--until", "+1d", "--format", "html"]).await);
    let picture = stdout(&scene.run(&["simulate", "--until", "+1d", "--format", "svg"]).await);
    for drawn in [&page, &picture] {
        assert!(drawn.contains("&lt;script&gt;alert(1)&lt;/script&gt; (ana@example.com)"), "{drawn}");
        assert!(
            drawn.contains("prod-postgres") && drawn.contains("Nobody on call") && !drawn.contains("<script")
        );
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<style>"));
    assert!(picture.starts_with("<svg xmlns="));
}

#[tokio::test]
async fn a_review_needs_no_key_and_shows_what_a_change_of_the_rules_changes() {
    let scene = scene([rule("database", &[SCHEDULE], &[DB])]).await;
    let saved = scene.run(&["simulate", "--until", "+1d", "--save", "world.json"]).await;
    assert_eq!(exit_code(&saved), 0, "{}", stderr(&saved));
    let rules = scene.config_file();
    let elsewhere = ["http://127.0.0.1:1", "http://127.0.0.1:1"];
    let without_network =
        rules.replace(&scene.pagerduty.url(), elsewhere[0]).replace(&scene.strongdm.url(), elsewhere[1]);
    scene.write_file("before.toml", &without_network);
    scene.write_file(
        "after.toml",
        without_network.replace("name = \"database\"", "name = \"database\"\nend_late = \"30m\""),
    );
    let mut texts = Vec::new();
    for file in ["before.toml", "after.toml"] {
        let output = scene.run(&["--config", file, "simulate", "--world", "world.json"]).await;
        assert_eq!(exit_code(&output), 0, "{}", stderr(&output));
        texts.push(stdout(&output));
    }
    let grant =
        |text: &str| text.lines().find(|line| line.contains("grant    Ana")).expect("a grant").to_owned();
    assert_ne!(grant(&texts[0]), grant(&texts[1]), "half an hour more");
    let same = |text: &str| text.lines().filter(|line| line.contains("gap ")).count();
    assert_eq!((same(&texts[0]), same(&texts[1])), (1, 1));
}
