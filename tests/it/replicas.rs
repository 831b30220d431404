//! Several services on one PostgreSQL database share the work, and do each thing once, whichever of them dies, freezes
//! or is cut off.

use std::time::{Duration, Instant};

use sandbox::{
    faults::{Action, Fault, Gate},
    strongdm::SecondGrant,
    world::SCHEDULE,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::support::{
    ANA, BO, CEM, Config, Proxy, Replica, Replicas, TAKE_OVER, err, in_time, out, wait_for, wait_until,
};

const DB: &str = "prod-postgres";

/// Cem takes over from Ana.
fn swap(replicas: &Replicas) {
    replicas.scene.shifts(SCHEDULE, &[(CEM, -60, 120), (BO, 120, 240)]);
}

/// Holds the first such call, before or after its work.
fn hold(replicas: &Replicas, call: &str, after_work: bool) -> Gate {
    let fault = Fault { after_work, ..Fault::on(call, Action::Stall) };
    replicas.scene.strongdm.faults().gate_with(fault)
}

/// Lets this replica run a pass up to the gate.
async fn until_held(replica: &Replica, gate: &Gate) {
    tokio::select! {
        answer = replica.sync() => panic!("the pass is not held: {answer:?}"),
        () = gate.arrived() => {}
    }
}

/// Waits until Cem has access, Ana has none, and the ledger and strongDM agree, each grant being there once.
async fn swapped(replicas: &Replicas, replica: &Replica) {
    let scene = &replicas.scene;
    wait_for(TAKE_OVER, "the swap is done, and nothing is there twice", async || {
        let answer = replica.get("/api/grants").await;
        let ours = answer.json();
        let mut ours: Vec<&str> = ours.as_array()?.iter().filter_map(|grant| grant["id"].as_str()).collect();
        let mut there: Vec<String> = scene.strongdm.grants().into_iter().map(|grant| grant.id).collect();
        ours.sort_unstable();
        there.sort_unstable();
        let access = [CEM, ANA, BO].map(|person| scene.access(person, DB));
        (ours == there && there.len() == 2 && access == [vec![(0, 120)], vec![], vec![(120, 240)]])
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_secret_that_one_replica_noticed_is_on_the_page_of_all() {
    const REFUSED: &str = "Webhooks of our own subscription are refused";
    let replicas =
        Replicas::set(Config { public_url: Some("http://127.0.0.1:9"), ..Config::default() }).await;
    let (one, other) = replicas.two().await;
    let created = one.run(&["webhook", "create", "--secret-file", "unused"]).await;
    assert!(created.status.success(), "{}", err(&created));
    let id = replicas.scene.pagerduty.subscriptions().remove(0).id;
    // It looks at its subscription when it starts.
    let third = replicas.one_more().await;
    wait_until("it knows the subscription", async || {
        third.get("/").await.text.contains("chip good\">active").then_some(())
    })
    .await;
    third.forge(&id).await.assert_error(401, "bad_signature");
    for replica in [&third, &one, &other] {
        wait_until("the page tells", async || replica.get("/").await.text.contains(REFUSED).then_some(()))
            .await;
    }
    other.deliver_new(&replicas.scene.about(SCHEDULE)).await;
    for replica in [&third, &other] {
        assert!(!replica.get("/").await.text.contains(REFUSED));
    }
}

#[tokio::test]
async fn all_take_webhooks_and_each_grant_is_made_once() {
    let replicas = Replicas::set(Config::default()).await;
    let (one, other) = replicas.two().await;
    assert_eq!(replicas.scene.writes(), (2, 0), "the first passes of both");
    swap(&replicas);
    one.deliver_new(&replicas.scene.about(SCHEDULE)).await;
    swapped(&replicas, &other).await;
    replicas.scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
    let event = replicas.scene.about(SCHEDULE);
    other.deliver_new(&event).await;
    replicas.scene.access_becomes(ANA, DB, &[(0, 120)]).await;
    replicas.scene.access_becomes(CEM, DB, &[]).await;
    assert_eq!(replicas.scene.writes(), (4, 2));
    assert_eq!(one.deliver(&event).await.json()["status"], "duplicate", "whoever saw it first");
}

#[tokio::test]
async fn a_burst_over_all_replicas_leads_to_few_refreshes_and_is_served() {
    let replicas = Replicas::set(Config::default()).await;
    let (one, other) = replicas.two().await;
    replicas.scene.pagerduty.clear_requests();
    let began = Instant::now();
    let deliveries = (0..100).map(|n| {
        let (replica, event) = (if n % 2 == 0 { &one } else { &other }, replicas.scene.about(SCHEDULE));
        async move { replica.deliver_new(&event).await }
    });
    futures_util::future::join_all(deliveries).await;
    wait_until("all deliveries are served", async || {
        let events = one.get("/api/events?limit=500").await.json();
        events["items"].as_array()?.iter().all(|event| !event["pass_id"].is_null()).then_some(())
    })
    .await;
    let refreshes = replicas.scene.refreshes();
    let allowed = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    assert!((1..=allowed).contains(&refreshes), "{refreshes} refreshes, at most one a second are due");
}

#[tokio::test]
async fn a_killed_replicas_pass_is_taken_over() {
    for after_work in [false, true] {
        let replicas = Replicas::set(Config::default()).await;
        let (mut one, other) = replicas.two().await;
        swap(&replicas);
        let gate = hold(&replicas, "AccountGrants.Create", after_work);
        until_held(&one, &gate).await;
        one.kill();
        swapped(&replicas, &other).await;
        let creates = replicas.scene.strongdm.counts().creates;
        assert_eq!(creates, 3, "two at first and one for the swap; after the work, it is adopted");
        other.synced().await;
        assert_eq!(replicas.scene.strongdm.counts().creates, creates);
    }
}

/// Where a replica is stopped in the middle of a write.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// The call, before or after its work.
    Call { after_work: bool },
    /// The first statement that writes to this table.
    Table(&'static str),
}

impl Stop {
    /// The intent, the call, its settlement, and the end of the pass after it.
    const ALL: [Self; 5] = [
        Self::Table("grants"),
        Self::Call { after_work: false },
        Self::Call { after_work: true },
        Self::Table("audit"),
        Self::Table("facts"),
    ];

    /// Lets the replica run a pass up to there, and kills it.
    async fn kill(self, replicas: &Replicas, replica: &mut Replica, call: &str) {
        match self {
            Self::Call { after_work } => {
                until_held(replica, &hold(replicas, call, after_work)).await;
                replica.kill();
            }
            Self::Table(table) => {
                let mut lock = TableLock::take(replicas, table).await;
                tokio::select! {
                    answer = replica.sync() => panic!("the pass is not held: {answer:?}"),
                    () = lock.is_waited_for() => {}
                }
                replica.kill();
                lock.release().await;
            }
        }
    }
}

/// Keeps everybody else from writing to a table.
struct TableLock(&'static str, PgConnection);

impl TableLock {
    async fn take(replicas: &Replicas, table: &'static str) -> Self {
        let mut connection = replicas.database.connect().await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.unwrap();
        Self(table, connection)
    }

    async fn is_waited_for(&mut self) {
        let Self(table, connection) = self;
        wait_until("the table is to be written to", async || {
            let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = $1::regclass";
            sqlx::query(waits).bind(*table).fetch_optional(&mut *connection).await.unwrap().map(drop)
        })
        .await;
    }

    async fn release(mut self) {
        sqlx::query("COMMIT").execute(&mut self.1).await.unwrap();
    }
}

#[tokio::test]
async fn killed_at_any_point_of_a_write_another_replica_finishes_it_once() {
    let replicas = Replicas::set(Config::default()).await;
    let (mut one, other) = replicas.two().await;
    let shifts = [(ANA, -60, 120), (BO, 120, 240), (CEM, 240, 300)];
    for (n, stop) in (1..).zip(Stop::ALL) {
        for (call, shifts) in [("AccountGrants.Create", &shifts[..]), ("AccountGrants.Delete", &shifts[..2])]
        {
            replicas.scene.shifts(SCHEDULE, shifts);
            stop.kill(&replicas, &mut one, call).await;
            replicas.end_lease().await;
            let wanted: Vec<(i64, i64)> = shifts.iter().skip(2).map(|(_, from, to)| (*from, *to)).collect();
            replicas.scene.access_becomes(CEM, DB, &wanted).await;
            let report = other.synced().await;
            assert_eq!(report["unchanged"], shifts.len(), "killed at {call}, {stop:?}: {report}");
            assert_eq!(other.get("/api/grants").await.json().as_array().unwrap().len(), shifts.len());
            assert_eq!(replicas.scene.strongdm.grants().len(), shifts.len());
            let deletes = n - usize::from(shifts.len() > 2);
            assert_eq!(replicas.scene.writes(), (2 + n, deletes), "killed at {call}, {stop:?}");
            one.restart().await;
        }
    }
}

#[tokio::test]
async fn what_a_dead_replica_left_undone_is_not_forgotten_if_the_store_fails_who_takes_over() {
    let replicas = Replicas::set(Config::default()).await;
    let (mut one, other) = replicas.two().await;
    swap(&replicas);
    let gate = hold(&replicas, "AccountGrants.Create", false);
    until_held(&one, &gate).await;
    // The loop sees nothing, and who takes the lease can note nothing.
    let mut connection = replicas.database.connect().await;
    let lock = "BEGIN; LOCK TABLE agenda IN ACCESS EXCLUSIVE MODE; LOCK TABLE dirty IN EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
    one.kill();
    replicas.end_lease().await;
    assert_eq!(other.sync().await.unwrap().status, 503);
    sqlx::query("COMMIT").execute(&mut connection).await.unwrap();
    replicas.end_lease().await;
    swapped(&replicas, &other).await;
}

/// Lets a replica go on that was frozen in a pass, and waits until that pass is over.
async fn thaw(replica: &Replica) {
    replica.signal("CONT");
    // It may have been in the middle of a question to the database, which then took too long.
    let endings = ["another replica took over", "a pass failed"];
    wait_until("its pass is over", async || {
        let told = replica.messages();
        let mut over = told.iter().filter(|told| endings.iter().any(|ending| told.starts_with(ending)));
        over.next().map(drop)
    })
    .await;
}

async fn frozen_while(call: &str, second_grant: SecondGrant) {
    let replicas = Replicas::set(Config::default()).await;
    replicas.scene.strongdm.configure(|settings| settings.second_grant = second_grant);
    let (one, other) = replicas.two().await;
    swap(&replicas);
    let gate = hold(&replicas, call, false);
    until_held(&one, &gate).await;
    one.signal("STOP");
    swapped(&replicas, &other).await;
    // What the frozen one had asked for happens only now; then it wakes up.
    gate.open();
    thaw(&one).await;
    swapped(&replicas, &one).await;
    let writes = replicas.scene.writes();
    let report = other.synced().await;
    assert_eq!((report["unchanged"].as_u64(), replicas.scene.writes()), (Some(2), writes), "all is well");
}

#[tokio::test]
async fn a_frozen_replica_that_wakes_in_a_creation_doubles_nothing() {
    frozen_while("AccountGrants.Create", SecondGrant::TakesAll).await;
}

#[tokio::test]
async fn a_frozen_replica_that_wakes_in_a_creation_that_is_refused_by_then_loses_nothing() {
    frozen_while("AccountGrants.Create", SecondGrant::RefusesOverlapping).await;
}

#[tokio::test]
async fn a_frozen_replica_that_wakes_in_a_revocation_brings_nothing_back() {
    frozen_while("AccountGrants.Delete", SecondGrant::TakesAll).await;
}

#[tokio::test]
async fn a_creation_that_another_replica_found_is_settled_once() {
    let replicas = Replicas::set(Config::default()).await;
    let (one, other) = replicas.two().await;
    swap(&replicas);
    let gate = hold(&replicas, "AccountGrants.Create", true);
    until_held(&one, &gate).await;
    one.signal("STOP");
    replicas.end_lease().await;
    swapped(&replicas, &other).await;
    gate.open();
    thaw(&one).await;
    one.synced().await;
    swapped(&replicas, &one).await;
    assert_eq!(replicas.scene.strongdm.counts().creates, 3);
}

#[tokio::test]
async fn a_late_revocation_of_what_is_wanted_again_is_made_good() {
    let replicas = Replicas::set(Config::default()).await;
    let (one, other) = replicas.two().await;
    replicas.scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
    let gate = hold(&replicas, "AccountGrants.Delete", false);
    until_held(&one, &gate).await;
    one.signal("STOP");
    replicas.scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
    replicas.end_lease().await;
    let report = other.synced().await;
    assert_eq!(report["unchanged"], 2, "it is still there, and stays: {report}");
    gate.open();
    one.signal("CONT");
    wait_until("the grant is made anew", async || (replicas.scene.writes() == (3, 1)).then_some(())).await;
    replicas.scene.access_becomes(ANA, DB, &[(0, 120)]).await;
}

#[tokio::test]
async fn a_request_on_another_replica_joins_the_running_pass() {
    let replicas = Replicas::set(Config::default()).await;
    let (one, other) = replicas.two().await;
    let gate = replicas.scene.pagerduty.faults().gate("GET /oncalls");
    let mut connection = replicas.database.connect().await;
    let opened = async {
        gate.arrived().await;
        wait_until("the other replica has found the pass", async || {
            let looks = sqlx::query(
                "SELECT count(*) AS looks FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE 'SELECT token, note FROM leases%'",
            );
            let looks: i64 = looks.fetch_one(&mut connection).await.unwrap().try_get("looks").unwrap();
            (looks > 0).then_some(())
        })
        .await;
        gate.open();
    };
    let joining = async {
        gate.arrived().await;
        other.synced().await
    };
    let (first, second, ()) = tokio::join!(one.synced(), joining, opened);
    assert_eq!(first, second, "the same report, down to the ID of the pass");
    assert_ne!(other.synced().await["pass_id"], first["pass_id"], "the next request gets its own");
}

#[tokio::test]
async fn commands_work_beside_the_services() {
    let replicas = Replicas::set(Config::default()).await;
    let (one, other) = replicas.two().await;
    swap(&replicas);
    let json = async |replica: &Replica, arguments: &[&str]| {
        let output = replica.run(arguments).await;
        assert!(output.status.success(), "{}", err(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let planned = json(&one, &["sync", "--dry-run", "--format", "json"]).await;
    assert_eq!((planned["created"].as_array().unwrap().len(), replicas.scene.writes()), (1, (2, 0)));
    let report = json(&one, &["sync", "--format", "json"]).await;
    assert_eq!((&report["trigger"], report["created"].as_array().unwrap().len()), (&json!("command"), 1));
    swapped(&replicas, &other).await;
    let output = other.run(&["audit", "--format", "jsonl"]).await;
    let lines = out(&output);
    let exported: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut listed = other.get("/api/audit").await.json()["items"].as_array().unwrap().clone();
    listed.reverse();
    assert_eq!((exported.len(), &exported), (4, &listed));
}

/// One replica whose way to the database can be disturbed, and one beside it.
async fn disturbed(replicas: &Replicas) -> (Proxy, Replica, Replica) {
    let (proxy, url) = Proxy::to_database(&replicas.database.url).await;
    let (one, other) = replicas.two_on(url.as_str()).await;
    (proxy, one, other)
}

async fn puts_webhooks_off(replicas: &Replicas, replica: &Replica) {
    in_time(Duration::from_millis(1500), "a refusal", async || {
        let answer = replica.deliver(&replicas.scene.about(SCHEDULE)).await;
        answer.assert_error(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u32>().is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_database_that_goes_away_puts_webhooks_off_until_it_is_back() {
    let replicas = Replicas::set(Config::default()).await;
    let (proxy, one, _other) = disturbed(&replicas).await;
    for disturb in [Proxy::close, Proxy::mute] {
        disturb(&proxy);
        one.ready_becomes(503).await;
        puts_webhooks_off(&replicas, &one).await;
        assert_eq!(one.get("/healthz").await.status, 200);
        proxy.open();
        one.ready_becomes(200).await;
        wait_until("webhooks are taken again", async || {
            (one.deliver(&replicas.scene.about(SCHEDULE)).await.status == 202).then_some(())
        })
        .await;
    }
    one.synced().await;
}

#[tokio::test]
async fn a_replica_that_is_cut_off_in_a_pass_lets_another_take_over() {
    let replicas = Replicas::set(Config::default()).await;
    let (proxy, one, other) = disturbed(&replicas).await;
    swap(&replicas);
    let gate = hold(&replicas, "AccountGrants.Create", true);
    until_held(&one, &gate).await;
    proxy.mute();
    gate.open();
    swapped(&replicas, &other).await;
    proxy.open();
    one.ready_becomes(200).await;
    one.synced().await;
    swapped(&replicas, &one).await;
    assert_eq!(replicas.scene.strongdm.counts().creates, 3, "the unsettled one was adopted");
}

#[tokio::test]
async fn a_pass_that_is_asked_for_while_the_database_is_away_is_to_be_asked_for_again() {
    let replicas = Replicas::set(Config::default()).await;
    let (proxy, one, _other) = disturbed(&replicas).await;
    proxy.close();
    let answer = one.sync().await.expect("an answer");
    answer.assert_error(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    assert!(answer.text.contains("the store cannot be used now"), "{}", answer.text);
    proxy.open();
    one.ready_becomes(200).await;
    one.synced().await;
}
