//! The webhook subscription: missing, switched off, deaf, or signing with a secret that nobody knows.

use sandbox::world::{SCHEDULE, WEBHOOK_SECRET};
use serde_json::{Value, json};

use super::{check, fill};
use crate::support::{Config, Scene, stderr};

#[tokio::test]
async fn the_subscription_is_judged() {
    let scene = Scene::reachable(Config::default()).await;
    fill(&scene);
    check(&scene).await.assert_problem("subscription_missing", "webhook subscription", "none delivers to");

    let made = scene.webhook(&["create", "--secret-file", "fresh"]).await;
    assert!(made.status.success(), "{}", stderr(&made));
    let found = check(&scene).await;
    assert_eq!(found.code, Some(0), "{:#}", found.report);

    let id = scene.subscription_ids().remove(0);
    let change = async |what: Value| scene.change_subscription(&id, what).await;
    change(json!({"active": false})).await;
    check(&scene).await.assert_problem("subscription_inactive", &id, "switched off by its owner");
    change(json!({"active": true, "events": ["service.updated"]})).await;
    check(&scene).await.assert_problem("subscription_events", &id, "no incident.* event");
    change(json!({"events": ["incident.triggered"]})).await;
    let (severity, _, message) = check(&scene).await.one("subscription_events");
    assert_eq!(severity, "warning");
    assert!(message.contains("incident.reassigned") && !message.contains("incident.triggered"), "{message}");

    scene.deny_path("/webhook_subscriptions");
    let found = check(&scene).await;
    assert_eq!((found.one("subscription_not_readable").0.as_str(), found.code), ("note", Some(0)));
}

#[tokio::test]
async fn a_subscription_without_a_known_secret_is_one_finding_with_the_remedy_that_works() {
    let scene = Scene::reachable(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    fill(&scene);
    assert_eq!(check(&scene).await.one("no_webhook_secret").0, "note");
    scene.webhook(&["create", "--secret-file", "lost"]).await;
    let found = check(&scene).await;
    found.assert_problem("subscription_without_secret", "webhook subscription", "answered 503");
    assert!(found.of("subscription_without_secret")[0]["remedy"].to_string().contains("webhook rotate"));
    assert!(found.of("no_webhook_secret").is_empty(), "{:#}", found.report);
}

#[tokio::test]
async fn a_wrong_secret_that_the_service_noticed_is_told_until_a_signed_event_comes() {
    let (mut scene, id) = Scene::with_wrong_secret().await;
    fill(&scene);
    let forged = async |scene: &Scene| {
        scene.forge(&id).await;
        // The pass keeps what was noticed.
        scene.synced().await;
    };
    let signed = async |scene: &Scene, subscription: &str| {
        let request = scene.signed_request(WEBHOOK_SECRET, scene.about(SCHEDULE).body());
        let answer = scene.send(request.header("X-Webhook-Subscription", subscription)).await;
        assert_eq!(answer.status, 202);
        scene.all_served().await;
    };
    let claimed = async |scene: &Scene| {
        let found = check(scene).await;
        let (severity, subject, message) = found.one("wrong_secret");
        assert_eq!((severity.as_str(), found.code), ("warning", Some(0)), "it may have been anybody");
        assert!(subject.contains(&id) && message.contains("anybody"), "{subject}: {message}");
        found
    };
    forged(&scene).await;
    let found = claimed(&scene).await;
    assert!(found.of("wrong_secret")[0]["remedy"].to_string().contains("webhook ping"));
    assert!(found.of("subscription_unheard").is_empty(), "it says the same: {:#}", found.report);
    signed(&scene, "PWSUB99").await;
    claimed(&scene).await;
    signed(&scene, &id).await;
    let found = check(&scene).await;
    assert_eq!((found.code, found.of("wrong_secret").len()), (Some(0), 0), "{:#}", found.report);

    forged(&scene).await;
    assert!(check(&scene).await.of("wrong_secret").is_empty(), "it signs well, so somebody else sent this");
    // After a restart nobody knows.
    scene.kill();
    scene.start().await;
    scene.subscription_becomes("active").await;
    forged(&scene).await;
    claimed(&scene).await;
    scene.webhook(&["delete", &id]).await;
    assert!(check(&scene).await.of("wrong_secret").is_empty(), "it is not ours any more");
}

#[tokio::test]
async fn a_wrong_secret_that_was_proved_is_a_problem() {
    let (mut scene, id) = Scene::with_wrong_secret().await;
    fill(&scene);
    scene.pagerduty_switches_off().await;
    scene.synced().await;
    scene.kill();
    scene.start().await;
    scene.logged(1, "signs with a secret that is not configured").await;
    scene.synced().await;
    let found = check(&scene).await;
    found.assert_problem("wrong_secret", &id, "not configured");
    assert!(found.of("wrong_secret")[0]["remedy"].to_string().contains("webhook rotate"));
}
