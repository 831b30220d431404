//! What a replica answers while PostgreSQL is away, and that it goes on by itself once that is back.

use std::time::Duration;

use sandbox::world::SCHEDULE;

use crate::support::{Config, Proxy, Replicas, some_attempt_within};

#[tokio::test]
async fn a_database_that_goes_away_puts_webhooks_off_until_it_is_back() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (proxy, one, _other) = replicas.two_one_through_a_proxy().await;
    for disturb in [Proxy::close, Proxy::mute] {
        disturb(&proxy);
        one.ready_becomes(503).await;
        some_attempt_within(Duration::from_millis(1500), "a refusal", async || {
            let answer = one.post_signed(replicas.scene.about(SCHEDULE).body()).await;
            answer.assert_error(503, "unavailable");
            assert!(answer.header("retry-after").parse::<u32>().is_ok());
        })
        .await;
        assert_eq!(one.get("/healthz").await.status, 200);
        proxy.open();
        one.ready_becomes(200).await;
        one.deliver(&replicas.scene.about(SCHEDULE)).await;
    }
    one.syncs_again().await;
}

#[tokio::test]
async fn a_pass_that_is_asked_for_while_the_database_is_away_is_to_be_asked_for_again() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (proxy, one, _other) = replicas.two_one_through_a_proxy().await;
    proxy.close();
    let answer = one.sync().await;
    answer.assert_error(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    assert!(answer.text.contains("the store cannot be reached now"), "{}", answer.text);
    proxy.open();
    one.syncs_again().await;
}
