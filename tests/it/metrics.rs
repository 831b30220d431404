//! What `/metrics` says while things happen; names and help texts are tested where they are defined.

use reqwest::Method;
use sandbox::world::{SCHEDULE, WEBHOOK_SECRET};

use crate::support::{BO, CEM, Config, PLAIN, Scene, wait_until};

const DB: &str = "prod-postgres";

/// The value of a sample, by its name and labels without the prefix; labels in the order of the text.
async fn value(scene: &Scene, sample: &str) -> Option<f64> {
    let text = scene.get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix("oncall_grants_")?.strip_prefix(sample));
    line.map(|value| value.trim().parse().expect("a number"))
}

#[tokio::test]
async fn a_webhook_is_followed_from_its_secret_to_its_grant() {
    let secrets = vec!["another-secret".to_owned(), WEBHOOK_SECRET.to_owned()];
    let scene = Scene::running(Config { webhook_secrets: secrets, ..Config::default() }).await;
    assert_eq!(value(&scene, "webhook_to_grant_duration_seconds_count").await, Some(0.0));
    let started = value(&scene, r#"rule_observed_timestamp_seconds{rule="payments"}"#).await.unwrap();
    assert!((started - scene.now().timestamp() as f64).abs() < 60.0, "{started}");
    let created = value(&scene, r#"grant_writes_total{action="create",result="done"}"#).await;
    assert_eq!(created, Some(2.0));

    scene.shifts(SCHEDULE, &[(CEM, -60, 120), (BO, 120, 240)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    scene.all_served().await;
    assert_eq!(value(&scene, r#"webhooks_total{result="accepted",secret="1"}"#).await, Some(1.0));
    let (count, _) = wait_until("the way to the grant is measured", async || {
        value(&scene, "webhook_to_grant_duration_seconds_count").await.filter(|count| *count > 0.0)
    })
    .await;
    assert!((count - 1.0).abs() < f64::EPSILON, "{count}");
    let took = value(&scene, "webhook_to_grant_duration_seconds_sum").await.unwrap();
    assert!(took > 0.0 && took < 5.0, "{took}");
    assert_eq!(value(&scene, "waiting_webhooks").await, Some(0.0));
    assert_eq!(value(&scene, "oldest_waiting_webhook_age_seconds").await, Some(0.0));
    let asked = r#"upstream_request_duration_seconds_count{upstream="strongdm",operation="AccountGrants.Create"}"#;
    assert_eq!(value(&scene, asked).await, Some(3.0));
}

#[tokio::test]
async fn webhooks_that_nobody_signed_show() {
    let scene = Scene::running(Config::default()).await;
    let refused = r#"webhooks_total{result="bad_signature",secret="none"}"#;
    assert_eq!(value(&scene, refused).await, Some(0.0), "so that the first one is an increase");
    scene.send(scene.request(Method::POST, "/webhooks/pagerduty").body("{}")).await;
    scene.post_webhook("{}", PLAIN).await;
    assert_eq!(value(&scene, refused).await, Some(2.0));
}
