//! `webhook list` and `webhook delete`, and what PagerDuty refuses.

use serde_json::Value;

use crate::support::{Config, Scene, stderr, stdout};

#[tokio::test]
async fn the_list_marks_ours_and_never_shows_a_secret() {
    let scene = Scene::reachable(Config::default()).await;
    assert_eq!(stdout(&scene.webhook(&["list"]).await).trim(), "there is no webhook subscription");
    scene.webhook(&["create", "--secret-file", "one"]).await;
    scene.webhook(&["create", "--secret-file", "two", "--url", "https://other.example.com"]).await;
    let text = stdout(&scene.webhook(&["list"]).await);
    let ours: Vec<&str> = text.lines().filter(|line| line.starts_with('*')).collect();
    assert_eq!(ours.len(), 1, "{text}");
    assert!(ours[0].contains("active") && ours[0].contains("account"), "{text}");
    let list: Value =
        serde_json::from_str(&stdout(&scene.webhook(&["list", "--format", "json"]).await)).expect("JSON");
    assert_eq!(list.as_array().expect("a list").len(), 2);
    assert_eq!(list[0]["ours"], true);
    for subscription in scene.pagerduty.subscriptions() {
        assert!(!list.to_string().contains(&subscription.endpoint.secrets[0]));
    }
    assert_eq!(scene.webhook(&["delete"]).await.status.code(), Some(0));
    assert_eq!(scene.subscription_ids().len(), 1);
    let other = scene.subscription_ids().remove(0);
    let refused = scene.webhook(&["delete", &other]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("https://other.example.com/webhooks/pagerduty"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(scene.subscription_ids().len(), 1, "it may be somebody else's");
    assert_eq!(scene.webhook(&["delete", &other, "--force"]).await.status.code(), Some(0));
    assert!(scene.subscription_ids().is_empty());
    assert_eq!(scene.webhook(&["delete", "PNOSUCH"]).await.status.code(), Some(1));
}

#[tokio::test]
async fn what_pagerduty_refuses_is_told_with_what_to_do() {
    let scene = Scene::reachable(Config::default()).await;
    for number in 0..10 {
        let url = format!("https://other{number}.example.com");
        assert!(scene.webhook(&["create", "--url", &url]).await.status.success());
    }
    let eleventh = scene.webhook(&["create", "--secret-file", "fresh"]).await;
    assert_eq!(eleventh.status.code(), Some(1));
    assert!(stderr(&eleventh).contains("ten subscriptions"), "{}", stderr(&eleventh));
    assert!(!scene.dir().join("fresh").exists(), "no empty file stays");

    scene.pagerduty.configure(|settings| settings.tokens[0].read_only = true);
    let forbidden = scene.webhook(&["delete", &scene.subscription_ids()[0], "--force"]).await;
    assert_eq!(forbidden.status.code(), Some(1));
    assert!(stderr(&forbidden).contains("not read-only"), "{}", stderr(&forbidden));
    assert!(scene.webhook(&["list"]).await.status.success(), "a read-only key may look");

    scene.deny_path("/webhook_subscriptions");
    let forbidden = scene.webhook(&["list"]).await;
    assert_eq!(forbidden.status.code(), Some(1));
    assert!(stderr(&forbidden).contains("read-only is enough"), "{}", stderr(&forbidden));
    let checked = scene.run(&["check"]).await;
    assert!(stdout(&checked).contains("read-only is enough"), "{}", stdout(&checked));
}
