//! Rows of the store that this version cannot read: each harms only itself.

use sandbox::world::SCHEDULE;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

use crate::support::{ANA, BO, CEM, Config, DENIZ, Scene, code, out};

const DB: &str = "prod-postgres";

/// What the report says of grants whose state is unknown.
fn unknown_grants(report: &Value) -> Vec<&str> {
    let unknown = report["unknown"].as_array().expect("a list").iter();
    unknown
        .filter(|unknown| unknown["grant"].is_string())
        .filter_map(|unknown| unknown["error"].as_str())
        .collect()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_protects_its_pair_and_stops_nothing_else() {
    let scene = Scene::running(Config::default()).await;
    let url = format!("sqlite:{}", scene.dir().join("oncall-grants.db").display());
    let mut store = SqliteConnection::connect(&url).await.expect("the file of the store");
    let people = [BO, CEM];
    for (round, change) in [
        "state = 'parked'",
        r#"causes = '{"in": "another form"}'"#,
        "causes = ''",
        "email = 'nobody'",
        "end_at = 99999999999999",
        "start_at = 'soon'",
    ]
    .into_iter()
    .enumerate()
    {
        store.execute("CREATE TABLE saved AS SELECT * FROM grants").await.expect("a table");
        let meddle = format!("UPDATE grants SET {change} WHERE email = 'ana@example.com' AND state = 'live'");
        let meddled = store.execute(AssertSqlSafe(meddle)).await.expect("a table");
        assert_eq!(meddled.rows_affected(), 1, "{change}");

        // She is still on call; what she has is not known, so nothing is added to it.
        assert_eq!(scene.sync().await.status, 502, "{change}");
        assert_eq!(scene.strongdm.grants_of(ANA.1, DB).len(), 1, "{change}");

        // Ana is no longer on call, and the other two change places.
        let (now, then) = (people[round % 2], people[(round + 1) % 2]);
        scene.shifts(SCHEDULE, &[(now, -60, 100), (then, 100, 200)]);
        let answer = scene.sync().await;
        assert_eq!(answer.status, 502, "{change}: {}", answer.text);
        let report = answer.json();
        let told = unknown_grants(&report);
        assert!(told.len() == 1 && told[0].contains("of the ledger cannot be read"), "{change}: {report:#}");
        assert_eq!(scene.access(now, DB), [(0, 100)], "{change}");
        assert_eq!(scene.access(then, DB), [(100, 200)], "{change}");
        assert_eq!(scene.access(ANA, DB), [(0, 120)], "{change}: nobody knows what it is for");
        let preview = scene.run(&["sync", "--dry-run"]).await;
        assert_eq!(code(&preview), 1);
        assert!(out(&preview).contains("of the ledger cannot be read"), "{change}: {}", out(&preview));
        for path in ["/", "/api/grants", "/api/grants?ended=true", "/api/explain?email=ana@example.com"] {
            let answer = scene.get(path).await;
            assert_eq!(answer.status, 200, "{change}: {path}: {}", answer.text);
        }

        // Somebody mends the row.
        let mend = "UPDATE grants SET (state, causes, email, start_at, end_at) =
            (SELECT state, causes, email, start_at, end_at FROM saved WHERE saved.seq = grants.seq)
            WHERE seq IN (SELECT seq FROM saved WHERE email = 'ana@example.com')";
        store.execute(mend).await.expect("both tables");
        store.execute("DROP TABLE saved").await.expect("a table");
        scene.synced().await;
        assert_eq!(scene.access(ANA, DB), [], "{change}");
        scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240)]);
        scene.synced().await;
        assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    }
}
