//! Notices at the wire: what endpoints are told, in which order, and what comes of those that fail.

use std::process::Command;

use sandbox::{
    clock::Clock,
    faults::{Action, Fault},
    notices::{Received, Receiver},
    strongdm::StrongDm,
    world::SCHEDULE,
};
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::{
    ANA, BO, CEM, Config, DB, DENIZ, Replicas, Scene, exit_code, python, rule, stderr, stdout, wait_until,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const OLD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDC2FVsBQIhro=";

async fn receiver() -> Receiver {
    Receiver::start("127.0.0.1:0".parse().expect("an address"), Clock::new(), SECRET)
        .await
        .expect("a free port")
}

/// An endpoint of the receiver at this path, with further lines.
fn endpoint(receiver: &Receiver, path: &str, lines: &str) -> String {
    let format = if path.starts_with("/slack") {
        "format = \"slack\"".to_owned()
    } else {
        format!("secret = [{OLD_SECRET:?}, {SECRET:?}]")
    };
    format!("[[notices]]\nname = {path:?}\nurl = \"{}{path}\"\n{format}\n{lines}\n", receiver.url())
}

/// A scene with these endpoints, which is not started yet.
async fn prepared(config: Config, endpoints: &str) -> Scene {
    let scene = Scene::prepared(config).await;
    scene.write_config(&format!("{}{endpoints}", scene.config_file()));
    scene
}

fn kinds(taken: &[Received]) -> Vec<String> {
    taken.iter().map(|one| one.body()["type"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn takes(receiver: &Receiver, path: &str, count: usize) -> Vec<Received> {
    let what = format!("{path} has taken {count} notices");
    wait_until(&what, async || receiver.taken(path).len() >= count).await;
    receiver.taken(path)
}

const ACCESS: &str = "events = [\"access.granted\", \"access.revoked\"]";

#[tokio::test]
async fn a_person_gets_one_notice_for_each_pass_signed_and_in_words() {
    let receiver = receiver().await;
    let endpoints = endpoint(&receiver, "/hook", ACCESS) + &endpoint(&receiver, "/slack", ACCESS);
    let two = rule("two", &[SCHEDULE], &[DB, "prod-web-1"]);
    let mut scene = prepared(Config::with_rules([two]), &endpoints).await;
    scene.start().await;
    let first = takes(&receiver, "/hook", 2).await;
    assert_eq!(kinds(&first), ["access.granted", "access.granted"]);
    for one in &first {
        assert_eq!((one.signatures, one.header("webhook-signature").split(' ').count()), (1, 2));
        assert_eq!(one.header("content-type"), "application/json");
        let body = one.body();
        let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["data", "timestamp", "type"]);
        let keys: Vec<&String> = body["data"].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["email", "name", "pass_id", "reason", "resources", "rules", "trigger"]);
        assert_eq!((&body["data"]["rules"], &body["data"]["trigger"]), (&json!(["two"]), &json!("start")));
        assert_eq!(body["data"]["resources"].as_array().map(Vec::len), Some(2));
    }
    scene.cem_takes_over();
    let report = scene.synced().await;
    let all = takes(&receiver, "/hook", 4).await;
    let mut kinds = kinds(&all[2..]);
    kinds.sort_unstable();
    assert_eq!(kinds, ["access.granted", "access.revoked"]);
    let revoked = all[2..].iter().find(|one| one.body()["type"] == "access.revoked").expect("one").body();
    assert_eq!(revoked["data"]["email"], ANA.1);
    assert_eq!(revoked["data"]["pass_id"], report.pass_id);
    let end = scene.minute(120).format("%FT%TZ").to_string();
    assert_eq!(revoked["data"]["resources"][0]["end"], end, "the end that the grant had");
    let texts: Vec<String> = takes(&receiver, "/slack", 4)
        .await
        .iter()
        .map(|one| one.body()["text"].as_str().expect("a text").to_owned())
        .collect();
    let told = |words: &[&str]| texts.iter().any(|text| words.iter().all(|word| text.contains(word)));
    assert!(
        told(&["can reach prod-postgres and prod-web-1 until", " UTC", ", because they are on call for"]),
        "{texts:?}"
    );
    assert!(told(&["can no longer reach", "it was to end at"]), "{texts:?}");
    scene.synced().await;
    assert_eq!(receiver.taken("/hook").len(), 4, "nothing has changed");
}

#[tokio::test]
async fn no_name_calls_a_channel_together() {
    let receiver = receiver().await;
    let mut scene = prepared(Config::default(), &endpoint(&receiver, "/slack", ACCESS)).await;
    scene.pagerduty.edit(|account| {
        "<!channel> & <https://evil.example|more>"
            .clone_into(&mut account.schedule_mut(SCHEDULE).expect("a schedule").name);
    });
    scene.start().await;
    let body = takes(&receiver, "/slack", 1).await[0].body();
    let text = body["text"].as_str().expect("a text");
    assert!(text.contains("on call for &lt;!channel&gt; &amp; &lt;https://evil.example|more&gt;"), "{text}");
}

#[tokio::test]
async fn the_official_library_takes_what_is_sent() {
    let receiver = receiver().await;
    let scene = prepared(Config::default(), &endpoint(&receiver, "/hook", "")).await;
    let tested = scene.run(&["notices", "test"]).await;
    assert_eq!((exit_code(&tested), stdout(&tested).as_str()), (0, "/hook: took the sample\n"));
    let [one] = &receiver.received()[..] else { panic!("{:?}", receiver.received()) };
    let script = "import json, sys; from standardwebhooks import Webhook
secret, headers, body = sys.argv[1:]
print(json.dumps(Webhook(secret).verify(body, json.loads(headers))))";
    for (secret, is_good) in [(SECRET, true), (OLD_SECRET, true), (&SECRET.replace("Mf", "Nf"), false)] {
        let headers = serde_json::to_string(&one.headers).expect("plain data");
        let verified = Command::new(python()).args(["-c", script, secret, &headers, &one.text]).output();
        let verified = verified.expect("a command");
        assert_eq!(verified.status.success(), is_good, "{verified:?}");
        if is_good {
            let read: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
            assert_eq!(read["type"], "access.granted");
        }
    }
}

#[tokio::test]
async fn what_fails_is_tried_again_in_order_and_delays_no_other_endpoint() {
    let receiver = receiver().await;
    let endpoints: String =
        ["/fails", "/stalls", "/moved", "/well"].map(|path| endpoint(&receiver, path, ACCESS)).concat();
    let mut scene = prepared(Config::default(), &endpoints).await;
    let gate = receiver.faults().gate("POST /stalls");
    receiver.faults().add(Fault::on("POST /fails", Action::http(500, "x".repeat(100_000))).times(2));
    let headers = [("location".to_owned(), format!("{}/elsewhere", receiver.url()))].into();
    let moved = Action::Http { status: 308, body: String::new(), headers };
    receiver.faults().add(Fault::on("POST /moved", moved).until_cleared());
    let headers = [("retry-after".to_owned(), i64::MAX.to_string())].into();
    let no_time = Action::Http { status: 429, body: String::new(), headers };
    receiver.faults().add(Fault::on("POST /well", no_time));
    scene.start().await;
    scene.cem_takes_over();
    scene.synced().await;
    takes(&receiver, "/well", 4).await;
    let ids = |taken: &[Received]| -> Vec<String> {
        taken.iter().map(|one| one.header("webhook-id").to_owned()).collect()
    };
    let well = ids(&receiver.taken("/well"));
    assert_eq!(ids(&takes(&receiver, "/fails", 4).await), well, "in order, whatever failed");
    let tried: Vec<Received> = receiver.received().into_iter().filter(|one| one.path == "/fails").collect();
    assert_eq!(
        ids(&tried)[..3],
        [well[0].clone(), well[0].clone(), well[0].clone()],
        "the same ID each time"
    );
    assert!(receiver.taken("/stalls").is_empty());
    assert!(receiver.received().iter().all(|one| one.path != "/elsewhere"), "redirects are not followed");
    scene.logged(1, "redirects are not followed").await;
    gate.open();
    assert_eq!(ids(&takes(&receiver, "/stalls", 4).await).len(), 4);
    let metrics = scene.get("/metrics").await.text;
    assert!(metrics.contains("oncall_grants_notices_total{result=\"sent\"}"), "{metrics}");
    assert!(!scene.log().contains(&format!("{}/moved", receiver.url())), "the address is a secret");
}

#[tokio::test]
async fn notices_outlive_the_process_and_gone_is_gone_until_the_next_start() {
    let receiver = receiver().await;
    let endpoints = endpoint(&receiver, "/later", ACCESS) + &endpoint(&receiver, "/gone", ACCESS);
    let mut scene = prepared(Config::default(), &endpoints).await;
    receiver.faults().add(Fault::on("POST /later", Action::Cut).until_cleared());
    receiver.faults().add(Fault::on("POST /gone", Action::http(410, "")));
    scene.start().await;
    scene.logged(1, "the endpoint says that it is gone").await;
    scene.logged(1, "could not be sent, and is tried again").await;
    scene.kill();
    receiver.faults().clear();
    scene.start().await;
    for path in ["/later", "/gone"] {
        assert_eq!(kinds(&takes(&receiver, path, 2).await), ["access.granted", "access.granted"]);
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_once_and_again_when_it_comes_back() {
    let receiver = receiver().await;
    let config = Config { max_revocations: 0, ..Config::default() };
    let mut scene = prepared(config, &endpoint(&receiver, "/hook", "")).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240)]);
    scene.start().await;
    let told = async |kind: &str, count: usize| {
        wait_until(&format!("{kind} is told {count} times"), async || {
            kinds(&receiver.taken("/hook")).iter().filter(|known| *known == kind).count() == count
        })
        .await;
    };
    told("person.without_account", 1).await;
    scene.synced().await;
    scene.shifts(SCHEDULE, &[(BO, 200, 240)]);
    scene.sync().await;
    told("revocations.held", 1).await;
    let denied = Action::grpc(7.into(), "no");
    scene.strongdm.faults().add(Fault::on("AccountGrants.Create", denied).until_cleared());
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (CEM, 130, 140), (DENIZ, 150, 160)]);
    for _ in 0..2 {
        scene.sync().await;
        told("access.failed", 1).await;
    }
    told("person.without_account", 2).await;
    let mut store = scene.open_store().await;
    store.execute("UPDATE decision_checkpoints SET at_ms = at_ms - 3600000").await.expect("a table");
    wait_until("a checkpoint is told", async || {
        kinds(&receiver.taken("/hook")).iter().any(|kind| kind == "audit.checkpoint")
    })
    .await;
}

#[tokio::test]
async fn replicas_tell_once() {
    let receiver = receiver().await;
    let replicas = Replicas::prepared(Config::default()).await;
    let endpoints = endpoint(&receiver, "/hook", ACCESS);
    let mut services = Vec::new();
    for _ in 0..2 {
        let mut replica = replicas.another_on(replicas.database.url.as_str());
        replica.write_config(&format!("{}{endpoints}", replicas.scene.config_file()));
        replica.start().await;
        services.push(replica);
    }
    takes(&receiver, "/hook", 2).await;
    replicas.scene.cem_takes_over();
    services[0].synced().await;
    takes(&receiver, "/hook", 4).await;
    services[1].synced().await;
    replicas.scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
    services[1].synced().await;
    let all = takes(&receiver, "/hook", 6).await;
    let mut ids: Vec<&str> = all.iter().map(|one| one.header("webhook-id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all.len()), (6, 6), "each of them once");
}

#[tokio::test]
async fn commands_try_once_and_say_what_came_of_it() {
    let receiver = receiver().await;
    let endpoints = endpoint(&receiver, "/one", "") + &endpoint(&receiver, "/two", ACCESS);
    let scene = prepared(Config::default(), &endpoints).await;
    assert_eq!(exit_code(&scene.run(&["notices", "test", "three"]).await), 2);
    receiver.faults().add(Fault::on("POST /one", Action::http(503, "")));
    let tested = scene.run(&["notices", "test"]).await;
    assert_eq!(exit_code(&tested), 1, "{tested:?}");
    assert!(stdout(&tested).contains("/one: did not take the sample: it answered 503"), "{tested:?}");
    assert!(stdout(&tested).contains("/two: took the sample"), "{tested:?}");
    assert!(!stdout(&tested).contains(&receiver.url()) && !stderr(&tested).contains(&receiver.url()));
    let synced = scene.run(&["sync"]).await;
    assert_eq!(exit_code(&synced), 0, "{synced:?}");
    assert_eq!(kinds(&receiver.taken("/two")), ["access.granted"; 3], "the sample, and both who got access");
    let none =
        StrongDm::start("127.0.0.1:0".parse().expect("an address"), Clock::new()).await.expect("a free port");
    let broken = format!(
        "{}[[notices]]\nname = \"x\"\nurl = \"{}/secret-path\"\nformat = \"slack\"\n",
        scene.config_file(),
        none.url().replace("http:", "https:"),
    );
    scene.write_config(&broken);
    let tested = scene.run(&["notices", "test", "x"]).await;
    assert!(exit_code(&tested) == 1 && !stdout(&tested).contains("secret-path"), "{tested:?}");
}
