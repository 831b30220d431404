//! The database of every version that was released goes on under this one, and one of a later version is refused.
//!
//! `tests/fixtures/upgrades/VERSION` holds, for either database, what a service of that version left when it was
//! killed: Ana has access until 2090, Cem will have it after her, Bo's was taken back, and a webhook waits, and a
//! notice. Beside it are the audit as that version printed it, a checkpoint of it, and the key.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use chrono::{DateTime, Utc};
use sandbox::{
    clock::Clock,
    faults::{Action, Fault},
    notices::Receiver,
    pagerduty::Shift,
    world::{SCHEDULE, V3_SCHEDULE},
};
use serde_json::Value;
use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    ANA, BO, CEM, Config, DB, Database, Scene, exit_code, rule, stderr, stdout, wait_until,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
/// The end of Ana's shift and the start of Cem's, and the end of his.
const TURN: &str = "2090-01-01T00:00:00Z";
const END: &str = "2090-02-01T00:00:00Z";
const FILE: &str = "oncall-grants.db";

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/upgrades")
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// A scene with a signing key, which is made if none is given, and an endpoint.
async fn prepared(store: String, key: Option<&str>) -> (Scene, Receiver) {
    let receiver = Receiver::start("127.0.0.1:0".parse().expect("an address"), Clock::new(), SECRET);
    let receiver = receiver.await.expect("a free port");
    let rules = rule("payments", &[SCHEDULE, V3_SCHEDULE], &[DB]);
    let scene = Scene::prepared(Config { store, rules, horizon: "90d", ..Config::default() }).await;
    let file = scene.config_file().replace("[sync]", "keep = \"36500d\"\n[sync]");
    let rest = format!(
        "[audit]\nsigning_key_file = \"audit-key\"\n[[notices]]\nname = \"hook\"\nurl = \"{}/hook\"\nsecret = {SECRET:?}\n\
         events = [\"access.granted\", \"access.revoked\"]\n",
        receiver.url(),
    );
    scene.write_config(&(file + &rest));
    match key {
        Some(key) => scene.write_file("audit-key", key),
        None => assert_eq!(exit_code(&scene.run(&["audit", "keygen"]).await), 0),
    }
    on_call(&scene, instant(TURN), &[]);
    (scene, receiver)
}

/// Ana is on call, and Cem from this instant on.
fn on_call(scene: &Scene, cem: DateTime<Utc>, others: &[Shift]) {
    let ana = Shift::new(ANA.0, scene.minute(-60), instant(TURN));
    scene.pagerduty.set_shifts(SCHEDULE, vec![ana]);
    let mut shifts = vec![Shift::new(CEM.0, cem, instant(END))];
    shifts.extend_from_slice(others);
    scene.pagerduty.set_shifts(V3_SCHEDULE, shifts);
}

async fn exported(scene: &Scene) -> String {
    let output = scene.run(&["audit", "--format", "jsonl"]).await;
    assert_eq!(exit_code(&output), 0, "{}", stderr(&output));
    stdout(&output)
}

async fn open_file(scene: &Scene) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(scene.dir().join(FILE)).create_if_missing(true);
    SqliteConnection::connect_with(&options).await.expect("a file")
}

/// What the fixture holds of one of both databases, under this version. `rows` are those of the ledger that are open.
async fn goes_on(version: &str, database: &str, scene: &mut Scene, receiver: &Receiver, rows: &[Row]) {
    let read = |name: &str| {
        fs::read_to_string(fixtures().join(version).join(database).join(name)).expect("a file of the fixture")
    };
    let made = rows.iter().map(|(id, email, resource, start, end)| {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).expect("an instant");
        let made = scene.strongdm.add_foreign_grant(email, resource, at(*start), Some(at(*end)));
        // The stand-in counts its IDs, and may give one that another grant of the fixture has.
        let aside = format!("ag-aside-{id}");
        assert!(scene.strongdm.edit_grant(&made, |grant| grant.id.clone_from(&aside)));
        (aside, id)
    });
    for (aside, id) in made.collect::<Vec<_>>() {
        assert!(scene.strongdm.edit_grant(&aside, |grant| grant.id.clone_from(id)));
    }
    scene.start().await;
    scene.synced().await;
    scene.all_served().await;

    let mut known: Vec<&str> = rows.iter().map(|row| row.0.as_str()).collect();
    known.sort_unstable();
    assert_eq!(scene.writes(), (0, 0), "{version} {database}: nobody gains or loses anything");
    assert_eq!(scene.grant_ids(), known);
    let listed = crate::support::grant_ids(&scene.grants().await);
    assert_eq!(listed, known, "ours in force and to come");
    let waited = scene.events().await;
    assert!(waited.len() == 1 && waited[0]["pass_id"].is_string(), "{waited:?}");

    let audit = read("audit.jsonl");
    let now = exported(scene).await;
    assert!(now.starts_with(&audit) && audit.lines().count() >= 4, "{now}");
    scene.write_file("checkpoint", read("checkpoint"));
    let verified = scene.run(&["audit", "verify", "--checkpoint", "checkpoint"]).await;
    assert_eq!(exit_code(&verified), 0, "{}{}", stdout(&verified), stderr(&verified));

    wait_until("the notice that waited is told", async || !receiver.taken("/hook").is_empty()).await;
    let told: Vec<Value> = receiver.taken("/hook").iter().map(sandbox::notices::Received::body).collect();
    assert_eq!(told[0]["type"], "access.revoked", "{told:?}");
    assert_eq!((told.len(), &told[0]["data"]["email"]), (1, &Value::from(BO.1)), "and none twice");
}

/// The ID, address, resource, start and end of a grant.
type Row = (String, String, String, i64, i64);
const OPEN: &str = "SELECT grant_id, email, resource, start_at, end_at FROM grants WHERE state <> 'ended'";

/// The versions that were released, and the key of each.
fn released() -> Vec<(String, String)> {
    let mut versions: Vec<String> = fs::read_dir(fixtures())
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a version"))
        .collect();
    versions.sort_unstable();
    assert!(versions.contains(&"0.1.0".to_owned()), "{versions:?}");
    let key = |version: &String| fs::read_to_string(fixtures().join(version).join("audit-key"));
    versions.into_iter().map(|version| (version.clone(), key(&version).expect("a key"))).collect()
}

#[tokio::test]
async fn a_file_of_every_released_version_goes_on() {
    for (version, key) in released() {
        let (mut scene, receiver) = prepared(format!("sqlite:{FILE}"), Some(&key)).await;
        let dump = fs::read_to_string(fixtures().join(&version).join("sqlite/dump.sql")).expect("a dump");
        let mut file = open_file(&scene).await;
        file.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(dump))).await.expect("a dump");
        let rows: Vec<Row> = sqlx::query_as(OPEN).fetch_all(&mut file).await.expect("rows");
        file.close().await.expect("a closed file");
        goes_on(&version, "sqlite", &mut scene, &receiver, &rows).await;
    }
}

#[tokio::test]
async fn a_database_of_every_released_version_goes_on() {
    for (version, key) in released() {
        let database = Database::create().await;
        let (mut scene, receiver) = prepared(database.url.to_string(), Some(&key)).await;
        let dump = fs::read_to_string(fixtures().join(&version).join("postgres/dump.sql")).expect("a dump");
        let mut connection = database.connect().await;
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(dump))).await.expect("a dump");
        let mut connection = database.connect().await;
        let rows: Vec<Row> = sqlx::query_as(OPEN).fetch_all(&mut connection).await.expect("rows");
        goes_on(&version, "postgres", &mut scene, &receiver, &rows).await;
    }
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused_with_what_to_do() {
    let mut scene = Scene::running(Config::default()).await;
    scene.kill();
    let mut file = open_file(&scene).await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9001, 'more', TRUE, x'00', 0)";
    file.execute(later).await.expect("a row");
    file.close().await.expect("a closed file");
    for command in [&["serve"][..], &["sync"]] {
        let refused = scene.run(command).await;
        let said = stderr(&refused);
        assert_eq!(exit_code(&refused), 2, "{said}");
        assert!(said.contains("belongs to a later version of oncall-grants"), "{said}");
        assert!(
            said.contains("run the later version, or restore the backup made before the upgrade"),
            "{said}"
        );
    }
}

/// Writes the fixture of this version, once, before the next one begins; CONTRIBUTING.md says when.
#[tokio::test]
#[ignore = "writes into tests/fixtures"]
async fn write_the_fixture_of_this_version() {
    let folder = fixtures().join(env!("CARGO_PKG_VERSION"));
    let (mut scene, receiver) = prepared(format!("sqlite:{FILE}"), None).await;
    let key = scene.read_file("audit-key");
    lives(&mut scene, &receiver, &folder.join("sqlite")).await;
    fs::write(folder.join("audit-key"), &key).expect("a fixture");
    open_file(&scene)
        .await
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(postponed())))
        .await
        .expect("a later start");
    let dump = "import sqlite3, sys\nprint('\\n'.join(sqlite3.connect(sys.argv[1]).iterdump()))";
    let file = scene.dir().join(FILE);
    keep(Command::new("python3").arg("-c").arg(dump).arg(file), &folder.join("sqlite/dump.sql"));

    let database = Database::create().await;
    let (mut scene, receiver) = prepared(database.url.to_string(), Some(&key)).await;
    lives(&mut scene, &receiver, &folder.join("postgres")).await;
    database
        .connect()
        .await
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(postponed())))
        .await
        .expect("a later start");
    let mut dump = Command::new("pg_dump");
    dump.args(["--no-owner", "--no-privileges", "--inserts", database.url.as_str()]);
    keep(&mut dump, &folder.join("postgres/dump.sql"));
}

/// No shift begins so late within the horizon, so Cem's grant is put off by hand.
fn postponed() -> String {
    let (email, start) = (CEM.1, instant(TURN).timestamp());
    format!("UPDATE grants SET start_at = {start} WHERE email = '{email}'")
}

/// Lets a service come to the state that all fixtures are in, and kills it.
async fn lives(scene: &mut Scene, receiver: &Receiver, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    // Within the horizon, so that his grant is made.
    let soon = scene.minute(60);
    on_call(scene, soon, &[Shift::new(BO.0, scene.minute(-60), scene.minute(600))]);
    scene.start().await;
    scene.synced().await;
    wait_until("everybody is told of", async || receiver.taken("/hook").len() == 3).await;
    // From now on nobody takes notices.
    receiver.faults().add(Fault::on("POST /hook", Action::http(503, "")).until_cleared());
    on_call(scene, soon, &[]);
    wait_until("Bo has no access", async || {
        scene.synced().await;
        scene.access(BO, DB).is_empty()
    })
    .await;
    fs::write(folder.join("audit.jsonl"), exported(scene).await).expect("a fixture");
    let checkpoint = scene.run(&["audit", "checkpoint"]).await;
    assert_eq!(exit_code(&checkpoint), 0, "{}", stderr(&checkpoint));
    fs::write(folder.join("checkpoint"), stdout(&checkpoint)).expect("a fixture");
    let stalls = Fault::on("GET /oncalls", Action::delay(Duration::from_mins(1))).until_cleared();
    scene.pagerduty.faults().add(stalls);
    scene.deliver(&scene.about(SCHEDULE)).await;
    assert!(scene.events().await[0]["pass_id"].is_null(), "the webhook waits");
    scene.kill();
}

/// Keeps what a program prints.
fn keep(command: &mut Command, file: &Path) {
    let output = command.output().expect("a program that is there");
    assert!(output.status.success(), "{}", stderr(&output));
    // Newer programs begin and end with words for their own shell.
    let lines = stdout(&output).lines().filter(|line| !line.starts_with('\\')).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    );
    fs::write(file, lines).expect("a fixture");
}
