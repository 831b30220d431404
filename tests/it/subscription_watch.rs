//! The service watches its own webhook subscription: a wrong secret, one that was switched off, one it may not read.

use sandbox::world;

use crate::support::{Config, FORGED, Scene, wait_until};

/// How many webhooks in our subscription's name were refused, and how often it was proved that it had sent them.
async fn claims_and_proofs(scene: &Scene) -> (Option<u32>, Option<u32>) {
    let count = async |certainty| {
        scene.metric(&format!("webhooks_wrong_secret_total{{certainty={certainty:?}}}")).await
    };
    (count("claimed").await, count("proved").await)
}

#[tokio::test]
async fn a_wrong_signature_in_our_subscriptions_name_is_a_claim_and_no_alarm() {
    let (scene, id) = Scene::with_wrong_secret().await;
    for _ in 0..3 {
        scene.forge(&id).await;
    }
    let told = scene.logged(1, &format!("in the name of our webhook subscription {id}")).await;
    assert!(told.len() == 1 && told[0].contains("or somebody else sent it"), "{told:?}");
    assert_eq!(claims_and_proofs(&scene).await, (Some(3), Some(0)));
    scene.page_says("chip warn\">wrong secret?").await;
    assert!(!scene.get("/").await.text.contains("Webhooks of our own subscription are refused"));
    assert!(scene.log_by_now().await.iter().all(|line| line.level != "ERROR"), "nobody is woken");

    scene.post_webhook("{}", FORGED).await.assert_error(401, "bad_signature");
    assert_eq!(claims_and_proofs(&scene).await, (Some(3), Some(0)), "it names nobody");
    let request = scene.signed_request(world::WEBHOOK_SECRET, scene.about(world::SCHEDULE).body());
    assert_eq!(scene.send(request.header("X-Webhook-Subscription", &id)).await.status, 202);
    scene.forge(&id).await;
    assert_eq!(
        claims_and_proofs(&scene).await,
        (Some(3), Some(0)),
        "it has our secret, so this was somebody else"
    );
}

#[tokio::test]
async fn that_pagerduty_switches_the_subscription_off_proves_that_its_secret_is_wrong() {
    let (mut scene, id) = Scene::with_wrong_secret().await;
    scene.pagerduty_switches_off().await;
    // The pass keeps what was noticed, and at its start the service looks at its subscription.
    scene.synced().await;
    scene.kill();
    scene.start().await;
    scene
        .logged(1, &format!("our webhook subscription {id} signs with a secret that is not configured"))
        .await;
    wait_until("the proof is counted", async || claims_and_proofs(&scene).await == (Some(0), Some(1))).await;
    scene.page_says("Webhooks of our own subscription are refused").await;

    let request = scene.signed_request(world::WEBHOOK_SECRET, scene.about(world::SCHEDULE).body());
    assert_eq!(scene.send(request.header("X-Webhook-Subscription", &id)).await.status, 202);
    scene.page_no_longer_says("Webhooks of our own subscription are refused").await;
}

#[tokio::test]
async fn a_claim_that_a_signed_webhook_refuted_proves_nothing_when_the_subscription_goes_off() {
    let (mut scene, id) = Scene::with_wrong_secret().await;
    scene.forge(&id).await;
    let request = scene.signed_request(world::WEBHOOK_SECRET, scene.about(world::SCHEDULE).body());
    assert_eq!(scene.send(request.header("X-Webhook-Subscription", &id)).await.status, 202);
    scene.all_served().await;
    scene.synced().await;
    scene.kill();
    // Nobody answers, and PagerDuty does not try again for two days.
    scene.pagerduty.configure(|settings| settings.retries.waits_ms.clear());
    scene.pagerduty_switches_off().await;
    scene.start().await;
    scene.logged(1, "had switched the webhook subscription").await;
    assert_eq!(claims_and_proofs(&scene).await, (Some(0), Some(0)));
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
