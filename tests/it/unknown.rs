//! What cannot be observed revokes nothing, is reported, and is made good by itself once PagerDuty answers again.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use oncall_grants::model::Asked;
use sandbox::{
    faults::{Action, Fault},
    world::{LONELY_SCHEDULE, POLICY, SCHEDULE},
};
use serde_json::json;

use crate::support::{ANA, Answer, BO, CEM, Config, DB, Scene, nobody_on_call, policy_rule, rule, stdout};

/// What a pass could not observe.
fn unknown(answer: &Answer) -> Vec<Asked> {
    answer.report().unknown.into_iter().map(|unknown| unknown.about).collect()
}

/// The answer to a question, with whatever else it takes.
fn page(more: bool) -> Action {
    Action::http(200, json!({"oncalls": [], "limit": 100, "offset": 0, "more": more, "total": 1}).to_string())
}

#[tokio::test]
async fn whatever_goes_wrong_at_pagerduty_nobody_loses_access_and_it_heals_by_itself() {
    let failures = [
        ("500", Action::http(500, "")),
        ("502 in HTML", Action::http(502, "<html>")),
        ("401", Action::http(401, r#"{"error":{"message":"no","code":2006}}"#)),
        ("403", Action::http(403, "")),
        ("404", Action::http(404, "")),
        ("400", Action::http(400, r#"{"error":{"message":"no","code":2001,"errors":["no"]}}"#)),
        ("301", Action::http(301, "")),
        ("200 without a body", Action::http(200, "")),
        ("another shape", Action::http(200, r#"{"oncalls": null}"#)),
        ("a list instead", Action::http(200, "[]")),
        ("no more than an empty object", Action::http(200, "{}")),
        ("invalid JSON", Action::InvalidJson),
        ("half an answer", Action::Truncate),
        ("no answer", Action::Cut),
        ("an empty page with more to come", page(true)),
    ];
    // A few at a time: each has a service of its own.
    for group in failures.chunks(8) {
        join_all(group.iter().map(|(name, action)| survives(name, action.clone()))).await;
    }
}

async fn survives(name: &str, action: Action) {
    let scene = Scene::running(Config::default()).await;
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", action).until_cleared());
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502, "{name}: {}", answer.text);
    let report = answer.report();
    assert_eq!(report.unknown[0].about, Asked::Schedule(SCHEDULE.into()), "{name}");
    assert!(!report.unknown[0].error.to_string().is_empty(), "{name}");
    assert_eq!((report.created, report.revoked), (vec![], vec![]), "{name}");
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![(120, 240)]), "{name}");

    scene.pagerduty.faults().clear();
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    scene.access_becomes(ANA, DB, &[]).await;
    scene.access_becomes(BO, DB, &[]).await;
}

#[tokio::test]
async fn a_stalling_pagerduty_ends_a_pass_in_bounded_time_and_revokes_nothing() {
    let scene = Scene::running(Config::default()).await;
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::Stall).until_cleared());
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    let began = Instant::now();
    let answer = scene.sync().await;
    // One question may take half a minute, with all its repetitions. We promise two minutes.
    assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
    assert_eq!((answer.status, answer.report().unknown.len()), (502, 1), "{}", answer.text);
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    scene.pagerduty.faults().clear();
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    scene.access_becomes(ANA, DB, &[]).await;
}

#[tokio::test]
async fn an_answer_with_only_some_of_its_pages_is_not_believed() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.take_turns(130);
    scene.start().await;
    assert_eq!(scene.strongdm.grants().len(), 130);
    let second = Fault::on("GET /oncalls", Action::http(500, "")).containing("offset=99").until_cleared();
    scene.pagerduty.faults().add(second);
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.report().unknown.len()), (502, 1));
    assert_eq!(scene.writes(), (130, 0));
}

#[tokio::test]
async fn a_deleted_or_hidden_schedule_keeps_its_grants_and_hides_no_other() {
    let rules = [
        rule("payments", &[SCHEDULE], &[DB]),
        rule("alone", &[LONELY_SCHEDULE], &["prod-web-1"]),
        policy_rule("policy", &["prod-cluster"]) + "escalation_levels = [1]\n",
    ];
    let scene = Scene::running(Config::with_rules(rules)).await;
    scene.pagerduty.delete_schedule(SCHEDULE);
    scene.shifts(LONELY_SCHEDULE, &[(BO, -60, 120)]);
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502);
    let both = [Asked::Schedule(SCHEDULE.into()), Asked::Policy(POLICY.into())];
    assert_eq!(unknown(&answer), both, "the schedule, and the policy that pages it");
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert_eq!((scene.access(ANA, "prod-web-1"), scene.access(BO, "prod-web-1")), (vec![], vec![(0, 120)]));

    scene.pagerduty.delete_policy(POLICY);
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.report().revoked), (502, vec![]), "{}", answer.text);
    assert_eq!(unknown(&answer), both);
}

#[tokio::test]
async fn a_schedule_that_is_there_and_empty_is_believed() {
    let scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[]);
    let report = scene.synced().await;
    assert_eq!(report.revoked.len(), 2);
    assert_eq!(scene.strongdm.grants(), []);
}

#[tokio::test]
async fn a_person_whose_address_cannot_be_had_protects_what_may_be_theirs() {
    let scene = Scene::running(Config::default()).await;
    // Without the address in the list, it is asked for by itself, and that fails.
    scene.pagerduty.set_email(ANA.0, None);
    scene.pagerduty.faults().add(Fault::on("GET /users", Action::http(500, "")).until_cleared());
    let answer = scene.sync().await;
    assert_eq!((answer.status, answer.report().revoked), (502, vec![]), "{}", answer.text);
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
}

/// The log tells so many errors of what could not be seen or done, and no more.
async fn could_not(scene: &Scene, times: usize) -> Vec<String> {
    let told = scene.logged_errors(times, "could not ").await;
    assert!(told.len() == times && told.iter().all(|message| message.starts_with("could not ")), "{told:#?}");
    told
}

#[tokio::test]
async fn a_refused_key_is_an_error_that_is_told_once_with_what_mends_it() {
    let scene = Scene::running(Config::default()).await;
    let mut keys = Vec::new();
    scene.strongdm.configure(|settings| keys = std::mem::take(&mut settings.keys));
    for _ in 0..3 {
        assert_eq!(scene.sync().await.status, 502);
    }
    let told = could_not(&scene, 1).await;
    for words in ["prod-postgres", "UNAUTHENTICATED", "strongdm.secret_key", "clock", "stay until their end"]
    {
        assert!(told[0].contains(words), "{words}: {}", told[0]);
    }
    let health = scene.get("/readyz").await.json();
    assert!(
        health["strongdm"]["last_error"]["message"]
            .as_str()
            .is_some_and(|told| told.contains("UNAUTHENTICATED"))
    );
    let output = scene.run(&["explain", "--email", ANA.1, "--resource", DB]).await;
    let text = stdout(&output);
    assert!(
        text.contains("prod-postgres: unknown - ") && text.contains("-> compare strongdm.access_key"),
        "{text}"
    );
    assert!(!text.contains("no rule gives access"), "{text}");

    scene.strongdm.configure(|settings| settings.keys = keys);
    scene.synced().await;
    scene.logged(1, "everything is seen and done again").await;

    let refused = r#"{"error":{"message":"no","code":2006}}"#;
    scene.pagerduty.faults().add(Fault::on("", Action::http(401, refused)).until_cleared());
    assert_eq!((scene.sync().await.status, scene.sync().await.status), (502, 502));
    let told = could_not(&scene, 2).await;
    assert!(told[1].contains("401") && told[1].contains("PAGERDUTY_TOKEN"), "{}", told[1]);
}

#[tokio::test]
async fn what_a_policy_of_strongdm_demands_is_told_in_its_words_and_no_right_is_called_missing() {
    let words = "unfulfilled authorization requirements: mfa";
    let message = format!("{words}\u{1b}[2J\n{}", "x".repeat(5000));
    let denied = |call| {
        let action = Action::Grpc { code: 7, message: message.clone(), reset_in_secs: None };
        Fault::on(call, action).until_cleared()
    };
    let mut scene = Scene::prepared(Config::default()).await;
    scene.strongdm.faults().add(denied("AccountGrants.Create"));
    scene.start().await;
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502);
    let failed = answer.json()["failed"][0]["error"].as_str().expect("a text").to_owned();
    assert!(failed.len() < 1000 && !failed.contains(char::is_control), "{failed:?}");
    let logged = could_not(&scene, 1).await.remove(0);
    let explained = scene.get(&format!("/api/explain?email={}", ANA.1)).await.text;
    for told in [failed, logged, explained] {
        assert!(told.contains(words) && told.contains("policy") && !told.contains("grant:write"), "{told}");
    }
    scene.strongdm.faults().add(denied("Accounts.List"));
    let checked = stdout(&scene.run(&["check"]).await);
    assert!(checked.contains(words) && !checked.contains("tick user:list"), "{checked}");
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.take_right("grant:write");
    scene.start().await;
    assert_eq!(scene.sync().await.status, 502);
    let told = could_not(&scene, 1).await;
    for words in [
        "could not create access of Ana Lima (ana@example.com) to prod-postgres",
        "grant:write",
        "PERMISSION_DENIED",
    ] {
        assert!(told[0].contains(words), "{words}: {}", told[0]);
    }
    let forbidden = Fault::on("GET /oncalls", Action::http(403, "")).until_cleared();
    scene.pagerduty.faults().add(forbidden);
    let answer = scene.sync().await;
    let error = answer.report().unknown[0].error.to_string();
    assert!(error.contains("403") && error.contains("grant the right oncalls.read"), "{error}");
}

#[tokio::test]
async fn an_id_that_pagerduty_does_not_know_is_to_be_corrected_in_the_rule() {
    let policy =
        "[[rules]]\nname = \"gone\"\nescalation_policies = [\"PNOPE00\"]\nresources = [\"prod-web-1\"]\n";
    let rules = [rule("typo", &["PNOPE01"], &[DB]), policy.to_owned()];
    let scene = Scene::running(Config::with_rules(rules)).await;
    let told = could_not(&scene, 2).await;
    for (line, what, id, name) in
        [(&told[0], "escalation policy", "PNOPE00", "gone"), (&told[1], "schedule", "PNOPE01", "typo")]
    {
        let expected = format!(
            "could not observe {what} {id}: PagerDuty knows no such {what}, or hides it from this token (404); correct the \
             ID in rule {name:?}; grants that depend on it stay until their end"
        );
        assert_eq!(*line, expected);
    }
    let answer = scene.get(&format!("/api/explain?email={}&resource=prod-web-1", ANA.1)).await.json();
    assert_eq!(answer["resources"][0]["access"], "unknown");
    let remedy = answer["resources"][0]["remedy"].as_str().expect("a text");
    assert_eq!(remedy, r#"correct the ID in rule "gone"; what is there stays meanwhile"#);
}

#[tokio::test]
async fn a_policy_that_pages_somebody_is_not_believed_to_have_nobody_on_call() {
    let scene = Scene::running(Config::with_rules([policy_rule("policy", &[DB])])).await;
    let before = scene.access(ANA, DB);
    assert!(!before.is_empty());
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", nobody_on_call()).until_cleared());
    let answer = scene.sync().await;
    let report = answer.report();
    assert_eq!((answer.status, report.unknown.len(), report.revoked), (502, 1, vec![]), "{}", answer.text);
    let error = report.unknown[0].error.to_string();
    assert!(error.contains("lists nobody on call at level 1"), "{error}");
    assert_eq!(scene.access(ANA, DB), before);
    scene.pagerduty.faults().clear();
    scene.synced().await;
}
