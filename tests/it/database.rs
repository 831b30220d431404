//! PostgreSQL as operators run it: behind a pooler, and with another server in its place after a failover.

use sandbox::world::SCHEDULE;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{ANA, BO, CEM, Config, PgBouncer, Replica, Replicas, code, err, out};

const DB: &str = "prod-postgres";

#[tokio::test]
async fn a_pooler_as_its_defaults_are_will_do() {
    let replicas = Replicas::set(Config::default()).await;
    let pooler = PgBouncer::before(&replicas.database).await;
    let scene = &replicas.scene;
    let (one, other) =
        (replicas.start_on(pooler.url.as_str()).await, replicas.start_on(pooler.url.as_str()).await);
    one.synced().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    for (replica, person) in [(&one, CEM), (&other, ANA)] {
        scene.shifts(SCHEDULE, &[(person, -60, 120), (BO, 120, 240)]);
        replica.deliver_new(&scene.about(SCHEDULE)).await;
        scene.access_becomes(person, DB, &[(0, 120)]).await;
    }
    // It looks on through a session that others may have next.
    let check = one.run(&["check"]).await;
    assert!(code(&check) == 0, "{}{}", out(&check), err(&check));
    for replica in [&one, &other] {
        replica.ready_becomes(200).await;
        replica.synced().await;
    }
    let lost = "lost the wake-ups of other replicas";
    assert!(!one.messages().iter().any(|message| message.contains(lost)), "it listens through the pooler");
}

/// What `/sync`, a webhook and `/readyz` answer.
async fn answers(replicas: &Replicas, one: &Replica) -> [u16; 3] {
    let sync = one.sync().await.expect("an answer").status;
    let webhook = one.deliver(&replicas.scene.about(SCHEDULE)).await.status;
    [sync, webhook, one.get("/readyz").await.status]
}

#[tokio::test]
async fn a_server_that_only_reads_is_left_for_the_one_that_takes_its_place() {
    let replicas = Replicas::set(Config::default()).await;
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
    for _ in 0..2 {
        assert_eq!(answers(&replicas, &one).await, [503, 503, 503]);
    }
    // The connections that were made meanwhile would go on to read alone.
    run(format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    one.ready_becomes(200).await;
    assert_eq!(answers(&replicas, &one).await, [200, 202, 200]);
    one.synced().await;
}
