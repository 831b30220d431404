//! A sound set-up, what can be said without asking anybody, and settings that are allowed but unwise.

use std::collections::BTreeMap;

use sandbox::world;
use serde_json::{Value, json};

use super::{check, check_offline, fill};
use crate::support::{ADMIN_TOKEN, ANA, BO, Config, DB, Scene, stdout};

#[tokio::test]
async fn a_sound_set_up_has_no_problem_and_tells_who_gets_what() {
    let scene = Scene::prepared(Config::default()).await;
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
    assert!(people.values().all(|resources| **resources == json!([DB])));
    assert_eq!(scene.writes(), (0, 0));

    let text = scene.run(&["check"]).await;
    let text = stdout(&text);
    assert!(
        text.contains("0 problems, 0 warnings, 3 notes; 2 on-calls seen, access for 2 accounts"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "no colours, for this is no terminal");
}

#[tokio::test]
async fn offline_it_asks_nobody() {
    let scene = Scene::prepared(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    let found = check_offline(&scene).await;
    assert_eq!((found.code, &found.report["offline"]), (Some(0), &Value::Bool(true)));
    assert_eq!(found.report["findings"][0]["kind"], "no_webhook_secret");
    assert!(scene.pagerduty.requests().is_empty() && scene.strongdm.calls().is_empty());
}

#[tokio::test]
async fn settings_that_are_allowed_but_unwise_are_warned_of() {
    let scene = Scene::prepared(Config::default()).await;
    let file = scene.config_file();
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
        assert!(file.contains(&from), "{from}");
        scene.write_config(&file.replacen(&from, to, 1));
        let found = check_offline(&scene).await;
        assert_eq!((found.one(kind).0.as_str(), found.code), ("warning", Some(0)), "{:#}", found.report);
    }
}
