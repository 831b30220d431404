//! Keys that are refused, rights that are missing, an upstream that is down, and a clock that is wrong.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sandbox::{
    faults::{Action, Fault},
    strongdm::LEAST_PERMISSIONS,
};

use super::{check, fill, rules::by_policy};
use crate::support::{Config, Scene};

#[tokio::test]
async fn a_refused_key_is_one_finding_however_much_depends_on_it() {
    let scene = Scene::prepared(Config::default()).await;
    scene.pagerduty.configure(|settings| settings.tokens.clear());
    let found = check(&scene).await;
    found.assert_problem("key_refused", "PagerDuty", "token refused");
    assert_eq!(found.kinds("problem"), ["key_refused"]);

    let scene = Scene::prepared(Config::default()).await;
    fill(&scene);
    scene.strongdm.configure(|settings| settings.keys.clear());
    let found = check(&scene).await;
    found.assert_problem("key_refused", "strongDM", "does not accept the API key");
    assert_eq!(found.kinds("problem"), ["key_refused"]);
}

#[tokio::test]
async fn an_upstream_that_is_down_is_named() {
    let scene = Scene::prepared(Config::default()).await;
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
        let scene = Scene::prepared(Config::default()).await;
        fill(&scene);
        scene.take_right(right);
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
        ("/escalation_policies", "escalation_policies.read", by_policy("escalation_levels = [1]\n")),
    ] {
        let scene = Scene::prepared(config).await;
        fill(&scene);
        scene.deny_path(path);
        let found = check(&scene).await;
        found.assert_problem("right_missing", right, "is missing");
        assert_eq!(found.kinds("problem"), ["right_missing"], "{:#}", found.report);
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_found() {
    for (skew, severity, code) in [(TimeDelta::minutes(2), "warning", 0), (TimeDelta::days(1), "problem", 1)]
    {
        let scene = Scene::prepared(Config::default()).await;
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
