//! Endpoints of notices that fail in every way: what is told of them, and that nobody else waits for them.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sandbox::{
    clock::Clock,
    faults::{Action, Fault},
    notices::Receiver,
    world::SCHEDULE,
};
use serde_json::Value;
use sqlx::Executor;

use crate::support::{
    ANA, Authority, CEM, Config, DB, DENIZ, Scene, TlsServer, exit_code, stderr, stdout, wait_until,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const ACCESS: &str = "events = [\"access.granted\", \"access.revoked\"]";
/// Whoever has the address can write to the channel.
const SECRET_PATH: &str = "this-is-secret";

async fn receiver() -> Receiver {
    let any = "127.0.0.1:0".parse().expect("an address");
    Receiver::start(any, Clock::new(), SECRET).await.expect("a free port")
}

/// An endpoint at this address.
fn endpoint(name: &str, url: &str, lines: &str) -> String {
    format!("[[notices]]\nname = {name:?}\nurl = {url:?}\nsecret = {SECRET:?}\n{lines}\n")
}

/// Where the receiver takes what is for `name`.
fn address(receiver: &Receiver, name: &str) -> String {
    format!("{}/{SECRET_PATH}/{name}", receiver.url())
}

fn on(name: &str) -> String {
    format!("POST /{SECRET_PATH}/{name}")
}

async fn takes(receiver: &Receiver, name: &str, count: usize) -> Vec<Value> {
    let path = format!("/{SECRET_PATH}/{name}");
    wait_until(&format!("{name} has taken {count} notices"), async || receiver.taken(&path).len() >= count)
        .await;
    receiver.taken(&path).iter().map(sandbox::notices::Received::body).collect()
}

/// Waits until the service knows that all notices were taken. One that is killed before that sends them again.
async fn all_are_recorded(scene: &Scene) {
    let mut store = scene.open_store().await;
    let open = "SELECT count(*) FROM notice_endpoints WHERE next_seq <= (SELECT max(seq) FROM notices)";
    wait_until("all notices are recorded as sent", async || {
        let open: i64 = sqlx::query_scalar(open).fetch_one(&mut store).await.expect("a table");
        open == 0
    })
    .await;
}

/// A scene with these endpoints, which is not started yet.
async fn prepared(config: Config, endpoints: &[String]) -> Scene {
    let scene = Scene::prepared(config).await;
    scene.write_config(&format!("{}{}", scene.config_file(), endpoints.concat()));
    scene
}

async fn checked(scene: &Scene, arguments: &[&str]) -> String {
    let arguments: Vec<&str> = ["check"].iter().chain(arguments).copied().collect();
    let output = scene.run(&arguments).await;
    let text = stdout(&output);
    assert!(!text.contains(SECRET_PATH) && !stderr(&output).contains(SECRET_PATH), "{output:?}");
    text
}

#[tokio::test]
async fn how_each_endpoint_fares_is_on_the_page_and_in_check() {
    let receiver = receiver().await;
    let endpoints = ["well", "fails", "gone"].map(|name| endpoint(name, &address(&receiver, name), ACCESS));
    let mut scene = prepared(Config::default(), &endpoints).await;
    let offline = checked(&scene, &["--offline"]).await;
    let configured = "Standard Webhooks at 127.0.0.1, told of access.granted, access.revoked";
    assert!(offline.contains(configured) && offline.contains("notices test"), "{offline}");
    receiver.faults().add(Fault::on(on("fails"), Action::http(503, "")).until_cleared());
    receiver.faults().add(Fault::on(on("gone"), Action::http(410, "")));
    scene.start().await;
    takes(&receiver, "well", 2).await;
    scene.page_says("fails takes no notices").await;
    scene.page_says("Nothing is told to gone").await;
    scene.page_says("Notices to well <span class=\"chip good\">up to date</span>").await;
    let page = scene.get("/").await.text;
    for words in ["Waiting: 2, the oldest since", "it answered 503", "Last taken: ", "127.0.0.1"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    assert!(!page.contains(SECRET_PATH), "the address is a secret: {page}");
    let online = checked(&scene, &[]).await;
    for words in [
        "nothing is waiting; last taken at",
        "takes none: ",
        "2 waiting, the oldest since",
        "it answered 503",
        "said that it is gone (410)",
        "none was taken yet",
    ] {
        assert!(online.contains(words), "{words} is missing in {online}");
    }
    assert_eq!(
        receiver.received().iter().filter(|one| one.path.ends_with("gone")).count(),
        1,
        "nothing is sent"
    );
    receiver.faults().clear();
    takes(&receiver, "fails", 2).await;
    scene.page_no_longer_says("fails takes no notices").await;
}

#[tokio::test]
async fn what_nobody_took_for_a_day_is_given_up_counted_and_told() {
    let receiver = receiver().await;
    let endpoints = ["well", "fails"].map(|name| endpoint(name, &address(&receiver, name), ACCESS));
    let mut scene = prepared(Config::default(), &endpoints).await;
    receiver.faults().add(Fault::on(on("fails"), Action::http(500, "")).until_cleared());
    scene.start().await;
    takes(&receiver, "well", 2).await;
    scene.logged(1, "could not be sent, and is tried again").await;
    let dropped = r#"notices_total{result="dropped"}"#;
    assert_eq!(scene.metric::<u64>(dropped).await, Some(0), "so that the first one is an increase");
    let mut store = scene.open_store().await;
    // A day less a minute is no reason.
    let age = |ms: i64| format!("UPDATE notices SET at_ms = at_ms - {ms}");
    store.execute(sqlx::AssertSqlSafe(age(86_340_000))).await.expect("a table");
    let tried = || receiver.received().iter().filter(|one| one.path.ends_with("fails")).count();
    let before = tried();
    wait_until("it is tried again", async || tried() > before).await;
    assert_eq!(scene.metric::<u64>(dropped).await, Some(0));
    store.execute(sqlx::AssertSqlSafe(age(60_000))).await.expect("a table");
    wait_until("both are given up", async || scene.metric::<u64>(dropped).await == Some(2)).await;
    assert_eq!(scene.logged_errors(2, "a notice for \"fails\" was dropped").await.len(), 2);
    scene.page_says("Given up after 24 h: 2").await;
    receiver.faults().clear();
    scene.cem_takes_over();
    scene.synced().await;
    let taken = takes(&receiver, "fails", 2).await;
    let mut kinds: Vec<&str> = taken.iter().filter_map(|body| body["type"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["access.granted", "access.revoked"], "what comes later is told");
}

#[tokio::test]
async fn an_endpoint_that_nobody_vouches_for_gets_nothing_and_delays_nobody() {
    let receiver = receiver().await;
    let identity = Authority::new("nobody knows it").signs("127.0.0.1");
    let hidden = TlsServer::before(&receiver.url(), &identity, "http/1.1").await;
    let url = format!("https://{}/{SECRET_PATH}/hidden", hidden.address);
    let endpoints = [endpoint("hidden", &url, ACCESS), endpoint("well", &address(&receiver, "well"), ACCESS)];
    let mut scene = prepared(Config::default(), &endpoints).await;
    scene.start().await;
    scene.access_becomes(ANA, DB, &[(0, 120)]).await;
    takes(&receiver, "well", 2).await;
    let told = scene.logged(1, "a notice for \"hidden\" could not be sent").await;
    assert!(told[0].contains("certificate"), "{told:?}");
    scene.page_says("hidden takes no notices").await;
    scene.cem_takes_over();
    scene.synced().await;
    takes(&receiver, "well", 4).await;
    assert!(receiver.received().iter().all(|one| !one.path.ends_with("hidden")), "nothing got there");
    let tested = scene.run(&["notices", "test", "hidden"]).await;
    assert!(exit_code(&tested) == 1 && stdout(&tested).contains("certificate"), "{tested:?}");
    assert!(!stdout(&tested).contains(SECRET_PATH));
}

/// Answers 200 to whoever asks, and then never ends: with headers, or with a body. Counts the requests.
fn endless(head: &'static str, more: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/{SECRET_PATH}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = move |mut stream: TcpStream| -> std::io::Result<()> {
        let _ = stream.read(&mut [0; 8_192])?;
        stream.write_all(head.as_bytes())?;
        loop {
            stream.write_all(more.as_bytes())?;
        }
    };
    // Ends with the process; each connection ends when the other side hangs up.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || answer(stream));
        }
    });
    (url, asked)
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_waited_for() {
    let receiver = receiver().await;
    let (body, bodies) =
        endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "8\r\nendless \r\n");
    let (head, heads) = endless("HTTP/1.1 200 OK\r\n", "x-endless: yes\r\n");
    let endpoints = [
        endpoint("body", &body, ACCESS),
        endpoint("head", &head, ACCESS),
        endpoint("well", &address(&receiver, "well"), ACCESS),
    ];
    let mut scene = prepared(Config::default(), &endpoints).await;
    scene.start().await;
    takes(&receiver, "well", 2).await;
    // The status says it all.
    wait_until("it was told of both", async || bodies.load(Ordering::SeqCst) >= 2).await;
    scene.page_says("Notices to body <span class=\"chip good\">up to date</span>").await;
    // Headers come before the end of the head, which never comes.
    wait_until("it is asked", async || heads.load(Ordering::SeqCst) >= 1).await;
    scene.page_says("head takes no notices").await;
    scene.cem_takes_over();
    scene.synced().await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    takes(&receiver, "well", 4).await;
}

#[tokio::test]
async fn that_pagerduty_switched_the_subscription_off_is_told_once() {
    let receiver = receiver().await;
    let mut scene = Scene::reachable(Config::default()).await;
    let config = scene.read_file("oncall-grants.toml");
    let told = "events = [\"subscription.disabled\"]";
    scene.write_config(&format!("{config}{}", endpoint("hook", &address(&receiver, "hook"), told)));
    let id = scene.subscribe_without_its_secret().await;
    scene.start().await;
    scene.subscription_becomes("active").await;
    scene.pagerduty_switches_off().await;
    for _ in 0..2 {
        // It looks at its start, and every five minutes.
        scene.kill();
        scene.start().await;
        let taken = takes(&receiver, "hook", 1).await;
        all_are_recorded(&scene).await;
        assert_eq!((taken.len(), &taken[0]["type"]), (1, &"subscription.disabled".into()), "{taken:?}");
        assert_eq!(taken[0]["data"]["subscription"], id, "{taken:?}");
    }
}

#[tokio::test]
async fn what_a_pass_found_is_told_once_although_it_died_before_it_was_written() {
    let receiver = receiver().await;
    let told = "events = [\"person.without_account\"]";
    let mut scene = prepared(Config::default(), &[endpoint("hook", &address(&receiver, "hook"), told)]).await;
    scene.start().await;
    let mut store = scene.open_store().await;
    let reports = async |store: &mut sqlx::SqliteConnection| -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM passes WHERE report LIKE '%no_account%'");
        count.fetch_one(store).await.expect("a table")
    };
    // The last write of the pass fails half way.
    let fails = "CREATE TRIGGER fails BEFORE INSERT ON notice_findings BEGIN SELECT RAISE(ABORT, 'no'); END";
    store.execute(fails).await.expect("a table");
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240)]);
    assert_ne!(scene.sync().await.status, 200);
    assert_eq!(reports(&mut store).await, 0, "what is not told is not reported either");
    scene.kill();
    store.execute("DROP TRIGGER fails").await.expect("a trigger");
    scene.start().await;
    takes(&receiver, "hook", 1).await;
    assert!(reports(&mut store).await >= 1);
    all_are_recorded(&scene).await;
    scene.kill();
    scene.start().await;
    scene.synced().await;
    assert_eq!(takes(&receiver, "hook", 1).await.len(), 1);
}
