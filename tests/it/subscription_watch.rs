//! The service watches its own webhook subscription: a wrong secret, one that was switched off, one it may not read.

use sandbox::{
    pagerduty::{Event, sign},
    world,
};

use crate::support::{Config, Scene, wait_until};

#[tokio::test]
async fn a_wrong_secret_is_named_as_such() {
    let mut scene = Scene::reachable(Config::default()).await;
    scene.webhook(&["create", "--secret-file", "unused"]).await;
    let id = scene.subscription_ids().remove(0);
    scene.start().await;
    scene.subscription_becomes("active").await;
    let forged =
        scene.post_webhook("{}", [("X-PagerDuty-Signature", "v1=00"), ("X-Webhook-Subscription", &id)]).await;
    forged.assert_error(401, "bad_signature");
    scene
        .logged(1, &format!("our webhook subscription {id} signs with a secret that is not configured"))
        .await;
    let counted = async || {
        let metrics = scene.get("/metrics").await.text;
        let count =
            metrics.lines().find_map(|line| line.strip_prefix("oncall_grants_webhooks_wrong_secret_total "));
        count.and_then(|count| count.parse::<u32>().ok()).expect("a count")
    };
    let count = counted().await;
    assert_eq!(count, 1);
    let stranger = scene.post_webhook("{}", [("X-PagerDuty-Signature", "v1=00")]).await;
    stranger.assert_error(401, "bad_signature");
    assert_eq!(counted().await, count);

    let body = scene.about(world::SCHEDULE).body();
    let signature = sign(world::WEBHOOK_SECRET, &body);
    let headers = [("X-PagerDuty-Signature", &*signature), ("X-Webhook-Subscription", &id)];
    assert_eq!(scene.post_webhook(body, headers).await.status, 202);
    let forged = [("X-PagerDuty-Signature", "v1=00"), ("X-Webhook-Subscription", &*id)];
    scene.post_webhook("{}", forged).await.assert_error(401, "bad_signature");
    assert_eq!(counted().await, count, "it signs with our secret, so this was somebody else");
}

#[tokio::test]
async fn a_subscription_that_was_switched_off_is_switched_on_and_everything_is_looked_at() {
    let mut scene = Scene::reachable(Config::default()).await;
    scene.webhook(&["create", "--secret-file", "unused"]).await;
    scene.start().await;
    scene.subscription_becomes("active").await;
    // The service does not know its secret.
    for _ in 0..3 {
        scene.pagerduty.emit(&Event::incident(
            "incident.triggered",
            scene.now(),
            world::POLICY,
            world::SERVICE,
        ));
    }
    let off = || scene.pagerduty.subscriptions()[0].disabled(scene.now());
    wait_until("PagerDuty switches it off", async || off().then_some(())).await;
    scene.kill();
    scene.start().await;
    scene.subscription_becomes("active").await;
    assert!(!scene.pagerduty.subscriptions()[0].disabled(scene.now()));
    let metrics = scene.get("/metrics").await.text;
    assert!(metrics.contains("oncall_grants_subscription_enabled_total 1"), "{metrics}");
    let pass = r#"oncall_grants_passes_total{trigger="subscription",result="complete"} 1"#;
    wait_until("everything is looked at", async || {
        scene.get("/metrics").await.text.contains(pass).then_some(())
    })
    .await;
    assert_eq!(scene.logged(1, "had switched the webhook subscription").await.len(), 1);
}

#[tokio::test]
async fn a_token_that_may_not_look_is_told_once_and_nothing_else_suffers() {
    let mut scene = Scene::reachable(Config::default()).await;
    let denied = "/webhook_subscriptions".to_owned();
    scene.pagerduty.configure(|settings| _ = settings.tokens[0].denied.insert(denied));
    scene.start().await;
    scene.subscription_becomes("forbidden").await;
    assert_eq!(scene.logged(1, "may not read webhook subscriptions").await.len(), 1);
    scene.synced().await;
}
