//! Names on the page, in explanations and in `check`.

use sandbox::{
    pagerduty::NewIncident,
    world::{self, LONELY_SCHEDULE, POLICY, SCHEDULE, SERVICE},
};
use serde_json::{Value, json};

use super::{HOSTILE, assert_harmless, down, rename_schedule, rename_user};
use crate::support::{
    ANA, BO, CEM, Config, DB, DENIZ, Replicas, Scene, policy_rule, rule, stderr, stdout, wait_until,
};

const SOME: [&str; 4] = [
    "Payments primary (PI7DH85)",
    "Ana Lima (ana@example.com)",
    "Bo Chen (bo.chen@example.com)",
    "Deniz Kaya (deniz@example.com)",
];

/// The text of a page, without its marks.
fn text_of(page: &str) -> String {
    let mut text = String::new();
    let mut is_mark = false;
    for c in page.chars() {
        match c {
            '<' => is_mark = true,
            '>' => is_mark = false,
            c if !is_mark => text.push(c),
            _ => {}
        }
    }
    text
}

async fn page(scene: &Scene, path: &str) -> String {
    let answer = scene.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    text_of(&answer.text)
}

#[tokio::test]
async fn the_page_reads_names_also_of_what_cannot_be_seen() {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("data", &[world::V3_SCHEDULE], &["prod-web-1"])];
    let mut scene = Scene::running(Config::with_rules(rules)).await;
    let said = page(&scene, "/").await;
    for words in SOME.into_iter().chain(["schedules Data platform (PV3TEAM)"]) {
        assert!(said.contains(words), "{words}: {said}");
    }
    let why = format!("/why?email={}&resource={DB}", ANA.1);
    let said = page(&scene, &why).await;
    let chain = "Rule payments → schedule Payments primary (PI7DH85) → user Ana Lima (PA1NAL7) is on call";
    assert!(said.contains(chain) && said.contains("Ana Lima (ana@example.com) on prod-postgres"), "{said}");

    scene.kill();
    down(&scene);
    scene.start().await;
    let said = page(&scene, "/").await;
    for words in SOME {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.contains("schedule Payments primary (PI7DH85): "), "{said}");
}

#[tokio::test]
async fn open_incidents_have_the_names_of_their_service_and_people() {
    let rule = format!(
        "[[rules]]\nname = \"incidents\"\nresources = [{DB:?}]\n[rules.incidents]\nservices = [{SERVICE:?}]\n"
    );
    let mut scene = Scene::running(Config::with_rules([rule])).await;
    let (_, opened) = scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[CEM.0]));
    scene.deliver(&opened).await;
    scene.page_says("Cem Öz (cem@example.com)").await;
    let said = page(&scene, "/").await;
    assert!(said.contains("Service Payments API (PSPAY01)"), "{said}");
    assert!(said.contains("incidents of services Payments API (PSPAY01)"), "{said}");
    let path = format!("/api/explain?email={}&resource={DB}", CEM.1);
    let chain = scene.get(&path).await.json()["resources"][0]["chains"][0].clone();
    assert_eq!((&chain["service"], &chain["service_name"]), (&json!(SERVICE), &json!("Payments API")));

    // Its name is known also when nothing tells it any more.
    scene.kill();
    scene.deny_path("/incidents");
    scene.start().await;
    let unknown = scene.sync().await.json()["unknown"][0].clone();
    assert_eq!((&unknown["service"], &unknown["service_name"]), (&json!(SERVICE), &json!("Payments API")));
}

#[tokio::test]
async fn people_are_found_by_their_names() {
    let scene = Scene::running(Config::default()).await;
    // Passes below the lanes tell of others as well.
    let lanes = async |sought: &str| {
        let page = scene.get(&format!("/?q={sought}")).await.text;
        let lanes = page.split("<li class=\"lane\">").skip(1).filter_map(|lane| lane.split("</li>").next());
        lanes.map(text_of).collect::<Vec<String>>()
    };
    for sought in ["ana%20lima", "LIMA", "ana%40exam"] {
        let found = lanes(sought).await;
        assert!(
            found.len() == 1 && found[0].starts_with("Ana Lima (ana@example.com)"),
            "{sought}: {found:?}"
        );
    }
    assert_eq!(lanes("nobody%20of%20this%20name").await, [""; 0]);
}

#[tokio::test]
async fn a_person_and_a_resource_have_pages_of_their_own_and_all_are_on_a_list() {
    let scene =
        Scene::running(Config::with_rules([rule("payments", &[SCHEDULE], &[DB, "prod-web-1"])])).await;
    let of_ana = page(&scene, "/why?email=ANA%40example.com").await;
    for words in
        ["Ana Lima (ana@example.com)", "Access to 2 resources now.", DB, "prod-web-1", "What was done"]
    {
        assert!(of_ana.contains(words), "{words}: {of_ana}");
    }
    assert!(!of_ana.contains("Bo Chen"), "{of_ana}");
    let of_db = page(&scene, &format!("/why?resource={DB}")).await;
    for words in
        [DB, "1 person has access now.", "Ana Lima (ana@example.com)", "Bo Chen (bo.chen@example.com)"]
    {
        assert!(of_db.contains(words), "{words}: {of_db}");
    }
    assert!(!of_db.contains("prod-web-1"), "{of_db}");
    let nobody = page(&scene, "/why?email=nobody%40example.com").await;
    assert!(nobody.contains("No grant of ours, now or to come."), "{nobody}");
    assert!(page(&scene, "/why").await.contains("1 person has access now"), "about nobody: the status page");

    let review = page(&scene, "/review").await;
    let why = "user Ana Lima (PA1NAL7) is on call for schedule Payments primary (PI7DH85)";
    for words in ["1 person has access, by 2 grants", "Ana Lima (ana@example.com)", why, " · store ", " UTC"]
    {
        assert!(review.contains(words), "{words}: {review}");
    }
    assert!(!review.contains("Bo Chen"), "{review}");
    let next = page(&scene, "/review?show=all&q=chen").await;
    assert!(next.contains("Bo Chen (bo.chen@example.com)") && !next.contains("Ana Lima ("), "{next}");
}

#[tokio::test]
async fn events_tell_what_the_ids_in_them_are_called() {
    let scene = Scene::running(Config::default()).await;
    scene.deliver(&scene.about(SCHEDULE)).await;
    let event = scene.get("/api/events").await.json()["items"][0].clone();
    assert_eq!(event["schedules"], json!([SCHEDULE]));
    assert_eq!(event["names"], json!({SCHEDULE: "Payments primary"}), "{event}");
}

#[tokio::test]
async fn explanations_have_names_in_json_and_in_words() {
    let rules = [policy_rule("platform", &[DB]), rule("alone", &[LONELY_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::running(Config::with_rules(rules)).await;
    let explained = scene.get(&format!("/api/explain?email={}", ANA.1)).await.json();
    assert_eq!(explained["name"], "Ana Lima");
    let resources = explained["resources"].as_array().expect("a list");
    let chain = |key: &str, id: &str| -> &Value {
        let chains = resources.iter().flat_map(|answer| answer["chains"].as_array().expect("a list"));
        chains.into_iter().find(|chain| chain[key] == id).unwrap_or_else(|| panic!("{explained:#}"))
    };
    assert_eq!(chain("escalation_policy", POLICY)["escalation_policy_name"], "Payments");
    assert_eq!(chain("schedule", LONELY_SCHEDULE)["schedule_name"], "In no policy");
    assert!(resources.iter().any(|answer| answer["grant"]["name"] == "Ana Lima"), "{explained:#}");

    let output = scene.run(&["explain", "--email", BO.1, "--resource", DB, "--at", "+3h"]).await;
    let said = stdout(&output);
    for words in [
        "Bo Chen (bo.chen@example.com) at ",
        "by rule \"platform\" and escalation policy Payments (PT20YPA):",
        "on call for escalation policy Payments (PT20YPA) at level",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test]
async fn check_tells_names_and_keeps_the_ids_that_machines_read() {
    let scene = Scene::prepared(Config::default()).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240)]);
    let said = stdout(&scene.run(&["check"]).await);
    for words in ["Deniz Kaya (deniz@example.com)  no strongDM", "(schedule Payments primary (PI7DH85))"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.contains("Ana Lima (ana@example.com)  prod-postgres: 1 grant"), "{said}");
    let output = scene.run(&["check", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let deniz = findings.iter().find(|finding| finding["kind"] == "no_account").expect("a finding");
    assert_eq!((&deniz["subject"], &deniz["name"]), (&json!(DENIZ.1), &json!("Deniz Kaya")));
    assert_eq!(report["access"][0]["name"], "Ana Lima");
}

#[tokio::test]
async fn check_names_a_schedule_that_is_gone_as_the_service_knew_it() {
    let mut scene = Scene::running(Config::default()).await;
    scene.kill();
    scene.pagerduty.delete_schedule(SCHEDULE);
    let output = scene.run(&["check", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let gone = findings.iter().find(|finding| finding["kind"] == "source_not_found").expect("a finding");
    assert_eq!(gone["subject"], format!("schedule {SCHEDULE}"));
    assert_eq!(gone["schedule_name"], "Payments primary");
    let said = stdout(&scene.run(&["check"]).await);
    assert!(said.contains("schedule Payments primary (PI7DH85)  does not exist"), "{said}");
}

#[tokio::test]
async fn a_replica_that_only_serves_the_page_reads_the_names_that_another_saw() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (one, other) = replicas.two().await;
    rename_schedule(&replicas.scene.pagerduty, SCHEDULE, "Payments at night");
    one.synced().await;
    let reads = async |replica: &crate::support::Service| {
        replica.get("/").await.text.contains("Payments at night (PI7DH85)")
    };
    assert!(reads(&one).await && reads(&other).await);
    let grants = other.grants().await;
    assert!(grants.iter().any(|grant| grant["name"] == "Ana Lima"), "{grants:#?}");
}

#[tokio::test]
async fn hostile_names_do_no_harm_where_people_look() {
    let scene = Scene::running(Config::default()).await;
    for name in HOSTILE {
        rename_schedule(&scene.pagerduty, SCHEDULE, name);
        rename_user(&scene.pagerduty, ANA.0, name);
        scene.synced().await;
        for path in ["/".to_owned(), format!("/why?email={}&resource={DB}", ANA.1)] {
            let page = scene.get(&path).await.text;
            assert!(!page.contains("<script>a") && !page.contains(" onload=x \""), "{page}");
            assert!(!page.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{2066}', '\u{85}']), "{page}");
        }
        for arguments in [&["check"][..], &["explain", "--email", ANA.1]] {
            let output = scene.run(arguments).await;
            stdout(&output).lines().chain(stderr(&output).lines()).for_each(assert_harmless);
        }
    }
    wait_until("nothing else is amiss", async || scene.get("/readyz").await.status == 200).await;
}
