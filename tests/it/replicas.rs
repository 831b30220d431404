//! Several services on one PostgreSQL database share the work, and do each thing once, whichever of them dies, freezes
//! or is cut off.

use std::time::Instant;

use sandbox::{
    faults::{Action, Fault, Gate},
    strongdm::SecondGrant,
    world::SCHEDULE,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::{
    ANA, BO, CEM, Config, DB, Replicas, Service, grant_ids, report, stderr, stdout, wait_until,
};

/// Holds the first such call, before or after its work.
fn hold(replicas: &Replicas, call: &str, after_work: bool) -> Gate {
    let fault = Fault { after_work, ..Fault::on(call, Action::Stall) };
    replicas.scene.strongdm.faults().gate_with(fault)
}

/// Lets this replica run a pass up to the gate.
async fn until_held(replica: &Service, gate: &Gate) {
    tokio::select! {
        answer = replica.sync() => panic!("the pass is not held: {answer:?}"),
        () = gate.arrived() => {}
    }
}

/// Waits until Cem has access, Ana has none, and the ledger and strongDM agree, each grant being there once.
async fn swapped(replicas: &Replicas, replica: &Service) {
    let scene = &replicas.scene;
    wait_until("the swap is done, and nothing is there twice", async || {
        let (ours, there) = (grant_ids(&replica.grants().await), scene.grant_ids());
        let access = [CEM, ANA, BO].map(|person| scene.access(person, DB));
        ours == there && there.len() == 2 && access == [vec![(0, 120)], vec![], vec![(120, 240)]]
    })
    .await;
}

#[tokio::test]
async fn a_wrong_secret_that_one_replica_noticed_is_on_the_page_of_all() {
    const REFUSED: &str = "chip warn\">wrong secret?";
    let config = Config { public_url: Some("http://127.0.0.1:9"), ..Config::default() };
    let replicas = Replicas::prepared(config).await;
    let (one, other) = replicas.two().await;
    let created = one.run(&["webhook", "create", "--secret-file", "unused"]).await;
    assert!(created.status.success(), "{}", stderr(&created));
    let id = replicas.scene.pagerduty.subscriptions().remove(0).id;
    // It looks at its subscription when it starts.
    let third = replicas.one_more().await;
    third.page_says("chip good\">active").await;
    third.forge(&id).await;
    for replica in [&third, &one, &other] {
        replica.page_says(REFUSED).await;
    }
    other.deliver(&replicas.scene.about(SCHEDULE)).await;
    for replica in [&third, &one, &other] {
        replica.page_no_longer_says(REFUSED).await;
    }
}

#[tokio::test]
async fn all_take_webhooks_and_each_grant_is_made_once() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (one, other) = replicas.two().await;
    assert_eq!(replicas.scene.writes(), (2, 0), "the first passes of both");
    replicas.scene.cem_takes_over();
    one.deliver(&replicas.scene.about(SCHEDULE)).await;
    swapped(&replicas, &other).await;
    replicas.scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
    let event = replicas.scene.about(SCHEDULE);
    other.deliver(&event).await;
    replicas.scene.access_becomes(ANA, DB, &[(0, 120)]).await;
    replicas.scene.access_becomes(CEM, DB, &[]).await;
    assert_eq!(replicas.scene.writes(), (4, 2));
    let again = one.post_signed(event.body()).await;
    assert_eq!(again.json()["status"], "duplicate", "whoever saw it first");
}

#[tokio::test]
async fn a_burst_over_all_replicas_leads_to_few_refreshes_and_is_served() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (one, other) = replicas.two().await;
    replicas.scene.pagerduty.clear_requests();
    let began = Instant::now();
    let deliveries = (0..100).map(|n| {
        let (replica, event) = (if n % 2 == 0 { &one } else { &other }, replicas.scene.about(SCHEDULE));
        async move { replica.deliver(&event).await }
    });
    futures_util::future::join_all(deliveries).await;
    one.all_served().await;
    replicas.scene.assert_few_refreshes_since(began);
}

#[tokio::test]
async fn a_killed_replicas_pass_is_taken_over() {
    // Both wait for the end of a lease.
    tokio::join!(killed_in_a_creation(false), killed_in_a_creation(true));
}

async fn killed_in_a_creation(after_work: bool) {
    let replicas = Replicas::prepared(Config::default()).await;
    let (mut one, other) = replicas.two().await;
    replicas.scene.cem_takes_over();
    let gate = hold(&replicas, "AccountGrants.Create", after_work);
    until_held(&one, &gate).await;
    one.kill();
    swapped(&replicas, &other).await;
    let creates = replicas.scene.strongdm.counts().creates;
    assert_eq!(creates, 3, "two at first and one for the swap; after the work, it is adopted");
    other.synced().await;
    assert_eq!(replicas.scene.strongdm.counts().creates, creates);
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
    async fn kill(self, replicas: &Replicas, replica: &mut Service, call: &str) {
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
            sqlx::query(waits).bind(*table).fetch_optional(&mut *connection).await.unwrap().is_some()
        })
        .await;
    }

    async fn release(mut self) {
        sqlx::query("COMMIT").execute(&mut self.1).await.unwrap();
    }
}

#[tokio::test]
async fn killed_at_any_point_of_a_write_another_replica_finishes_it_once() {
    let replicas = Replicas::prepared(Config::default()).await;
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
            assert_eq!(report.unchanged, shifts.len(), "killed at {call}, {stop:?}: {report:#?}");
            assert_eq!(other.grants().await.len(), shifts.len());
            assert_eq!(replicas.scene.strongdm.grants().len(), shifts.len());
            let deletes = n - usize::from(shifts.len() > 2);
            assert_eq!(replicas.scene.writes(), (2 + n, deletes), "killed at {call}, {stop:?}");
            // Or its first look might be younger than the one that is to be stopped.
            one.start().await;
        }
    }
}

#[tokio::test]
async fn what_a_dead_replica_left_undone_is_not_forgotten_if_the_store_fails_who_takes_over() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (mut one, other) = replicas.two().await;
    replicas.scene.cem_takes_over();
    let gate = hold(&replicas, "AccountGrants.Create", false);
    until_held(&one, &gate).await;
    // The loop sees nothing, and who takes the lease can note nothing.
    let mut connection = replicas.database.connect().await;
    let lock = "BEGIN; LOCK TABLE agenda IN ACCESS EXCLUSIVE MODE; LOCK TABLE dirty IN EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
    one.kill();
    replicas.end_lease().await;
    assert_eq!(other.sync().await.status, 503);
    sqlx::query("COMMIT").execute(&mut connection).await.unwrap();
    replicas.end_lease().await;
    swapped(&replicas, &other).await;
}

/// Lets a replica go on that was frozen in a pass, and waits until that pass is over.
async fn thaw(replica: &Service) {
    replica.signal("CONT");
    // It may have been in the middle of a question to the database, which then took too long.
    replica.has_logged(&["another replica took over", "a pass failed"]).await;
}

async fn frozen_while(call: &str, second_grant: SecondGrant) {
    let replicas = Replicas::prepared(Config::default()).await;
    replicas.scene.strongdm.configure(|settings| settings.second_grant = second_grant);
    let (one, other) = replicas.two().await;
    replicas.scene.cem_takes_over();
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
    assert_eq!((report.unchanged, replicas.scene.writes()), (2, writes), "all is well");
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
async fn a_creation_that_is_refused_because_another_replica_made_it_keeps_nobody_waiting() {
    let replicas = Replicas::prepared(Config::default()).await;
    let scene = &replicas.scene;
    scene.strongdm.configure(|settings| settings.second_grant = SecondGrant::RefusesOverlapping);
    let (one, other) = replicas.two().await;
    // Now all know that strongDM refuses what overlaps.
    scene.shifts(SCHEDULE, &[(ANA, -60, 100), (BO, 120, 240)]);
    one.synced().await;
    scene.access_becomes(ANA, DB, &[(0, 100)]).await;
    scene.cem_takes_over();
    let gate = hold(&replicas, "AccountGrants.Create", false);
    until_held(&one, &gate).await;
    replicas.end_lease().await;
    other.synced().await;
    swapped(&replicas, &other).await;
    gate.open();
    one.has_logged(&["another replica took over"]).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 60), (BO, 120, 240)]);
    let report = other.synced().await;
    assert_eq!(report.deferred, [], "{report:#?}");
    assert_eq!(scene.access(CEM, DB), [(0, 60)]);
}

#[tokio::test]
async fn a_frozen_replica_that_wakes_in_a_revocation_brings_nothing_back() {
    frozen_while("AccountGrants.Delete", SecondGrant::TakesAll).await;
}

#[tokio::test]
async fn a_creation_that_another_replica_found_is_settled_once() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (one, other) = replicas.two().await;
    replicas.scene.cem_takes_over();
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
    let replicas = Replicas::prepared(Config::default()).await;
    let (one, other) = replicas.two().await;
    replicas.scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
    let gate = hold(&replicas, "AccountGrants.Delete", false);
    until_held(&one, &gate).await;
    one.signal("STOP");
    replicas.scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
    replicas.end_lease().await;
    let report = other.synced().await;
    assert_eq!(report.unchanged, 2, "it is still there, and stays: {report:#?}");
    gate.open();
    one.signal("CONT");
    wait_until("the grant is made anew", async || replicas.scene.writes() == (3, 1)).await;
    replicas.scene.access_becomes(ANA, DB, &[(0, 120)]).await;
}

#[tokio::test]
async fn a_request_on_another_replica_gets_a_look_of_its_own() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (one, other) = replicas.two().await;
    let gate = replicas.scene.pagerduty.faults().gate("GET /oncalls");
    let asking = async {
        gate.arrived().await;
        let opened = async {
            other.get("/healthz").await;
            gate.open();
        };
        tokio::join!(other.synced(), opened).0
    };
    let (first, second) = tokio::join!(one.synced(), asking);
    assert_ne!(first.pass_id, second.pass_id, "the first looked before the other was asked");
    assert!(second.started_at >= first.started_at);
}

#[tokio::test]
async fn commands_work_beside_the_services() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (one, other) = replicas.two().await;
    replicas.scene.cem_takes_over();
    let sync = async |arguments: &[&str]| {
        let output = one.run(arguments).await;
        assert!(output.status.success(), "{}", stderr(&output));
        report(&stdout(&output))
    };
    let planned = sync(&["sync", "--dry-run", "--format", "json"]).await;
    assert_eq!((planned.created.len(), replicas.scene.writes()), (1, (2, 0)));
    let done = sync(&["sync", "--format", "json"]).await;
    assert_eq!((done.trigger.as_str(), done.created.len()), ("command", 1));
    swapped(&replicas, &other).await;
    let output = other.run(&["audit", "--format", "jsonl"]).await;
    let lines = stdout(&output);
    let mut exported: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers = exported.iter_mut().filter_map(|line| line.as_object_mut()?.remove("number")?.as_u64());
    assert_eq!(numbers.collect::<Vec<u64>>(), [0, 1, 2, 3], "the log has no gap");
    let mut listed = other.audit().await;
    listed.reverse();
    assert_eq!((exported.len(), &exported), (4, &listed));
}

#[tokio::test]
async fn a_replica_that_is_cut_off_in_a_pass_lets_another_take_over() {
    let replicas = Replicas::prepared(Config::default()).await;
    let (proxy, one, other) = replicas.two_one_through_a_proxy().await;
    replicas.scene.cem_takes_over();
    let gate = hold(&replicas, "AccountGrants.Create", true);
    until_held(&one, &gate).await;
    proxy.mute();
    gate.open();
    swapped(&replicas, &other).await;
    proxy.open();
    one.syncs_again().await;
    swapped(&replicas, &one).await;
    assert_eq!(replicas.scene.strongdm.counts().creates, 3, "the unsettled one was adopted");
}
