//! `oncall-grants check`: one thing is broken at a time, and it says which, and how to mend it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Schedule, Shift, sign},
    strongdm::{LEAST_PERMISSIONS, ResourceKind, SuspendedIn},
    world::{self, LONELY_SCHEDULE, POLICY, SCHEDULE, V3_SCHEDULE},
};
use serde_json::Value;

use crate::{
    support::{ADMIN_TOKEN, ANA, BO, CEM, Config, DENIZ, Database, Scene, rule, wait_until},
    webhook_command::{change, reachable, watched},
};

/// What `check --format json` printed, and its exit code.
struct Checked {
    code: Option<i32>,
    report: Value,
}

impl Checked {
    /// The findings of one kind.
    fn of(&self, kind: &str) -> Vec<&Value> {
        self.report["findings"].as_array().expect("a list").iter().filter(|one| one["kind"] == kind).collect()
    }

    /// The only finding of this kind, with its parts as text.
    fn one(&self, kind: &str) -> (String, String, String) {
        let found = self.of(kind);
        assert_eq!(found.len(), 1, "{kind} in {:#}", self.report);
        let text = |key: &str| found[0][key].as_str().expect("a text").to_owned();
        assert!(!text("remedy").is_empty(), "{kind} says how to mend it");
        (text("severity"), text("subject"), text("message"))
    }

    /// Asserts one problem of this kind, whose subject and message contain these words.
    fn assert_problem(&self, kind: &str, subject: &str, words: &str) {
        let (severity, of, message) = self.one(kind);
        assert_eq!((severity.as_str(), self.code), ("problem", Some(1)));
        assert!(of.contains(subject) && message.contains(words), "{of}: {message}");
    }

    fn kinds(&self, severity: &str) -> Vec<&str> {
        let found = self.report["findings"].as_array().expect("a list").iter();
        found.filter(|one| one["severity"] == severity).filter_map(|one| one["kind"].as_str()).collect()
    }
}

async fn check(scene: &Scene) -> Checked {
    let output = scene.run(&["check", "--format", "json"]).await;
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    Checked { code: output.status.code(), report }
}

async fn checked(config: Config) -> Checked {
    check(&Scene::set(config).await).await
}

fn policy_rule(levels: &str, more: &str) -> Config {
    Config::with_rules([format!(
        "[[rules]]\nname = \"by policy\"\nescalation_policies = [{POLICY:?}]\nescalation_levels = {levels}\n\
         resources = [\"prod-postgres\"]\n{more}\n"
    )])
}

fn with_filter(filter: &str) -> Config {
    Config::with_rules([format!(
        "[[rules]]\nname = \"by filter\"\nschedules = [{SCHEDULE:?}]\nresource_filters = [{filter:?}]\n"
    )])
}

/// Fills the horizon, so that no gap is found.
fn fill(scene: &Scene) {
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 20_000)]);
}

#[tokio::test]
async fn a_sound_set_up_has_no_problem_and_tells_who_gets_what() {
    let scene = Scene::set(Config::default()).await;
    fill(&scene);
    let found = check(&scene).await;
    assert_eq!(found.code, Some(0), "{:#}", found.report);
    assert_eq!((found.kinds("problem"), found.kinds("warning")), (vec![], vec![]));
    assert_eq!(found.kinds("note"), ["no_public_url", "store_new", "not_tried"]);
    let (_, subject, _) = found.one("store_new");
    let file = scene.dir().canonicalize().expect("a directory").join("oncall-grants.db");
    assert_eq!(subject, format!("store {}", file.display()), "the whole path is told");
    assert!(!file.exists());
    let people: BTreeMap<&str, &Value> = found.report["access"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["email"].as_str().expect("a text"), &one["resources"]))
        .collect();
    assert_eq!(people.keys().copied().collect::<Vec<_>>(), [ANA.1, BO.1]);
    assert!(people.values().all(|resources| **resources == serde_json::json!(["prod-postgres"])));
    assert_eq!(scene.writes(), (0, 0));

    let text = scene.run(&["check"]).await;
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    assert!(
        text.contains("0 problems, 0 warnings, 3 notes; 2 on-calls seen, access for 2 accounts"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "no colours, for this is no terminal");
}

#[tokio::test]
async fn offline_it_asks_nobody() {
    let scene = Scene::set(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    let output = scene.run(&["check", "--offline", "--format", "json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["offline"]), (Some(0), &Value::Bool(true)));
    assert_eq!(report["findings"][0]["kind"], "no_webhook_secret");
    assert!(scene.pagerduty.requests().is_empty() && scene.strongdm.calls().is_empty());
}

#[tokio::test]
async fn a_refused_key_is_one_finding_however_much_depends_on_it() {
    let scene = Scene::set(Config::default()).await;
    scene.pagerduty.configure(|settings| settings.tokens.clear());
    let found = check(&scene).await;
    found.assert_problem("key_refused", "PagerDuty", "token refused");
    assert_eq!(found.kinds("problem"), ["key_refused"]);

    let scene = Scene::set(Config::default()).await;
    fill(&scene);
    scene.strongdm.configure(|settings| settings.keys.clear());
    let found = check(&scene).await;
    found.assert_problem("key_refused", "strongDM", "does not accept the API key");
    assert_eq!(found.kinds("problem"), ["key_refused"]);
}

#[tokio::test]
async fn an_upstream_that_is_down_is_named() {
    let scene = Scene::set(Config::default()).await;
    scene.pagerduty.faults().add(Fault::on("", Action::http(503, "")).until_cleared());
    check(&scene).await.assert_problem("unreachable", "PagerDuty", "503");
}

#[tokio::test]
async fn each_missing_right_at_strongdm_is_named_with_what_it_is_for() {
    for (right, words) in [
        ("user:list", "find the accounts"),
        ("datasource:list", "find the resources"),
        ("grant:read", "compare what it granted"),
    ] {
        let scene = Scene::set(Config::default()).await;
        fill(&scene);
        scene.strongdm.configure(|settings| _ = settings.keys[0].permissions.remove(right));
        let found = check(&scene).await;
        found.assert_problem("right_missing", right, words);
        assert_eq!(found.kinds("problem"), ["right_missing"], "{:#}", found.report);
    }
    assert!(LEAST_PERMISSIONS.contains(&"grant:write"));
}

#[tokio::test]
async fn each_missing_right_at_pagerduty_is_named_with_what_it_is_for() {
    for (path, right, config) in [
        ("/oncalls", "oncalls.read", Config::default()),
        ("/users", "users.read", Config::default()),
        ("/schedules", "schedules.read", Config::default()),
        ("/escalation_policies", "escalation_policies.read", policy_rule("[1]", "")),
    ] {
        let scene = Scene::set(config).await;
        fill(&scene);
        scene.pagerduty.configure(|settings| _ = settings.tokens[0].denied.insert(path.to_owned()));
        let found = check(&scene).await;
        found.assert_problem("right_missing", right, "is missing");
        assert_eq!(found.kinds("problem"), ["right_missing"], "{:#}", found.report);
    }
}

#[tokio::test]
async fn schedules_policies_and_levels_that_do_not_exist_are_found() {
    let found = checked(Config::with_rules([rule("typo", &["PTYPO99"], &["prod-postgres"])])).await;
    found.assert_problem("source_not_found", "schedule PTYPO99", "does not exist");
    assert_eq!(found.kinds("problem"), ["source_not_found"]);

    let mut config = policy_rule("[1]", "");
    config.rules = config.rules.replace(POLICY, "PGONE99");
    let found = checked(config).await;
    found.assert_problem("source_not_found", "escalation policy PGONE99", "does not exist");
    assert_eq!(found.kinds("problem"), ["source_not_found"]);

    let found = checked(policy_rule("[1, 7]", "")).await;
    found.assert_problem("level_beyond_policy", "by policy", "has 3 levels, so level 7 never applies");
}

#[tokio::test]
async fn people_who_are_always_on_call_and_get_nothing_are_noted() {
    let found = checked(policy_rule("[3]", "")).await;
    let (severity, _, message) = found.one("always_on_call");
    assert_eq!(severity, "note");
    assert!(message.contains("cem@example.com"), "{message}");
    let found = checked(policy_rule("[3]", "include_always_on_call = true")).await;
    assert!(found.of("always_on_call").is_empty() && found.of("gap").is_empty());
}

#[tokio::test]
async fn resources_and_filters_that_find_nothing_or_too_much_are_found() {
    let found = checked(Config::with_rules([rule("r", &[SCHEDULE], &["prod-postgras"])])).await;
    found.assert_problem("resource_not_found", "prod-postgras", "no resource of this name");

    let found = checked(with_filter("tags:env=nowhere")).await;
    let (severity, subject, _) = found.one("filter_without_match");
    assert_eq!((severity.as_str(), found.code), ("warning", Some(0)));
    assert!(subject.contains("env=nowhere"));

    let scene = Scene::set(with_filter("tags:env=crowd")).await;
    for number in 0..51 {
        scene.strongdm.add_resource(ResourceKind::Ssh, &format!("crowd-{number}"), &[("env", "crowd")]);
    }
    let (_, _, message) = check(&scene).await.one("filter_with_many_matches");
    assert!(message.contains("51 resources"), "{message}");

    let scene = Scene::set(Config::default()).await;
    scene.strongdm.add_resource(ResourceKind::Ssh, "prod-postgres", &[]);
    check(&scene).await.assert_problem("ambiguous_resource", "prod-postgres", "several resources");
}

#[tokio::test]
async fn who_will_be_on_call_without_an_account_is_told_with_the_start_of_the_shift() {
    let scene = Scene::set(Config::default()).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240), (BO, 240, 20_000)]);
    let start = scene.minute(120).format("%FT%TZ").to_string();
    let found = check(&scene).await;
    found.assert_problem("no_account", DENIZ.1, &format!("on call from {start}"));
    let (_, _, message) = found.one("no_account");
    assert!(message.contains("payments"), "{message}");

    fill(&scene);
    assert!(scene.strongdm.suspend_user(ANA.1, SuspendedIn::Flag));
    check(&scene).await.assert_problem("account_suspended", ANA.1, "on call since");
    assert!(scene.strongdm.resume_user(ANA.1));

    scene.pagerduty.set_email(world::BO, None);
    check(&scene).await.assert_problem("no_email", world::BO, "no e-mail address");

    scene.pagerduty.set_email(world::BO, Some("bo*@example.com"));
    check(&scene).await.assert_problem("invalid_email", "bo*@example.com", "not safe");
}

#[tokio::test]
async fn stretches_without_anyone_are_told_exactly() {
    let scene = Scene::set(Config::default()).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 180, 20_000)]);
    let found = check(&scene).await;
    let (severity, subject, message) = found.one("gap");
    assert_eq!((severity.as_str(), subject.as_str(), found.code), ("warning", r#"rule "payments""#, Some(0)));
    let time = |minute| scene.minute(minute).format("%FT%TZ").to_string();
    assert!(message.contains(&format!("from {} until {}", time(120), time(180))), "{message}");

    scene.shifts(SCHEDULE, &[]);
    let (_, _, message) = check(&scene).await.one("gap");
    assert!(message.contains("nobody is on call within the horizon of 7d"), "{message}");
}

#[tokio::test]
async fn schedules_in_no_policy_and_of_both_kinds_are_sound() {
    let rules =
        [rule("a", &[LONELY_SCHEDULE], &["prod-postgres"]), rule("b", &[V3_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::set(Config::with_rules(rules)).await;
    let end = scene.minute(20_000);
    scene.pagerduty.put_schedule(Schedule::layers(LONELY_SCHEDULE, "In no policy").with(Shift::new(
        world::ANA,
        scene.minute(-60),
        end,
    )));
    scene.pagerduty.set_shifts(V3_SCHEDULE, vec![Shift::new(world::BO, scene.minute(-60), end)]);
    let found = check(&scene).await;
    assert_eq!((found.code, found.kinds("warning")), (Some(0), vec![]), "{:#}", found.report);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_found() {
    for (skew, severity, code) in [(TimeDelta::minutes(2), "warning", 0), (TimeDelta::days(1), "problem", 1)]
    {
        let scene = Scene::set(Config::default()).await;
        fill(&scene);
        let date = (scene.now() + skew).format("%a, %d %b %Y %T GMT").to_string();
        let headers = BTreeMap::from([("date".to_owned(), date)]);
        let answer = Action::Http { status: 404, body: String::new(), headers };
        scene.pagerduty.faults().add(Fault::on("GET /users/", answer));
        // Nothing is asked after it, so that its date is the last one.
        scene.pagerduty.faults().add(Fault::on("GET /schedules", Action::Cut).until_cleared());
        scene.pagerduty.faults().add(Fault::on("GET /v3/schedules", Action::Cut).until_cleared());
        let found = check(&scene).await;
        let (is, _, message) = found.one("clock_skew");
        // Two minutes around midnight are another day as well.
        if !(is == "problem" && severity == "warning" && message.contains("UTC day")) {
            assert_eq!((is.as_str(), found.code), (severity, Some(code)), "{message}");
        }
        assert!(message.contains("behind PagerDuty's"), "{message}");
    }
}

#[tokio::test]
async fn the_subscription_is_judged() {
    let scene = reachable(Config::default()).await;
    fill(&scene);
    check(&scene).await.assert_problem("subscription_missing", "webhook subscription", "none delivers to");

    let made = scene.run(&["webhook", "create", "--secret-file", "fresh"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let found = check(&scene).await;
    assert_eq!(found.code, Some(0), "{:#}", found.report);

    let id = scene.pagerduty.subscriptions()[0].id.clone();
    let change = async |what: Value| change(&scene, &id, what).await;
    change(serde_json::json!({"active": false})).await;
    check(&scene).await.assert_problem("subscription_inactive", &id, "switched off by its owner");
    change(serde_json::json!({"active": true, "events": ["service.updated"]})).await;
    check(&scene).await.assert_problem("subscription_events", &id, "no incident.* event");
    change(serde_json::json!({"events": ["incident.triggered"]})).await;
    let (severity, _, message) = check(&scene).await.one("subscription_events");
    assert_eq!(severity, "warning");
    assert!(message.contains("incident.reassigned") && !message.contains("incident.triggered"), "{message}");

    let denied = "/webhook_subscriptions".to_owned();
    scene.pagerduty.configure(|settings| _ = settings.tokens[0].denied.insert(denied));
    let found = check(&scene).await;
    assert_eq!((found.one("subscription_not_readable").0.as_str(), found.code), ("note", Some(0)));
}

#[tokio::test]
async fn a_subscription_without_a_known_secret_is_one_finding_with_the_remedy_that_works() {
    let scene = reachable(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    fill(&scene);
    assert_eq!(check(&scene).await.one("no_webhook_secret").0, "note");
    scene.run(&["webhook", "create", "--secret-file", "lost"]).await;
    let found = check(&scene).await;
    found.assert_problem("subscription_without_secret", "webhook subscription", "answered 503");
    assert!(found.of("subscription_without_secret")[0]["remedy"].to_string().contains("webhook rotate"));
    assert!(found.of("no_webhook_secret").is_empty(), "{:#}", found.report);
}

#[tokio::test]
async fn a_wrong_secret_that_the_service_noticed_is_a_problem_until_a_signed_event_comes() {
    let mut scene = reachable(Config::default()).await;
    fill(&scene);
    scene.run(&["webhook", "create", "--secret-file", "unused"]).await;
    let id = scene.pagerduty.subscriptions()[0].id.clone();
    scene.start().await;
    watched(&scene, "active").await;
    let forged = async || {
        let headers = [("X-PagerDuty-Signature", "v1=00"), ("X-Webhook-Subscription", &id)];
        scene.post_webhook("{}", headers).await.assert_error(401, "bad_signature");
        // The pass keeps what was noticed.
        scene.synced().await;
    };
    let signed = async |subscription: &str| {
        let body = scene.about(SCHEDULE).body();
        let signature = sign(world::WEBHOOK_SECRET, &body);
        let headers = [("X-PagerDuty-Signature", &*signature), ("X-Webhook-Subscription", subscription)];
        assert_eq!(scene.post_webhook(body, headers).await.status, 202);
        scene.all_served().await;
    };
    forged().await;
    let found = check(&scene).await;
    found.assert_problem("wrong_secret", &id, "not configured");
    assert!(found.of("wrong_secret")[0]["remedy"].to_string().contains("webhook rotate"));
    assert!(found.of("subscription_unheard").is_empty(), "it says the same: {:#}", found.report);
    signed("PWSUB99").await;
    check(&scene).await.assert_problem("wrong_secret", &id, "not configured");
    signed(&id).await;
    let found = check(&scene).await;
    assert_eq!((found.code, found.of("wrong_secret").len()), (Some(0), 0), "{:#}", found.report);

    forged().await;
    check(&scene).await.assert_problem("wrong_secret", &id, "not configured");
    scene.run(&["webhook", "delete", &id]).await;
    assert!(check(&scene).await.of("wrong_secret").is_empty(), "it is not ours any more");
}

#[tokio::test]
async fn settings_that_are_allowed_but_unwise_are_warned_of() {
    let scene = Scene::set(Config::default()).await;
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    let secret = format!("webhook_secrets = [{:?}]", world::WEBHOOK_SECRET);
    for (from, to, kind) in [
        (format!("admin_token = {ADMIN_TOKEN:?}"), r#"admin_token = "short""#, "short_admin_token"),
        (secret.clone(), r#"webhook_secrets = ["same", "same"]"#, "webhook_secret_doubled"),
        (secret.clone(), r#"webhook_secrets_file = "none-yet""#, "no_webhook_secret"),
        (
            "[pagerduty]".to_owned(),
            "public_url = \"http://a.example\"\n[pagerduty]",
            "public_url_in_the_clear",
        ),
    ] {
        assert!(text.contains(&from), "{from}");
        scene.write_config(&text.replacen(&from, to, 1));
        let output = scene.run(&["check", "--offline", "--format", "json"]).await;
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let found = Checked { code: output.status.code(), report };
        assert_eq!((found.one(kind).0.as_str(), found.code), ("warning", Some(0)), "{:#}", found.report);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_found_without_making_one() {
    let scene = Scene::set(Config::default()).await;
    fill(&scene);
    std::fs::create_dir(scene.dir().join("adir")).expect("a writable directory");
    std::fs::write(scene.dir().join("letter"), "no database at all ".repeat(100))
        .expect("a writable directory");
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    let before = std::fs::read_dir(scene.dir()).expect("a directory").count();
    for (url, subject, words) in [
        ("sqlite:missing/x.db", "missing/x.db", "cannot be made in"),
        ("sqlite:adir", "adir", "is a directory"),
        ("sqlite:letter/x.db", "letter/x.db", "cannot be looked at"),
        ("sqlite:letter", "store", "not a database"),
        ("postgres://app:hush-password@127.0.0.1:9/grants", "store", "Connection refused"),
    ] {
        scene.write_config(&text.replace("sqlite:oncall-grants.db", url));
        let found = check(&scene).await;
        found.assert_problem("store", subject, words);
        assert_eq!(found.kinds("problem"), ["store"], "{url}");
        assert!(!found.report.to_string().contains("hush-password"), "{:#}", found.report);
    }
    assert_eq!(std::fs::read_dir(scene.dir()).expect("a directory").count(), before, "nothing was made");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_found_and_an_empty_one_is_sound() {
    let database = Database::create().await;
    let mut gone = database.url.clone();
    gone.set_path("no_such_database");
    let found = checked(Config { store: gone.to_string(), ..Config::default() }).await;
    found.assert_problem("store", "store", "no_such_database");
    let found = checked(Config { store: database.url.to_string(), ..Config::default() }).await;
    assert_eq!((found.code, found.of("store").len()), (Some(0), 0), "{:#}", found.report);
}

#[tokio::test]
async fn what_the_service_could_not_do_is_told_beside_it() {
    let config = Config { max_revocations: 0, ..Config::default() };
    let mut scene = Scene::running(config).await;
    fill(&scene);
    scene.synced().await;
    assert_eq!(check(&scene).await.kinds("problem"), Vec::<&str>::new());

    scene.shifts(SCHEDULE, &[(BO, -60, 20_000)]);
    assert_eq!(scene.sync().await.status, 409);
    check(&scene).await.assert_problem("held", "held revocations", ANA.1);

    scene.shifts(SCHEDULE, &[(CEM, -60, 20_000)]);
    let refused = Fault::on("AccountGrants.Create", Action::grpc(tonic::Code::Internal, "no luck today"))
        .until_cleared();
    scene.strongdm.faults().add(refused);
    assert_eq!(scene.sync().await.status, 502);
    // It would try again at any moment, and both would ask PagerDuty at once.
    scene.kill();
    check(&scene).await.assert_problem("write_failed", "writes to strongDM", CEM.1);
}

#[tokio::test]
async fn the_service_counts_and_logs_what_lies_ahead_once() {
    let scene = Scene::running(Config::default()).await;
    let metric = async |kind: &str| {
        let name = format!(r#"oncall_grants_preflight_findings{{kind="{kind}"}} "#);
        let text = scene.get("/metrics").await.text;
        text.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    };
    assert_eq!(metric("gap").await.as_deref(), Some("1"));
    assert_eq!(metric("no_account").await, None);
    let told = |what: &str| scene.messages().iter().filter(|line| line.contains(what)).count();
    let gap = r#"found ahead: rule "payments": nobody is on call"#;
    assert_eq!(told(gap), 1, "{:#?}", scene.messages());
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 20_000)]);
    for _ in 0..3 {
        scene.synced().await;
    }
    assert_eq!(
        (metric("gap").await.as_deref(), metric("no_account").await.as_deref()),
        (Some("0"), Some("1"))
    );
    wait_until("it is logged", async || (told("found ahead: deniz@example.com") > 0).then_some(())).await;
    assert_eq!((told("found ahead: deniz@example.com"), told(gap)), (1, 1));
}
