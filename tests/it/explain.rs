//! `oncall-grants explain` and `GET /api/explain`: one link is missing at a time, and it is the one that is named.

use sandbox::{
    faults::{Action, Fault},
    strongdm::{SecondGrant, SuspendedIn},
    world::SCHEDULE,
};
use serde_json::{Value, json};

use crate::support::{ANA, BO, CEM, Config, DB, DENIZ, Scene, policy_rule, rule, stdout};

async fn ask(scene: &Scene, query: &str) -> Value {
    let answer = scene.get(&format!("/api/explain?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// Access, the missing link, the message and the remedy about one resource.
async fn about(scene: &Scene, email: &str, more: &str) -> (String, Value, String, String) {
    let answer = ask(scene, &format!("email={email}&resource={DB}{more}")).await;
    let one = &answer["resources"][0];
    assert_eq!(answer["resources"].as_array().expect("a list").len(), 1, "{answer:#}");
    let text = |key: &str| one[key].as_str().expect("a text").to_owned();
    (text("access"), one["missing"].clone(), text("message"), text("remedy"))
}

fn time(scene: &Scene, minute: i64) -> String {
    scene.minute(minute).format("%FT%TZ").to_string()
}

#[tokio::test]
async fn a_whole_chain_is_told_from_the_rule_to_the_last_check() {
    let scene = Scene::running(Config::default()).await;
    let answer = ask(&scene, "email=Ana@Example.com").await;
    let one = &answer["resources"][0];
    assert_eq!(
        (&answer["access"], &one["access"], &one["missing"]),
        (&json!("yes"), &json!("yes"), &Value::Null)
    );
    assert_eq!(one["grant"]["rules"], json!(["payments"]));
    let links = one["chains"][0]["links"].as_array().expect("a list");
    let kinds: Vec<&str> = links.iter().filter_map(|link| link["link"].as_str()).collect();
    assert_eq!(kinds, ["rule", "resource", "source", "on_call", "account", "window", "grant", "check"]);
    assert!(links.iter().all(|link| link["state"] == "ok"), "{answer:#}");
    assert_eq!(one["chains"][0]["schedule"], SCHEDULE);
    assert_eq!(answer["history"][0]["action"], "create");

    let output = scene.run(&["explain", "--email", ANA.1, "--resource", DB]).await;
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains(r#"prod-postgres: yes - has access to prod-postgres by rule "payments""#),
        "{text}"
    );
    assert!(text.contains("grant ag-") && text.contains("create prod-postgres ag-"), "{text}");
    assert_eq!(scene.writes(), (2, 0), "nobody wrote");
}

#[tokio::test]
async fn who_is_not_on_call_hears_when_the_next_shift_is() {
    let scene = Scene::running(Config::default()).await;
    let (access, missing, message, _) = about(&scene, BO.1, "").await;
    assert_eq!((access.as_str(), missing), ("no", json!("on_call")));
    let next = format!("the next shift is from {} until {}", time(&scene, 120), time(&scene, 240));
    assert!(message.contains(&next), "{message}");

    let (access, missing, ..) = about(&scene, BO.1, "&at=%2B3h").await;
    assert_eq!((access.as_str(), missing), ("yes", Value::Null), "he has the grant already");
    let (access, missing, message, _) = about(&scene, ANA.1, "&at=%2B3h").await;
    assert_eq!((access.as_str(), missing), ("no", json!("on_call")));
    assert!(message.contains("no shift is known"), "{message}");
    let (access, ..) = about(&scene, CEM.1, "").await;
    assert_eq!(access, "no");
    // Before the service was there, nobody had access by it.
    let (access, missing, message, _) = about(&scene, ANA.1, "&at=-30m").await;
    assert_eq!((access.as_str(), missing), ("no", json!("grant")), "{message}");
}

#[tokio::test]
async fn a_resource_that_no_rule_names_is_told_with_those_that_rules_name() {
    let scene = Scene::running(Config::default()).await;
    let answer = ask(&scene, &format!("email={}&resource=staging-mysql", ANA.1)).await;
    let one = &answer["resources"][0];
    assert_eq!((&one["access"], &one["missing"]), (&json!("no"), &json!("rule")));
    assert!(one["remedy"].as_str().expect("a text").contains("\"prod-postgres\""), "{one:#}");
}

#[tokio::test]
async fn an_address_counts_in_both_spellings_and_a_forgotten_alias_is_suggested() {
    let aliases = vec![("ana@pd.example", "ana@example.com")];
    let mut scene = Scene::prepared(Config { aliases, ..Config::default() }).await;
    scene.pagerduty.set_email(ANA.0, Some("Ana@PD.example"));
    scene.start().await;
    for email in ["ana@pd.example", "ANA@example.com"] {
        let (access, missing, message, _) = about(&scene, email, "").await;
        assert_eq!((access.as_str(), missing), ("yes", Value::Null), "{email}: {message}");
    }
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    scene.pagerduty.set_email(CEM.0, Some("cem@pd.example"));
    let (_, missing, _, remedy) = about(&scene, CEM.1, "").await;
    assert_eq!(missing, json!("on_call"));
    assert!(remedy.contains(r#"accounts.aliases = { "cem@pd.example" = "cem@example.com" }"#), "{remedy}");
}

#[tokio::test]
async fn a_missing_or_suspended_account_is_the_missing_link() {
    let scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[(DENIZ, -60, 120)]);
    let (access, missing, message, remedy) = about(&scene, DENIZ.1, "").await;
    assert_eq!((access.as_str(), missing), ("no", json!("account")));
    assert!(message.contains("no strongDM user account") && message.ends_with("[no_account]"), "{message}");
    assert!(remedy.contains("accounts.aliases"), "{remedy}");

    scene.shifts(SCHEDULE, &[(BO, -60, 120)]);
    assert!(scene.strongdm.suspend_user(BO.1, SuspendedIn::Flag));
    let output = scene.run(&["explain", "--email", BO.1, "--resource", DB, "--format", "json"]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["resources"][0]["missing"], "account", "{answer:#}");
    assert_eq!(answer["account"]["status"], "suspended");
}

#[tokio::test]
async fn a_resource_that_is_not_there_is_the_missing_link() {
    let scene = Scene::running(Config::with_rules([rule("r", &[SCHEDULE], &["prod-postgras"])])).await;
    let answer = ask(&scene, &format!("email={}", ANA.1)).await;
    let one = &answer["resources"][0];
    assert_eq!((&one["resource"], &one["missing"]), (&json!("prod-postgras"), &json!("resource")));
    assert!(
        one["message"].as_str().is_some_and(|message| message.ends_with("[resource_not_found]")),
        "{one:#}"
    );
}

#[tokio::test]
async fn what_cannot_be_seen_is_unknown_and_not_no() {
    let scene = Scene::running(Config::default()).await;
    scene.pagerduty.faults().add(Fault::on("", Action::http(503, "")).until_cleared());
    let (access, missing, message, _) = about(&scene, CEM.1, "").await;
    assert_eq!((access.as_str(), missing), ("unknown", json!("source")), "{message}");
    let (access, _, message, _) = about(&scene, ANA.1, "").await;
    assert_eq!(access, "yes", "the grant is there whatever PagerDuty says");
    assert!(message.contains("stays until its end"), "{message}");
    let output = scene.run(&["explain", "--email", CEM.1]).await;
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_grant_that_failed_is_told_with_the_reason() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.take_right("grant:write");
    scene.start().await;
    let (access, missing, message, remedy) = about(&scene, ANA.1, "").await;
    assert_eq!((access.as_str(), missing), ("no", json!("grant")));
    assert!(
        message.contains("does not allow AccountGrants.Create: PERMISSION_DENIED: permission denied"),
        "{message}"
    );
    assert!(remedy.contains("tick grant:write"), "{remedy}");
}

#[tokio::test]
async fn a_revocation_that_is_held_is_told() {
    let scene = Scene::running(Config { max_revocations: 0, ..Config::default() }).await;
    scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
    assert_eq!(scene.sync().await.status, 409);
    let (access, _, message, remedy) = about(&scene, ANA.1, "").await;
    assert_eq!(access, "yes");
    assert!(message.contains("revocation is held") && message.contains("not on call"), "{message}");
    assert!(remedy.contains("allow_mass_revocation"), "{remedy}");
}

#[tokio::test]
async fn a_window_that_waits_for_another_grant_is_told() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.strongdm.configure(|settings| settings.second_grant = SecondGrant::RefusesAny);
    scene.shifts(SCHEDULE, &[(ANA, -60, 60), (BO, 60, 120), (ANA, 120, 180)]);
    scene.start().await;
    let at = format!("&at={}", time(&scene, 130));
    let (access, missing, message, _) = about(&scene, ANA.1, &at).await;
    assert_eq!((access.as_str(), missing), ("expected", json!("grant")));
    let until = format!("in the way until {}", time(&scene, 60));
    assert!(message.contains("deferred") && message.contains(&until), "{message}");
}

#[tokio::test]
async fn levels_and_direct_targets_that_a_rule_does_not_count_are_told() {
    let rules = [policy_rule("p", &[DB]) + "escalation_levels = [2]\n"];
    let scene = Scene::running(Config::with_rules(rules)).await;
    let (access, missing, message, remedy) = about(&scene, ANA.1, "").await;
    assert_eq!((access.as_str(), missing), ("no", json!("on_call")));
    assert!(message.contains("at level 1, but the rule counts level 2 only"), "{message}");
    assert!(remedy.contains("escalation_levels"), "{remedy}");
    let (_, _, message, remedy) = about(&scene, CEM.1, "").await;
    assert!(message.contains("as a direct target"), "{message}");
    assert!(remedy.contains("include_always_on_call"), "{remedy}");
}

#[tokio::test]
async fn wrong_questions_are_refused_with_what_is_allowed() {
    let scene = Scene::running(Config::default()).await;
    for query in
        ["", "?email=", "?email=ana", "?email=a*@example.com", "?email=ana@example.com&at=noon", "?x=1"]
    {
        scene.get(&format!("/api/explain{query}")).await.assert_error(400, "bad_request");
    }
    let stranger = scene.request(reqwest::Method::GET, "/api/explain?email=ana@example.com");
    scene.send(stranger).await.assert_error(401, "unauthorized");
    for arguments in
        [["explain", "--email", "ana"].as_slice(), &["explain", "--email", ANA.1, "--at", "noon"]]
    {
        assert_eq!(scene.run(arguments).await.status.code(), Some(2), "{arguments:?}");
    }
}
