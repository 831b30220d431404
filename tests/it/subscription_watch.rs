//! The service watches its own webhook subscription: a wrong secret, one that was switched off, one it may not read.

use sandbox::world;

use crate::support::{Config, FORGED, Scene, wait_until};

#[tokio::test]
async fn a_wrong_secret_is_named_as_such() {
    let (scene, id) = Scene::with_wrong_secret().await;
    scene.forge(&id).await;
    scene
        .logged(1, &format!("our webhook subscription {id} signs with a secret that is not configured"))
        .await;
    let counted = async || scene.metric::<u32>("webhooks_wrong_secret_total").await;
    assert_eq!(counted().await, Some(1));
    scene.post_webhook("{}", FORGED).await.assert_error(401, "bad_signature");
    assert_eq!(counted().await, Some(1), "it may be anybody");

    let request = scene.signed_request(world::WEBHOOK_SECRET, scene.about(world::SCHEDULE).body());
    assert_eq!(scene.send(request.header("X-Webhook-Subscription", &id)).await.status, 202);
    scene.forge(&id).await;
    assert_eq!(counted().await, Some(1), "it signs with our secret, so this was somebody else");
}

#[tokio::test]
async fn a_subscription_that_was_switched_off_is_switched_on_and_everything_is_looked_at() {
    let (mut scene, _) = Scene::with_wrong_secret().await;
    scene.pagerduty_switches_off().await;
    scene.kill();
    scene.start().await;
    scene.subscription_becomes("active").await;
    assert!(!scene.is_switched_off());
    assert_eq!(scene.metric("subscription_enabled_total").await, Some(1));
    let pass = r#"passes_total{trigger="subscription",result="complete"}"#;
    wait_until("everything is looked at", async || scene.metric(pass).await == Some(1)).await;
    assert_eq!(scene.logged(1, "had switched the webhook subscription").await.len(), 1);
}

#[tokio::test]
async fn a_token_that_may_not_look_is_told_once_and_nothing_else_suffers() {
    let mut scene = Scene::reachable(Config::default()).await;
    scene.deny_path("/webhook_subscriptions");
    scene.start().await;
    scene.subscription_becomes("forbidden").await;
    assert_eq!(scene.logged(1, "may not read webhook subscriptions").await.len(), 1);
    scene.synced().await;
}
