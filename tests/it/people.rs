//! Who is whom: whole addresses, exactly one account, and nothing pasted into a filter.

use oncall_grants::{PassReport, model::Subject};
use sandbox::{
    pagerduty::{Shift, User},
    strongdm::{ResourceKind, SuspendedIn, v1},
    world::{SCHEDULE, V3_SCHEDULE},
};
use serde_json::{Value, json};

use crate::support::{ANA, BO, CEM, Config, DB, DENIZ, Scene, filter_rule, rule, stdout, wait_for};

const WEB: &str = "prod-web-1";

/// Everybody on call at once through one schedule.
fn all_at_once() -> Config {
    Config::with_rules([rule("all", &[V3_SCHEDULE], &[DB])])
}

/// Whom and what a pass skipped and why, in order.
fn skipped(report: &PassReport) -> Vec<(&str, &str)> {
    fn text(subject: &Subject) -> &str {
        match subject {
            Subject::User(id) => id.as_str(),
            Subject::Email(text) | Subject::Resource(text) | Subject::Filter(text) | Subject::Other(text) => {
                text
            }
        }
    }
    let entries = report.skipped.iter().map(|skipped| (text(&skipped.subject), skipped.reason.as_str()));
    let mut all: Vec<_> = entries.collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn people_who_cannot_be_given_access_are_reported_and_stop_nobody_else() {
    let mut scene = Scene::prepared(all_at_once()).await;
    let strange = [
        ("PX0001", "*@example.com"),
        ("PX0002", "ana\"@example.com"),
        ("PX0003", "ana@example.com,bo.chen@example.com"),
        ("PX0004", "ana @example.com"),
        ("PX0005", "ana\\@example.com"),
        ("PX0006", "ana"),
        ("PX0007", "a?a@example.com"),
        ("PX0008", "na@example.com"),
    ];
    let mut shifts: Vec<Shift> =
        strange.iter().map(|(id, _)| Shift::new(id, scene.minute(-60), scene.minute(120))).collect();
    for (id, email) in strange {
        scene.pagerduty.add_user(User::new(id, "Somebody", email));
    }
    let others = [ANA.0, BO.0, CEM.0, DENIZ.0, "PTWICE1", "PGONE01"];
    shifts.extend(others.map(|id| Shift::new(id, scene.minute(-60), scene.minute(120))));
    scene.pagerduty.set_shifts(V3_SCHEDULE, shifts);
    scene.pagerduty.add_user(User::new("PTWICE1", "Two Accounts", "twice@example.com"));
    scene.pagerduty.add_user(User::new("PGONE01", "Was Deleted", "gone@example.com"));
    scene.pagerduty.delete_user("PGONE01");
    scene.strongdm.add_user("twice@example.com");
    scene.strongdm.add_user("Twice@Example.com");
    assert!(scene.strongdm.suspend_user(CEM.1, SuspendedIn::Level));
    scene.start().await;

    let report = scene.synced().await;
    let mut expected = vec![
        ("a?a@example.com", "no_account"),
        ("na@example.com", "no_account"),
        (DENIZ.1, "no_account"),
        ("twice@example.com", "ambiguous_account"),
        ("PGONE01", "no_email"),
        (CEM.1, "account_suspended"),
    ];
    expected.extend(strange[..6].iter().map(|(_, email)| (*email, "invalid_email")));
    expected.sort_unstable();
    assert_eq!(skipped(&report), expected);
    assert!(report.skipped.iter().all(|skipped| skipped.rules.iter().eq(["all"])), "{report:#?}");
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![(0, 120)]));
    assert_eq!(scene.strongdm.grants().len(), 2);
    for call in scene.strongdm.calls() {
        let filter = call.fact("filter");
        assert!(!filter.contains('*') && !filter.contains(','), "{} was asked {filter}", call.method);
    }
}

#[tokio::test]
async fn a_suspended_account_gets_nothing_new_and_keeps_what_it_has() {
    for field in [SuspendedIn::OldFlag, SuspendedIn::OldLevel, SuspendedIn::Flag, SuspendedIn::Level] {
        let scene = Scene::running(Config::default()).await;
        assert!(scene.strongdm.suspend_user(ANA.1, field));
        scene.shifts(SCHEDULE, &[(ANA, -60, 300)]);
        let report = scene.synced().await;
        assert_eq!(skipped(&report), [(ANA.1, "account_suspended")], "{field:?}");
        assert_eq!(scene.access(ANA, DB), [(0, 120)], "{field:?}");
        assert!(scene.strongdm.resume_user(ANA.1));
        scene.synced().await;
        assert_eq!(scene.access(ANA, DB), [(0, 300)], "{field:?}");
    }
}

/// Ana's and Bo's addresses have an old domain in PagerDuty.
async fn with_an_old_domain(aliases: Vec<(&'static str, &'static str)>) -> Scene {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("others", &[V3_SCHEDULE], &[WEB])];
    let domain_aliases = vec![("old.example", "example.com")];
    let scene = Scene::prepared(Config { aliases, domain_aliases, ..Config::with_rules(rules) }).await;
    scene.pagerduty.add_user(User::new("POLDANA", "Ana Lima", "Ana@Old.Example"));
    scene.shifts(SCHEDULE, &[(("POLDANA", ""), -60, 120), (BO, 120, 20_000)]);
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 20_000)]);
    scene
}

#[tokio::test]
async fn a_domain_alias_leads_everybody_of_the_domain_to_their_accounts() {
    let mut scene = with_an_old_domain(Vec::new()).await;
    scene.start().await;
    assert_eq!(skipped(&scene.synced().await), []);
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![(120, 20_000)]));
}

#[tokio::test]
async fn of_two_people_who_would_be_one_account_the_mapped_one_gets_nothing_new_and_keeps_what_there_is() {
    let mut scene = with_an_old_domain(Vec::new()).await;
    scene.start().await;
    scene.synced().await;
    // The other Ana comes on call through another schedule.
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 20_000), (ANA, -60, 20_000)]);
    scene.shifts(SCHEDULE, &[(("POLDANA", ""), -60, 300), (BO, 300, 20_000)]);
    for _ in 0..2 {
        let report = scene.synced().await;
        assert_eq!(skipped(&report), [("Ana@Old.Example", "ambiguous_account")]);
        assert_eq!(scene.access(ANA, DB), [(0, 120)], "what there was stays, and nothing is added");
        assert_eq!(scene.access(ANA, WEB), [(0, 20_000)], "the other one is meant by her own address");
    }
    // A look at her schedule alone knows it too.
    let answer = scene.sync_with(json!({"schedules": [SCHEDULE]})).await;
    assert_eq!(answer.json()["skipped"][0]["reason"], "ambiguous_account", "{}", answer.text);
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);

    let told = "Ana Lima (Ana@Old.Example) and Ana Lima (ana@example.com) are two people in PagerDuty, who would become \
                the one strongDM account";
    let output = stdout(&scene.run(&["explain", "--email", "ana@old.example", "--resource", DB]).await);
    assert!(output.contains(told) && output.contains("ambiguous_account"), "{output}");
    let output = stdout(&scene.run(&["explain", "--email", ANA.1, "--resource", WEB]).await);
    assert!(!output.contains("ambiguous_account") && output.contains("has access"), "{output}");
    let output = stdout(&scene.run(&["check"]).await);
    assert!(output.contains(told) && output.contains("aliases = {"), "{output}");
}

#[tokio::test]
async fn an_exact_alias_says_which_of_two_people_is_meant() {
    let mut scene = with_an_old_domain(vec![("ana@old.example", ANA.1)]).await;
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 20_000), (ANA, -60, 20_000)]);
    scene.start().await;
    assert_eq!(skipped(&scene.synced().await), []);
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
}

#[tokio::test]
async fn an_alias_leads_to_the_account_whatever_its_case() {
    let config = Config { aliases: vec![("Ana@Example.com", "lima@corp.example")], ..Config::default() };
    let mut scene = Scene::prepared(config).await;
    scene.strongdm.add_user("Lima@Corp.Example");
    scene.start().await;
    let ids: Vec<Value> = scene.grants().await.iter().map(|grant| grant["email"].clone()).collect();
    assert_eq!(ids, ["lima@corp.example", BO.1]);
    assert_eq!(scene.access(ANA, DB), []);
}

#[tokio::test]
async fn a_renamed_account_is_still_the_same_and_a_stranger_with_its_old_address_is_not() {
    let scene = Scene::running(Config::default()).await;
    assert!(scene.strongdm.rename_user(ANA.1, "lima@example.com"));
    scene.synced().await;
    assert_eq!(scene.writes(), (2, 0), "nobody knows that Ana has a new address");
    scene.pagerduty.set_email(ANA.0, Some("lima@example.com"));
    scene.synced().await;
    assert_eq!(scene.writes(), (2, 0), "it is the same account");

    scene.pagerduty.set_email(ANA.0, Some(ANA.1));
    scene.strongdm.add_user(ANA.1);
    scene.synced().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert_eq!(
        scene.strongdm.grants_of("lima@example.com", DB).len(),
        1,
        "a changed address takes nothing away"
    );
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    scene.synced().await;
    assert_eq!(scene.strongdm.grants_of("lima@example.com", DB), [], "she is not on call any more");
}

#[tokio::test]
async fn service_accounts_and_tokens_of_the_same_name_are_no_people() {
    let mut scene = Scene::prepared(Config::default()).await;
    let others = [scene.strongdm.add_service(ANA.1), scene.strongdm.add_token(ANA.1)];
    scene.start().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert!(scene.strongdm.remove_account(ANA.1));
    let report = scene.synced().await;
    assert_eq!(skipped(&report), [(ANA.1, "no_account")]);
    assert!(!scene.strongdm.all_grants().iter().any(|grant| others.contains(&grant.account_id)));
}

#[tokio::test]
async fn missing_ambiguous_and_refused_resources_are_reported_and_stop_no_other() {
    let filters = "resource_filters = [\"tags:env=prod\", \"flavour:sweet\"]\n";
    let rules = [rule("odd", &[SCHEDULE], &[DB, "missing", "double"]) + filters];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.strongdm.add_resource(ResourceKind::Ssh, "double", &[]);
    scene.strongdm.add_resource(ResourceKind::Ssh, "double", &[]);
    scene.start().await;
    let report = scene.synced().await;
    let expected = [
        ("double", "ambiguous_resource"),
        ("flavour:sweet", "filter_refused"),
        ("missing", "resource_not_found"),
    ];
    assert_eq!(skipped(&report), expected);
    let resources = [DB, "prod-web-1", "prod-cluster", "prod-new-thing"];
    for resource in resources {
        assert_eq!(scene.access(ANA, resource), [(0, 120)], "{resource}");
    }
    assert_eq!(scene.strongdm.grants().len(), 2 * resources.len());
}

#[tokio::test]
async fn what_a_filter_finds_is_looked_up_again_as_resources_come_and_go() {
    let scene = Scene::running(Config::with_rules([filter_rule("production", "tags:env=prod")])).await;
    assert_eq!(scene.strongdm.grants().len(), 8);
    scene.strongdm.add_resource(ResourceKind::Ssh, "new", &[("env", "prod")]);
    assert!(scene.strongdm.set_tags("prod-cluster", &[]));
    scene.synced().await;
    assert_eq!((scene.access(ANA, "new"), scene.access(ANA, "prod-cluster")), (vec![(0, 120)], vec![]));
    assert_eq!(scene.strongdm.grants().len(), 8);
}

#[tokio::test]
async fn a_filter_that_falls_silent_keeps_its_part_of_a_grant_that_another_rule_wants_as_well() {
    let rules = [filter_rule("production", "tags:env=prod"), rule("later", &[V3_SCHEDULE], &[DB])];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.shifts(V3_SCHEDULE, &[(ANA, 120, 240)]);
    scene.start().await;
    assert_eq!(scene.access(ANA, DB), [(0, 240)]);
    for resource in [DB, "prod-web-1", "prod-cluster", "prod-new-thing"] {
        assert!(scene.strongdm.set_tags(resource, &[]));
    }
    for _ in 0..3 {
        assert_eq!(scene.synced().await.revoked, []);
    }
    assert_eq!(scene.access(ANA, DB), [(0, 240)]);
}

#[tokio::test]
async fn a_filter_that_finds_more_than_it_may_gives_nothing_takes_nothing_and_is_read_no_further() {
    let filter = "tags:env=prod";
    let mut scene = Scene::prepared(Config::with_rules([filter_rule("production", filter)])).await;
    scene.write_config(&scene.config_file().replace("[sync]", "[sync]\nmax_filter_matches = 4"));
    scene.start().await;
    assert_eq!(
        (scene.strongdm.grants().len(), scene.access(ANA, DB)),
        (8, vec![(0, 120)]),
        "four are not too many"
    );
    let more: Vec<String> = (0..250).map(|number| format!("more-{number}")).collect();
    for name in &more {
        scene.strongdm.add_resource(ResourceKind::Ssh, name, &[("env", "prod")]);
    }
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240), (CEM, 240, 360)]);
    let answer = scene.sync().await;
    let report = answer.report();
    assert_eq!((answer.status, report.created, report.revoked), (502, vec![], vec![]), "{}", answer.text);
    let [unknown] = &*report.unknown else { panic!("{:?}", report.unknown) };
    assert!(unknown.about.to_string().contains(filter), "{}", unknown.about);
    let error = unknown.error.to_string();
    assert!(error.contains("more than 4 resources") && error.contains("sync.max_filter_matches"), "{error}");
    let calls = scene.strongdm.calls();
    let pages = calls.iter().filter(|call| call.method == "Resources.List");
    assert_eq!(pages.filter(|call| !call.fact("cursor").is_empty()).count(), 0, "one page shows it");
    let checked = stdout(&scene.run(&["check"]).await);
    assert!(checked.contains("more than 4 resources") && checked.contains("max_filter_matches"), "{checked}");

    for name in &more {
        assert!(scene.strongdm.set_tags(name, &[]));
    }
    scene.synced().await;
    assert_eq!((scene.access(CEM, DB), scene.access(ANA, DB)), (vec![(240, 360)], vec![(0, 120)]));
}

#[tokio::test]
async fn a_resource_made_anew_under_its_name_is_granted_within_one_pass() {
    let scene = Scene::running(Config::default()).await;
    let id = scene.strongdm.recreate_resource(DB).expect("a known resource");
    let report = scene.synced().await;
    assert_eq!(report.created[0].resource_id.as_str(), id);
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![(120, 240)]));

    // A webhook does not look resources up again, until strongDM does not know one of them.
    scene.strongdm.recreate_resource(DB).expect("a known resource");
    scene.cem_takes_over();
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    let report = scene.synced().await;
    assert!(report.failed.is_empty(), "{report:#?}");
    assert_eq!(scene.access(BO, DB), [(120, 240)]);
}

#[tokio::test]
async fn a_grant_that_somebody_removed_is_made_anew_by_the_next_pass_on_request() {
    let scene = Scene::running(Config::default()).await;
    let id = scene.strongdm.grants_of(ANA.1, DB)[0].id.clone();
    assert!(scene.strongdm.remove_grant(&id));
    let report = scene.synced().await;
    assert_eq!(report.created[0].email.as_str(), ANA.1);
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    let audit = scene.audit().await;
    assert!(audit.iter().any(|entry| entry["action"] == "vanish" && entry["grant"]["id"] == id.as_str()));
    let name = scene.strongdm.edit_user(ANA.1, |user: &mut v1::User| user.first_name = "Anna".into());
    assert!(name);
    scene.synced().await;
    assert_eq!(scene.writes(), (3, 0));
}

#[tokio::test]
async fn an_alias_that_leads_elsewhere_is_the_reason_of_what_it_takes_away() {
    let mut scene = Scene::running(Config::default()).await;
    scene.signal("TERM");
    scene.ended().await;
    scene.config.aliases.push((ANA.1, "ana@typo.example"));
    scene.write_config(&scene.config_file());
    scene.start().await;
    scene.access_becomes(ANA, DB, &[]).await;
    let audit = wait_for("the revocation is in the audit", async || {
        let audit = scene.audit().await;
        (audit[0]["action"] == "revoke").then_some(audit)
    })
    .await;
    let reason = audit[0]["reason"].as_str().expect("a text");
    assert!(reason.contains("another strongDM address (see accounts.aliases"), "{reason}");

    let answer = scene.get(&format!("/api/explain?email={}&resource={DB}", ANA.1)).await.json();
    let one = &answer["resources"][0];
    let text = |key: &str| one[key].as_str().expect("a text");
    let both =
        "has the address ana@typo.example, to which accounts.aliases maps ana@example.com [no_account]";
    assert!(text("message").contains(both), "{one:#}");
    assert!(text("remedy").starts_with("correct the alias of ana@example.com"), "{one:#}");
}

#[tokio::test]
async fn whoever_gets_another_address_in_the_middle_of_a_shift_keeps_access() {
    let scene = Scene::running(Config::default()).await;
    scene.strongdm.add_user("ana.lima@example.com");
    scene.pagerduty.add_user(User::new(ANA.0, "Ana Lima", "ana.lima@example.com"));
    for _ in 0..2 {
        scene.synced().await;
    }
    let renamed = (ANA.0, "ana.lima@example.com");
    assert_eq!((scene.access(renamed, DB), scene.access(ANA, DB)), (vec![(0, 120)], vec![(0, 120)]));
    scene.pagerduty.add_user(User::new(ANA.0, "Ana Lima", "nobody@example.com"));
    assert_eq!(scene.synced().await.revoked, []);
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    scene.synced().await;
    assert_eq!((scene.access(renamed, DB), scene.access(ANA, DB)), (vec![], vec![]));
}
