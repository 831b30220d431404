//! Strangers who are slow or loud do not keep PagerDuty out.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandbox::world::SCHEDULE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Config, PATIENCE, Scene, in_time};

/// As many as fit beside everything else, should this process not be allowed more than 4096 descriptors.
const SLOW: usize = 1000;
const LOUD: usize = 50;
/// Well above what an answer takes on a busy machine, and well below what slow clients are given.
const PROMPT: Duration = Duration::from_secs(1);

async fn connect(scene: &Scene, said: &str) -> TcpStream {
    let address = scene.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(said.as_bytes()).await.expect("an open connection");
    stream
}

async fn answers_promptly(scene: &Scene) {
    for _ in 0..5 {
        in_time(PROMPT, "/healthz", async || assert_eq!(scene.get("/healthz").await.status, 200)).await;
        in_time(PROMPT, "a webhook", async || scene.deliver(&scene.about(SCHEDULE)).await).await;
    }
}

#[tokio::test]
async fn a_thousand_slow_connections_leave_room_for_webhooks() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("what is allowed");
    let scene = Scene::running(Config::default()).await;
    let half_head = "POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\n";
    let half_body = format!("{half_head}content-length: 100000\r\n\r\nxxxx");
    let slow = (0..SLOW).map(|n| connect(&scene, if n % 2 == 0 { half_head } else { &half_body }));
    let mut slow = join_all(slow).await;
    answers_promptly(&scene).await;
    // Their time is limited: the first of them hears so, or is hung up on.
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, slow[0].read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "a connection without a request was kept for {PATIENCE:?}");
}

/// Waits until the service hangs up, and answers what it said before.
async fn ended(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    // However it ended: what counts is that it did.
    drop(read.expect("an end"));
    String::from_utf8_lossy(&said).into_owned()
}

const ASKED: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
/// What every HTTP/2 connection begins with.
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn whoever_does_not_say_what_he_wants_is_hung_up_on() {
    let scene = Scene::running(Config::default()).await;
    let begun = ["", "P", "GET /healthz HTTP/1.1\r\nhost:", &PREFACE[..5], &PREFACE[..20], PREFACE];
    let begin_again = async {
        let mut stream = connect(&scene, ASKED).await;
        stream.read_exact(&mut [0; 12]).await.expect("an answer");
        stream.write_all(b"GET /healthz").await.expect("an open connection");
        ended(stream).await
    };
    tokio::join!(join_all(begun.map(async |said| ended(connect(&scene, said).await).await)), begin_again);
}

#[tokio::test]
async fn a_connection_is_kept_until_it_was_idle_for_idle_timeout() {
    let scene = Scene::running(Config { idle_timeout: Some("12s"), ..Config::default() }).await;
    let began = Instant::now();
    let said = ended(connect(&scene, ASKED).await).await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    assert!(began.elapsed() >= Duration::from_secs(12), "closed after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_hung_up_on() {
    let scene = Scene::running(Config { idle_timeout: Some("1s"), ..Config::default() }).await;
    let mut stream = connect(&scene, "").await;
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    // Answers that nobody reads fill what is between the two, and then nothing is read any more.
    let full = async { while stream.write_all(asked.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, full).await.expect("the service hangs up");
}

#[tokio::test]
async fn quiet_connections_make_room_for_those_who_speak() {
    let mut scene = Scene::set(Config::default()).await;
    scene.launch_with_descriptors(400).await;
    let mut crowd = Vec::new();
    for said in ["", "P", ASKED, "POST /webhooks/pagerduty HTTP/1.1\r\n"] {
        crowd.extend(join_all((0..150).map(|_| connect(&scene, said))).await);
        answers_promptly(&scene).await;
    }
}

#[tokio::test]
async fn stalled_bodies_make_room_for_signed_ones() {
    let scene = Scene::running(Config::default()).await;
    let begun = format!(
        "POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\nx-pagerduty-signature: v1=00\r\ncontent-length: 400000\r\n\r\n{}",
        "x".repeat(240_000)
    );
    let mut crowd = join_all((0..140).map(|_| connect(&scene, &begun))).await;
    for _ in 0..5 {
        assert_eq!(scene.post_signed(scene.about(SCHEDULE).body()).await.status, 202);
    }
    let began = Instant::now();
    let mut answer = [0; 12];
    crowd.pop().expect("a crowd").read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 503");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_flood_of_wrong_signatures_leaves_room_for_webhooks() {
    let scene = Scene::running(Config::default()).await;
    let body = "x".repeat(2000);
    let forged = async || {
        for _ in 0..20 {
            let answer = scene.post_webhook(body.clone(), [("X-PagerDuty-Signature", "v1=00")]).await;
            answer.assert_error(401, "bad_signature");
        }
    };
    tokio::join!(join_all((0..LOUD).map(|_| forged())), answers_promptly(&scene));
}
