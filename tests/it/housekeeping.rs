//! What the store forgets, and by whose clock.

use chrono::TimeDelta;
use sandbox::faults::{Action, Fault};
use sqlx::{AssertSqlSafe, Executor, SqliteConnection};

use crate::support::{Config, Scene, wait_until};

/// Adds a grant that ended so many days ago, and what the audit has of it.
async fn add_ended(store: &mut SqliteConnection, scene: &Scene, days: i64) {
    let ended = (scene.now() - TimeDelta::days(days)).timestamp();
    let add = format!(
        "INSERT INTO grants
           (state, grant_id, account_id, email, resource_id, resource, start_at, end_at, causes, intended_ms)
         VALUES ('live', 'ag-{days}', 'a-9', 'old@example.com', 'rs-9', 'old', {ended} - 60, {ended}, '[]', 0);
         INSERT INTO audit (at_ms, action, outcome, granted, reason, cause, pass_id)
         VALUES ({ended} * 1000, 'create', 'done', '{{}}', '{days}', 'start', 'pass')"
    );
    store.execute(AssertSqlSafe(add)).await.expect("both tables");
}

/// Whose rows are left.
async fn left(store: &mut SqliteConnection) -> Vec<String> {
    let left = "SELECT grant_id FROM grants WHERE account_id = 'a-9'
                UNION SELECT reason FROM audit WHERE granted = '{}' ORDER BY 1";
    sqlx::query_scalar(left).fetch_all(store).await.expect("both tables")
}

#[tokio::test]
async fn a_clock_that_is_months_ahead_forgets_nothing_that_may_be_in_force() {
    let mut scene = Scene::running(Config::default()).await;
    scene.kill();
    let mut store = scene.open_store().await;
    for days in [95, 300] {
        add_ended(&mut store, &scene, days).await;
    }
    // By PagerDuty's clock it is 100 days before ours: what ended 95 days ago by ours has not ended.
    let date = (scene.now() - TimeDelta::days(100)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let body = r#"{"error":{"message":"not now","code":2000}}"#.to_owned();
    let behind = Action::Http { status: 500, body, headers: [("date".to_owned(), date)].into() };
    scene.pagerduty.faults().add(Fault::on("", behind).until_cleared());
    scene.start().await;
    wait_until("what is old by both clocks is forgotten", async || {
        !left(&mut store).await.contains(&"ag-300".to_owned())
    })
    .await;
    assert_eq!(left(&mut store).await, ["95", "ag-95"]);

    scene.kill();
    scene.pagerduty.faults().clear();
    scene.start().await;
    wait_until("all that is old is forgotten", async || left(&mut store).await.is_empty()).await;
}
