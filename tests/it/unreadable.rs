//! Rows of the store that this version cannot read: each harms only itself.

use oncall_grants::{PassReport, model::Asked};
use sandbox::world::SCHEDULE;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{ANA, BO, CEM, Config, DB, DENIZ, Scene, exit_code, stdout};

/// Why it is not known what became of writes.
fn unknown_writes(report: &PassReport) -> Vec<String> {
    let writes = report.unknown.iter().filter(|unknown| matches!(unknown.about, Asked::Write(_)));
    writes.map(|unknown| unknown.error.to_string()).collect()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_protects_its_pair_and_stops_nothing_else() {
    let scene = Scene::running(Config::default()).await;
    let mut store = scene.open_store().await;
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
        let report = answer.report();
        let told = unknown_writes(&report);
        assert!(told.len() == 1 && told[0].contains("of the ledger cannot be read"), "{change}: {report:#?}");
        assert_eq!(scene.access(now, DB), [(0, 100)], "{change}");
        assert_eq!(scene.access(then, DB), [(100, 200)], "{change}");
        assert_eq!(scene.access(ANA, DB), [(0, 120)], "{change}: nobody knows what it is for");
        let preview = scene.run(&["sync", "--dry-run"]).await;
        assert_eq!(exit_code(&preview), 1);
        assert!(stdout(&preview).contains("of the ledger cannot be read"), "{change}: {}", stdout(&preview));
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
