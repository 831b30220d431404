//! PostgreSQL as operators run it: behind a pooler, away for a while, and with another server in its place after a
//! failover.

use std::time::Duration;

use sandbox::world::SCHEDULE;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{
    ANA, BO, CEM, Config, DB, PgBouncer, Proxy, Replicas, Service, exit_code, some_attempt_within, stderr,
    stdout,
};

#[tokio::test]
async fn a_pooler_as_its_defaults_are_will_do() {
    let replicas = Replicas::prepared(Config::default()).await;
    let pooler = PgBouncer::before(&replicas.database).await;
    let scene = &replicas.scene;
    let (one, other) =
        (replicas.launch_on(pooler.url.as_str()).await, replicas.launch_on(pooler.url.as_str()).await);
    one.synced().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    for (replica, person) in [(&one, CEM), (&other, ANA)] {
        scene.shifts(SCHEDULE, &[(person, -60, 120), (BO, 120, 240)]);
        replica.deliver(&scene.about(SCHEDULE)).await;
        scene.access_becomes(person, DB, &[(0, 120)]).await;
    }
    // It looks on through a session that others may have next.
    let check = one.run(&["check"]).await;
    assert_eq!(exit_code(&check), 0, "{}{}", stdout(&check), stderr(&check));
    for replica in [&one, &other] {
        replica.ready_becomes(200).await;
        replica.synced().await;
    }
    let lost = "lost the wake-ups of other replicas";
    let log = one.log_by_now().await;
    assert!(!log.iter().any(|line| line.message.contains(lost)), "it listens through the pooler");
}

/// What `/sync`, a webhook and `/readyz` answer.
async fn answers(replicas: &Replicas, one: &Service) -> [u16; 3] {
    let sync = one.sync().await.status;
    let webhook = one.post_signed(replicas.scene.about(SCHEDULE).body()).await.status;
    [sync, webhook, one.get("/readyz").await.status]
}

#[tokio::test]
async fn a_server_that_only_reads_is_left_for_the_one_that_takes_its_place() {
    let replicas = Replicas::prepared(Config::default()).await;
    let one = replicas.one_more().await;
    let mut meddler = replicas.database.connect().await;
    let name = replicas.database.url.path().trim_start_matches('/').to_owned();
    let mut run = async |statement: String| {
        meddler.execute(AssertSqlSafe(statement)).await.expect("a right of the owner");
    };
    // Whoever connects from now on finds a server that only reads, as after a failover by name.
    run(format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    run(format!(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity
         WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    ))
    .await;
    one.ready_becomes(503).await;
    for _ in 0..2 {
        assert_eq!(answers(&replicas, &one).await, [503, 503, 503]);
    }
    // The connections that were made meanwhile would go on to read alone.
    run(format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    one.ready_becomes(200).await;
    assert_eq!(answers(&replicas, &one).await, [200, 202, 200]);
    one.synced().await;
}

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
    assert!(answer.text.contains("the store cannot be used now"), "{}", answer.text);
    proxy.open();
    one.syncs_again().await;
}
