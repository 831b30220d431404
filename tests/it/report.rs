//! How a report is written, key by key: what `POST /sync` answers and `sync --format json` prints. Other tests read it
//! into [`oncall_grants::PassReport`], which would follow a key that is renamed.

use chrono::{DateTime, Utc};
use sandbox::{
    faults::{Action, Fault},
    world::{LONELY_SCHEDULE, SCHEDULE},
};
use serde_json::{Value, json};

use crate::support::{ANA, BO, CEM, Config, DB, DENIZ, Scene, exit_code, rule, stderr, stdout};

/// The keys of an object, in order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Asserts that a report has exactly the keys that the contract names.
fn assert_keys(report: &Value) {
    let mut expected = [
        "pass_id",
        "trigger",
        "dry_run",
        "started_at",
        "finished_at",
        "oncalls",
        "created",
        "revoked",
        "unchanged",
        "held",
        "deferred",
        "skipped",
        "unknown",
        "failed",
        "calls",
    ];
    expected.sort_unstable();
    assert_eq!(keys(report), expected, "{report:#}");
}

/// A time as the API writes it.
fn time(at: DateTime<Utc>) -> Value {
    json!(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// A grant of `DB` as a report writes it, between these minutes.
fn grant(scene: &Scene, email: &str, id: &Value, from: i64, to: i64) -> Value {
    let name = match email {
        "ana@example.com" => "Ana Lima",
        _ => "Cem Öz",
    };
    json!({
        "id": id,
        "email": email,
        "name": name,
        "account_id": scene.strongdm.account_id(email),
        "resource": DB,
        "resource_id": scene.strongdm.resource_id(DB),
        "start": time(scene.minute(from)),
        "end": time(scene.minute(to)),
        "rules": ["payments"],
    })
}

#[tokio::test]
async fn every_part_of_a_report_is_written_as_the_contract_says() {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("alone", &[LONELY_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::running(Config::with_rules(rules)).await;
    let before = scene.grants().await;
    let old = before.iter().find(|grant| grant["email"] == ANA.1 && grant["resource"] == DB);
    // Ana's shift is moved, nobody can give access to Deniz, strongDM none to Cem, and one schedule is gone.
    scene.shifts(SCHEDULE, &[(DENIZ, -60, 60), (CEM, 60, 120), (BO, 120, 240), (ANA, 240, 300)]);
    scene.pagerduty.delete_schedule(LONELY_SCHEDULE);
    let cem = scene.strongdm.account_id(CEM.1).expect("an account");
    let refused = Action::grpc(tonic::Code::InvalidArgument, "no");
    scene.strongdm.faults().add(Fault::on("AccountGrants.Create", refused).containing(cem).until_cleared());

    let answer = scene.sync().await;
    let report = answer.json();
    assert_eq!(answer.status, 502, "{report:#}");
    assert_keys(&report);
    assert_eq!((&report["trigger"], &report["dry_run"]), (&json!("manual"), &json!(false)));
    assert_eq!((&report["oncalls"], &report["unchanged"]), (&json!(4), &json!(2)));
    for time in ["started_at", "finished_at"] {
        let time = report[time].as_str().expect("a time");
        assert!(time.ends_with('Z') && time.parse::<DateTime<Utc>>().is_ok(), "{time}");
    }
    let new = json!(scene.strongdm.grants_of(ANA.1, DB)[0].id);
    assert_eq!(report["created"], json!([grant(&scene, ANA.1, &new, 240, 300)]));
    assert_eq!(report["revoked"], json!([old.expect("Ana's grant")]));
    assert_eq!((&report["held"], &report["deferred"]), (&json!([]), &json!([])));
    assert_eq!(
        report["skipped"],
        json!([{
            "email": DENIZ.1,
            "name": "Deniz Kaya",
            "reason": "no_account",
            "rules": ["payments"],
            "first_shift": time(scene.minute(-60)),
        }])
    );
    let error = |list: &str| {
        let error = report[list][0]["error"].as_str();
        error.filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{report:#}"))
    };
    let unknown =
        json!([{"schedule": LONELY_SCHEDULE, "schedule_name": "In no policy", "error": error("unknown")}]);
    assert_eq!(report["unknown"], unknown);
    let failed = grant(&scene, CEM.1, &Value::Null, 60, 120);
    assert_eq!(report["failed"], json!([{"action": "create", "grant": failed, "error": error("failed")}]));
}

#[tokio::test]
async fn held_grants_are_written_like_all_others() {
    let scene = Scene::running(Config { max_revocations: 0, ..Config::default() }).await;
    let ours = scene.grants().await;
    scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
    let answer = scene.sync().await;
    assert_eq!(answer.status, 409);
    let anas = ours.iter().filter(|grant| grant["email"] == ANA.1).collect::<Vec<_>>();
    assert_eq!(answer.json()["held"], json!(anas));
}

#[tokio::test]
async fn the_command_prints_the_same() {
    let scene = Scene::prepared(Config::default()).await;
    for (arguments, trigger, dry_run) in [
        (&["sync", "--dry-run", "--format", "json"][..], "command", true),
        (&["sync", "--format", "json"], "command", false),
    ] {
        let output = scene.run(arguments).await;
        assert_eq!(exit_code(&output), 0, "{}", stderr(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).expect("the report and nothing else");
        assert_keys(&report);
        assert_eq!((&report["trigger"], &report["dry_run"]), (&json!(trigger), &json!(dry_run)));
        let created = report["created"].as_array().expect("a list");
        assert_eq!(created.len(), 2, "{report:#}");
        assert_eq!(created.iter().all(|grant| grant["id"].is_null()), dry_run, "{report:#}");
    }
}
