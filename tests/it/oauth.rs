//! PagerDuty asked as an OAuth app: what it may see, how long a token serves, and what happens without one.

use sandbox::{
    faults::{Action, Fault},
    pagerduty::AccessToken,
    world::{CLIENT_ID, CLIENT_SECRET, POLICY, SCHEDULE, SUBDOMAIN, TOKEN},
};
use serde_json::Value;

use crate::support::{ANA, BO, CEM, Config, DB, Scene, exit_code, policy_rule, rule, stderr, stdout};

const IDENTITY: &str = "POST /oauth/token";

/// A scene whose configuration names the app, and no key.
async fn with_an_app(config: Config) -> Scene {
    let scene = Scene::prepared(config).await;
    write_app(&scene, "");
    scene
}

/// Writes the configuration with the app, and with these lines as well.
fn write_app(scene: &Scene, lines: &str) {
    let identity = scene.pagerduty.url();
    let app = format!(
        "client_id = {CLIENT_ID:?}\nclient_secret = {CLIENT_SECRET:?}\nsubdomain = {SUBDOMAIN:?}\n\
         identity_url = {identity:?}\n{lines}"
    );
    let file = scene.config_file();
    let key = format!("token = {TOKEN:?}\n");
    assert!(file.contains(&key));
    scene.write_config(&file.replace(&key, &app));
}

fn take_scope(scene: &Scene, scope: &str) {
    scene.pagerduty.configure(|settings| assert!(settings.oauth.granted.remove(scope)));
}

/// Nothing that was said or logged holds a secret or a token.
fn assert_no_secret(scene: &Scene, told: &str) {
    let tokens = scene.pagerduty.access_tokens();
    let secrets = tokens.iter().map(|token| token.token.as_str()).chain([CLIENT_SECRET]);
    for secret in secrets {
        assert!(!told.contains(secret) && !scene.log().contains(secret), "{secret} was told");
    }
    let files = std::fs::read_dir(scene.dir()).expect("a directory").flatten();
    for file in files.filter(|file| !file.path().ends_with("oncall-grants.toml")) {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let has =
            |token: &AccessToken| bytes.windows(token.token.len()).any(|part| part == token.token.as_bytes());
        assert!(!tokens.iter().any(has), "a token is in {}", file.path().display());
    }
}

#[tokio::test]
async fn an_app_gives_access_with_the_scopes_that_the_rules_use() {
    let mut scene = with_an_app(Config::default()).await;
    scene.start().await;
    scene.synced().await;
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![(120, 240)]));
    let tokens = scene.pagerduty.access_tokens();
    assert_eq!(tokens.len(), 1, "one for all requests");
    let account = format!("as_account-us.{SUBDOMAIN}");
    assert_eq!(tokens[0].asked, [account.as_str(), "oncalls.read", "schedules.read", "users.read"]);
    let checked = scene.run(&["check"]).await;
    assert!(!stdout(&checked).contains("PagerDuty right"), "{}", stdout(&checked));
    assert_no_secret(&scene, &stdout(&checked));
}

#[tokio::test]
async fn a_token_that_pagerduty_refuses_is_fetched_anew() {
    let mut scene = with_an_app(Config::default()).await;
    scene.start().await;
    for round in 2..4 {
        scene.pagerduty.expire_access_tokens();
        let (on, off) = if round % 2 == 0 { (CEM, ANA) } else { (ANA, CEM) };
        scene.shifts(SCHEDULE, &[(on, -60, 120), (BO, 120, 240)]);
        let report = scene.synced().await;
        assert!(report.unknown.is_empty(), "{report:#?}");
        assert_eq!((scene.access(on, DB), scene.access(off, DB)), (vec![(0, 120)], vec![]));
        assert_eq!(scene.pagerduty.access_tokens().len(), round);
    }
    assert_no_secret(&scene, "");
}

#[tokio::test]
async fn while_no_token_comes_nothing_is_revoked_and_the_present_one_is_used() {
    let mut scene = with_an_app(Config::default()).await;
    scene.start().await;
    scene.pagerduty.faults().add(Fault::on(IDENTITY, Action::http(503, "down")).until_cleared());
    // The present one still holds.
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    assert!(scene.synced().await.unknown.is_empty());
    assert_eq!((scene.access(CEM, DB), scene.access(ANA, DB)), (vec![(0, 120)], vec![]));
    let revoked = scene.writes().1;

    scene.pagerduty.expire_access_tokens();
    scene.shifts(SCHEDULE, &[(BO, -60, 120)]);
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502);
    assert!(answer.text.contains("identity service"), "{}", answer.text);
    let ready = scene.get("/readyz").await.text;
    assert!(ready.contains("identity service"), "{ready}");
    assert_eq!((scene.access(CEM, DB), scene.writes().1), (vec![(0, 120)], revoked));
    assert_no_secret(&scene, &answer.text);

    scene.pagerduty.faults().clear();
    scene.access_becomes(BO, DB, &[(0, 120)]).await;
    scene.access_becomes(CEM, DB, &[]).await;
}

#[tokio::test]
async fn check_names_the_rules_that_need_a_scope_that_is_missing() {
    let rules = [rule("shifts", &[SCHEDULE], &[DB]), policy_rule("escalations", &[DB])];
    let scene = with_an_app(Config::with_rules(rules)).await;
    take_scope(&scene, "escalation_policies.read");
    take_scope(&scene, "schedules.read");
    let checked = scene.run(&["check", "--format", "json"]).await;
    assert_eq!(exit_code(&checked), 1);
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let told: Vec<(&str, &str)> = findings
        .iter()
        .filter(|finding| finding["kind"] == "right_missing")
        .filter_map(|finding| Some((finding["subject"].as_str()?, finding["message"].as_str()?)))
        .collect();
    let expected = [
        (
            "PagerDuty right schedules.read",
            r#"is not granted to the OAuth app; needed by rule "shifts", rule "escalations""#,
        ),
        (
            "PagerDuty right escalation_policies.read",
            r#"is not granted to the OAuth app; needed by rule "escalations""#,
        ),
    ];
    assert_eq!(told, expected, "{POLICY} and {SCHEDULE} are refused, which is told once");
}

#[tokio::test]
async fn a_refused_app_or_a_wrong_account_is_told_without_the_secret() {
    let scene = with_an_app(Config::default()).await;
    scene.pagerduty.configure(|settings| settings.oauth.client_secret = "another".to_owned());
    let checked = scene.run(&["check"]).await;
    let told = stdout(&checked);
    assert!(
        exit_code(&checked) == 1
            && told.contains("OAuth app refused")
            && told.contains("pagerduty.client_id"),
        "{told}"
    );
    assert_no_secret(&scene, &told);

    scene.pagerduty.configure(|settings| {
        settings.oauth.client_secret = CLIENT_SECRET.to_owned();
        settings.oauth.subdomain = "somebody-else".to_owned();
    });
    let told = stdout(&scene.run(&["check"]).await);
    assert!(told.contains("as_account") && told.contains("pagerduty.subdomain"), "{told}");
}

#[tokio::test]
async fn the_webhook_commands_say_which_scope_they_lack() {
    let scene = with_an_app(Config::default()).await;
    let url = ["--url", "https://grants.example.com"];
    let create = [&["create", "--secret-file", "fresh"][..], &url].concat();
    take_scope(&scene, "webhook_subscriptions.write");
    let refused = scene.webhook(&create).await;
    assert_eq!(exit_code(&refused), 1);
    assert!(
        stderr(&refused).contains("not granted webhook_subscriptions.write, which this command needs"),
        "{}",
        stderr(&refused)
    );
    assert!(scene.subscription_ids().is_empty() && !scene.dir().join("fresh").exists());
    assert_eq!(exit_code(&scene.webhook(&["list"]).await), 0, "which needs less");

    scene.pagerduty.configure(|settings| {
        settings.oauth.granted.insert("webhook_subscriptions.write".to_owned());
    });
    take_scope(&scene, "services.read");
    let made = scene.webhook(&create).await;
    assert_eq!(exit_code(&made), 0, "{}", stderr(&made));
    assert!(stderr(&made).contains("not granted services.read"), "{}", stderr(&made));
    assert_eq!(scene.subscription_ids().len(), 1);
}
