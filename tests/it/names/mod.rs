//! People read names beside IDs: those that PagerDuty's answers carry anyway, as they were last seen.

mod views;

use chrono::TimeDelta;
use oncall_grants::PassReport;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::PagerDuty,
    world::{self, LONELY_SCHEDULE, POLICY, SCHEDULE},
};
use serde_json::{Value, json};

use crate::support::{
    ANA, BO, Config, DB, DENIZ, Database, Scene, policy_rule, report, rule, stderr, stdout,
};

/// All of these carry a name that nobody wants to meet in a page, a log or a terminal.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\u{1b}[2J\u{1b}]0;owned\u{7}red",
    "two\r\nlines\u{2028}and\u{85}more",
    "\u{202e}desrever\u{2066}",
    "ID \" onload=x \" schedule PI7DH85",
    "{name} {} %s $(reboot) `id`",
];

fn rename_schedule(pagerduty: &PagerDuty, id: &str, name: &str) {
    pagerduty.edit(|account| name.clone_into(&mut account.schedule_mut(id).expect("a schedule").name));
}

fn rename_user(pagerduty: &PagerDuty, id: &str, name: &str) {
    pagerduty.edit(|account| {
        let user = account.users.iter_mut().find(|user| user.id == id).expect("a user");
        name.clone_into(&mut user.name);
    });
}

fn down(scene: &Scene) {
    for operation in ["GET /oncalls", "GET /schedules", "GET /users", "GET /escalation_policies"] {
        scene.pagerduty.faults().add(Fault::on(operation, Action::http(500, "")).until_cleared());
    }
}

/// The names that the store of a service has, with when they were written.
async fn stored(scene: &Scene) -> Vec<(String, String, i64)> {
    let names = "SELECT id, name, change FROM names ORDER BY id";
    sqlx::query_as(names).fetch_all(&mut scene.open_store().await).await.expect("a table")
}

fn name_of(report: &PassReport, list: fn(&Value) -> &Value) -> Value {
    let report = serde_json::to_value(report).expect("a report");
    list(&report).clone()
}

#[tokio::test]
async fn reports_listings_audit_and_log_have_the_names_that_answers_carry() {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("data", &[world::V3_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::running(Config::with_rules(rules)).await;
    let answer = scene.sync_with(json!({"dry_run": true})).await.json();
    assert_eq!(answer["skipped"][0]["email"], DENIZ.1);
    assert_eq!(answer["skipped"][0]["name"], "Deniz Kaya");
    let grants = scene.grants().await;
    let of_ana = grants.iter().find(|grant| grant["email"] == ANA.1).expect("Ana's grant");
    assert_eq!(of_ana["name"], "Ana Lima");
    let audit = scene.audit().await;
    let of_ana = audit.iter().find(|entry| entry["grant"]["email"] == ANA.1).expect("Ana's grant");
    assert_eq!(of_ana["grant"]["name"], "Ana Lima");
    let reason =
        "rule \"payments\": user Ana Lima (PA1NAL7) is on call for schedule Payments primary (PI7DH85)";
    assert_eq!(of_ana["reason"], reason);
    scene.logged(1, &format!("granted Ana Lima (ana@example.com) access to {DB}")).await;
    scene.logged(1, "Deniz Kaya (deniz@example.com): no strongDM user account").await;
    let output = scene.run(&["sync", "--dry-run"]).await;
    assert!(stdout(&output).contains("skipped   Deniz Kaya (deniz@example.com): "), "{}", stdout(&output));
    let output = scene.run(&["audit"]).await;
    assert!(stdout(&output).contains("Ana Lima (ana@example.com) on prod-postgres"), "{}", stdout(&output));
    let metrics = scene.get("/metrics").await.text;
    assert!(!metrics.contains("Lima") && !metrics.contains("Payments primary"), "{metrics}");
}

#[tokio::test]
async fn a_name_takes_no_request_of_its_own_and_no_write_while_it_stays() {
    let scene = Scene::running(Config::with_rules([policy_rule("platform", &[DB])])).await;
    scene.synced().await;
    let before = stored(&scene).await;
    let named = |id: &str| before.iter().find(|(of, ..)| of == id).map(|(_, name, _)| name.as_str());
    for (id, name) in [(POLICY, "Payments"), (SCHEDULE, "Payments primary"), (ANA.0, "Ana Lima")] {
        assert_eq!(named(id), Some(name), "{before:?}");
    }
    scene.pagerduty.clear_requests();
    scene.synced().await;
    scene.synced().await;
    assert_eq!(stored(&scene).await, before, "nothing was written");
    let asked = scene.pagerduty.requests();
    let usual = ["/oncalls", "/escalation_policies/PT20YPA", "/schedules/PI7DH85", "/v3/schedules/PV3TEAM"];
    let unusual: Vec<_> = asked.iter().filter(|request| !usual.contains(&request.path.as_str())).collect();
    assert!(unusual.is_empty(), "{unusual:?}");
}

#[tokio::test]
async fn a_rename_shows_after_the_next_look_and_what_was_told_stays_told() {
    let scene = Scene::running(Config::default()).await;
    rename_schedule(&scene.pagerduty, SCHEDULE, "Payments (night)");
    rename_user(&scene.pagerduty, ANA.0, "Ana Souza");
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (ANA, 300, 360)]);
    let report = scene.synced().await;
    assert_eq!(name_of(&report, |report| &report["created"][0]["name"]), "Ana Souza");
    assert!(scene.grants().await.iter().any(|grant| grant["name"] == "Ana Souza"));
    let audit = scene.audit().await;
    let told = |entry: &Value| entry["reason"].as_str().unwrap_or_default().to_owned();
    assert!(told(&audit[0]).contains("no rule wants"), "{audit:#?}");
    assert!(
        audit.iter().any(|entry| told(entry).contains("schedule Payments (night) (PI7DH85)")),
        "{audit:#?}"
    );
    assert!(audit.iter().any(|entry| told(entry).contains("schedule Payments primary (PI7DH85)")));
}

#[tokio::test]
async fn what_cannot_be_seen_has_the_name_that_it_had_also_after_a_restart() {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("alone", &[LONELY_SCHEDULE], &["prod-web-1"])];
    let mut scene = Scene::running(Config::with_rules(rules)).await;
    scene.kill();
    down(&scene);
    scene.start().await;
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502);
    let unknown = answer.json()["unknown"].clone();
    let name = |id: &str| {
        let entry = unknown.as_array().expect("a list").iter().find(|entry| entry["schedule"] == id);
        entry.unwrap_or_else(|| panic!("{unknown:#}"))["schedule_name"].clone()
    };
    assert_eq!((name(SCHEDULE), name(LONELY_SCHEDULE)), (json!("Payments primary"), json!("In no policy")));
    scene.logged(1, "schedule Payments primary (PI7DH85)").await;
    let output = scene.run(&["sync", "--dry-run"]).await;
    let said = stdout(&output);
    assert!(said.contains("unknown   schedule Payments primary (PI7DH85): "), "{said}");
}

#[tokio::test]
async fn names_are_taken_along_to_another_store() {
    let database = Database::create().await;
    let mut scene = Scene::running(Config::default()).await;
    scene.kill();
    scene.config.store = database.url.to_string();
    scene.write_config(&scene.config_file());
    for _ in 0..2 {
        let output = scene.run(&["import", "--from", "sqlite:oncall-grants.db"]).await;
        assert!(output.status.success(), "{}", stderr(&output));
    }
    down(&scene);
    scene.start().await;
    let unknown = &scene.sync().await.json()["unknown"][0];
    assert_eq!(
        (&unknown["schedule"], &unknown["schedule_name"]),
        (&json!(SCHEDULE), &json!("Payments primary"))
    );
}

#[tokio::test]
async fn hostile_names_reach_nobody_as_they_are() {
    let scene = Scene::running(Config::default()).await;
    let huge = format!("{}\u{202d}end", "x".repeat(10_000));
    for (number, name) in HOSTILE.into_iter().chain([huge.as_str()]).enumerate() {
        rename_schedule(&scene.pagerduty, SCHEDULE, name);
        rename_user(&scene.pagerduty, ANA.0, name);
        let end = 300 + i64::try_from(number).expect("a few");
        scene.shifts(SCHEDULE, &[(ANA, -60, 120), (ANA, 240, end)]);
        let report = scene.synced().await;
        let told = name_of(&report, |report| &report["created"][0]["name"]);
        let told = told.as_str().expect("a name");
        assert!(told.chars().count() <= 100, "{told}");
        assert_harmless(told);
        for path in ["/api/grants", "/api/audit"] {
            let raw = scene.get(path).await.text;
            assert!(
                !raw.contains(['\u{202e}', '\u{2066}', '\u{202d}', '\u{1b}']) && !raw.contains("\\u001b"),
                "{raw}"
            );
        }
        assert!(!scene.get("/").await.text.contains("<script>alert"), "{name}");
        let output = scene.run(&["sync", "--dry-run"]).await;
        stdout(&output).lines().for_each(assert_harmless);
        let output = scene.run(&["audit"]).await;
        stdout(&output).lines().for_each(assert_harmless);
    }
    for line in scene.log_by_now().await {
        assert!(line.message.len() < 4_000, "{}", line.message);
        assert_harmless(&line.message);
    }
    let (_, name, _) = &stored(&scene).await.into_iter().find(|(id, ..)| id == SCHEDULE).expect("a name");
    assert_eq!(name.chars().count(), 100);
}

#[track_caller]
fn assert_harmless(line: &str) {
    let bad = |c: char| {
        c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}')
    };
    assert!(!line.contains(bad), "{line:?}");
}

#[tokio::test]
async fn what_is_no_name_is_no_error() {
    let scene = Scene::running(Config::default()).await;
    let at = |minutes: i64| (scene.now() + TimeDelta::minutes(minutes)).to_rfc3339();
    let entry = json!({
        "escalation_policy": {"id": POLICY, "type": "escalation_policy_reference", "summary": ["a"]},
        "escalation_level": 1,
        "schedule": {"id": SCHEDULE, "type": "schedule_reference", "summary": null},
        "user": {"id": BO.0, "type": "user", "name": 7, "summary": {"x": 1}, "email": "Bo.Chen@Example.com"},
        "start": at(-60),
        "end": at(240),
    });
    let list = json!({"oncalls": [entry], "limit": 100, "offset": 0, "more": false, "total": 1});
    let answer = Action::http(200, list.to_string());
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", answer).until_cleared());
    let report = report(&scene.sync().await.text);
    assert_eq!(report.unknown, [], "{report:#?}");
    assert!(report.created.iter().any(|grant| grant.email.as_str() == BO.1), "{report:#?}");
}
