//! What `/metrics` says while things happen; names and help texts are tested where they are defined.

use std::{collections::BTreeSet, fmt::Debug, str::FromStr, time::Instant};

use sandbox::{
    faults::{Action, Fault},
    world::SCHEDULE,
};

use crate::support::{CEM, Config, DB, NO_HEADERS, Scene, wait_until};

/// The value of a sample that must be there.
async fn value<T: FromStr<Err: Debug>>(scene: &Scene, sample: &str) -> T {
    scene.metric(sample).await.unwrap_or_else(|| panic!("no {sample}"))
}

#[tokio::test]
async fn a_webhook_is_followed_from_its_secret_to_its_grant() {
    let secrets = vec!["the-old-secret".to_owned(), "the-new-secret".to_owned()];
    let scene = Scene::running(Config { webhook_secrets: secrets, ..Config::default() }).await;
    let served = "webhook_to_grant_duration_seconds_count";
    assert_eq!(value::<u64>(&scene, served).await, 0);
    let observed: i64 = value(&scene, r#"rule_observed_timestamp_seconds{rule="payments"}"#).await;
    assert!((scene.zero.timestamp()..=scene.now().timestamp()).contains(&observed), "{observed}");
    assert_eq!(value::<u64>(&scene, r#"grant_writes_total{action="create",result="done"}"#).await, 2);

    scene.cem_takes_over();
    let sent = Instant::now();
    scene.post_signed_by("the-new-secret", scene.about(SCHEDULE).body()).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    scene.all_served().await;
    assert_eq!(value::<u64>(&scene, r#"webhooks_total{result="accepted",secret="2"}"#).await, 1);
    wait_until("the way to the grant is measured", async || value::<u64>(&scene, served).await == 1).await;
    let took: f64 = value(&scene, "webhook_to_grant_duration_seconds_sum").await;
    assert!(took > 0.0 && took < sent.elapsed().as_secs_f64(), "{took}");
    for nothing in ["waiting_webhooks", "oldest_waiting_webhook_age_seconds"] {
        assert!(value::<f64>(&scene, nothing).await < f64::EPSILON, "{nothing}");
    }
    let creations =
        r#"upstream_request_duration_seconds_count{upstream="strongdm",operation="AccountGrants.Create"}"#;
    assert_eq!(value::<u64>(&scene, creations).await, 3);
}

#[tokio::test]
async fn a_rule_that_cannot_be_seen_shows_by_its_age() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(500, "")).until_cleared());
    scene.start().await;
    let age = r#"rule_observed_timestamp_seconds{rule="payments"}"#;
    assert_eq!(value::<i64>(&scene, age).await, 0);
    assert_eq!(value::<i64>(&scene, "last_complete_pass_timestamp_seconds").await, 0);
    scene.pagerduty.faults().clear();
    wait_until("the rule is seen", async || value::<i64>(&scene, age).await > 0).await;
}

#[tokio::test]
async fn webhooks_that_nobody_signed_show() {
    let scene = Scene::running(Config::default()).await;
    let refused = r#"webhooks_total{result="bad_signature",secret="none"}"#;
    assert_eq!(value::<u64>(&scene, refused).await, 0, "so that the first one is an increase");
    scene.post_webhook("{}", NO_HEADERS).await;
    assert_eq!(value::<u64>(&scene, refused).await, 1);
}

#[tokio::test]
async fn however_many_ask_how_the_store_fares_it_is_asked_once_a_second() {
    let scene = Scene::running(Config::default()).await;
    let mut store = scene.open_store().await;
    let (began, mut checks) = (Instant::now(), BTreeSet::new());
    for path in ["/readyz", "/metrics"].into_iter().cycle().take(100) {
        assert_eq!(scene.get(path).await.status, 200);
        let last: String = sqlx::query_scalar("SELECT value FROM facts WHERE name = 'write_check'")
            .fetch_one(&mut store)
            .await
            .expect("each check writes");
        checks.insert(last);
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("a few");
    assert!(checks.len() <= seconds + 2, "{checks:?} in {:?}", began.elapsed());
}
