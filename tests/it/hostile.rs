//! Strangers who are slow or loud do not keep PagerDuty out.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::version::TLS13;
use sandbox::world::SCHEDULE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Authority, Config, FORGED, PATIENCE, Scene, client_builder, some_attempt_within, until_hung_up,
};

/// As many as fit beside everything else, should this process not be allowed more than 4096 descriptors.
const SLOW: usize = 1000;
const LOUD: usize = 50;
/// Well above what an answer takes on a busy machine, and well below what slow clients are given.
const PROMPT: Duration = Duration::from_secs(1);

async fn answers_promptly(scene: &Scene) {
    for _ in 0..5 {
        some_attempt_within(PROMPT, "/healthz", async || {
            // The client may keep a connection that is hung up on, to make room, in the moment in which it asks.
            for _ in 0..5 {
                if let Ok(answer) = scene.try_send(scene.request(Method::GET, "/healthz")).await {
                    assert_eq!(answer.status, 200);
                    return;
                }
            }
            panic!("nothing is answered");
        })
        .await;
        some_attempt_within(PROMPT, "a webhook", async || scene.deliver(&scene.about(SCHEDULE)).await).await;
    }
}

#[tokio::test]
async fn a_thousand_slow_connections_leave_room_for_webhooks() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("what is allowed");
    let scene = Scene::running(Config::default()).await;
    let half_head = "POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\n";
    let half_body = format!("{half_head}content-length: 100000\r\n\r\nxxxx");
    let slow = (0..SLOW).map(|n| scene.connect_and_say(if n % 2 == 0 { half_head } else { &half_body }));
    let mut slow = join_all(slow).await;
    answers_promptly(&scene).await;
    // Their time is limited.
    until_hung_up(slow.swap_remove(0)).await;
}

const ASKED: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
/// What every HTTP/2 connection begins with.
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn whoever_does_not_say_what_he_wants_is_hung_up_on() {
    let scene = Scene::running(Config::default()).await;
    let begun = ["", "P", "GET /healthz HTTP/1.1\r\nhost:", &PREFACE[..5], &PREFACE[..20], PREFACE];
    let begin_again = async {
        let mut stream = scene.connect_and_say(ASKED).await;
        stream.read_exact(&mut [0; 12]).await.expect("an answer");
        stream.write_all(b"GET /healthz").await.expect("an open connection");
        until_hung_up(stream).await
    };
    tokio::join!(
        join_all(begun.map(async |said| until_hung_up(scene.connect_and_say(said).await).await)),
        begin_again
    );
}

#[tokio::test]
async fn a_connection_is_kept_until_it_was_idle_for_idle_timeout() {
    let scene = Scene::running(Config { idle_timeout: Some("12s"), ..Config::default() }).await;
    let began = Instant::now();
    let said = until_hung_up(scene.connect_and_say(ASKED).await).await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    assert!(began.elapsed() >= Duration::from_secs(12), "closed after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_hung_up_on() {
    let scene = Scene::running(Config { idle_timeout: Some("1s"), ..Config::default() }).await;
    let mut stream = scene.connect_and_say("").await;
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    // Answers that nobody reads fill what is between the two, and then nothing is read any more.
    let full = async { while stream.write_all(asked.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, full).await.expect("the service hangs up");
}

#[tokio::test]
async fn quiet_connections_make_room_for_those_who_speak() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.launch_with_descriptors(400).await;
    let mut crowd = Vec::new();
    for said in ["", "P", ASKED, "POST /webhooks/pagerduty HTTP/1.1\r\n"] {
        crowd.extend(join_all((0..150).map(|_| scene.connect_and_say(said))).await);
        answers_promptly(&scene).await;
    }
}

#[tokio::test]
async fn whoever_says_nothing_after_the_tls_handshake_makes_room_and_is_hung_up_on() {
    let servers = Authority::new("servers");
    let mut scene = Scene::prepared(Config::default()).await;
    servers.signs("127.0.0.1").write(scene.dir(), "tls");
    let tls = "[server]\ntls_cert = \"tls.pem\"\ntls_key = \"tls.key\"";
    scene.write_config(&scene.config_file().replace("[server]", tls));
    let config = || servers.trusted_by(&TLS13, None);
    let client =
        || client_builder().tls_backend_preconfigured(config()).build().expect("a client of its own");
    scene.use_client(client());
    scene.launch_with_descriptors(400).await;
    let began = Instant::now();
    let mut crowd = Vec::new();
    for _ in 0..150 {
        crowd.push(scene.connect_and_shake_hands(config()).await);
    }
    for _ in 0..5 {
        some_attempt_within(PROMPT, "a newcomer", async || {
            let asked = client().get(format!("{}/healthz", scene.url())).send().await;
            assert_eq!(asked.expect("a place").status(), 200);
        })
        .await;
    }
    answers_promptly(&scene).await;
    // The last that came is among those that kept their places until then.
    until_hung_up(crowd.pop().expect("a crowd")).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

/// Twice as many as there are places, and each comes again.
#[tokio::test]
async fn bodies_that_do_not_arrive_make_room_for_newcomers() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.launch_with_descriptors(400).await;
    let head = "POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\nx-pagerduty-signature: v1=00\r\n";
    let begun = format!("{head}content-length: 1000\r\n\r\nxxxx");
    let stall = async || {
        loop {
            if let Ok(mut stream) = TcpStream::connect(scene.address()).await
                && stream.write_all(begun.as_bytes()).await.is_ok()
            {
                drop(stream.read(&mut [0; 12]).await);
            }
            // Who is faster than that keeps the machine busy, and not only the service.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let crowd = join_all((0..200).map(|_| stall()));
    let newcomers = async {
        let mut served = 0;
        for _ in 0..20 {
            let client = client_builder().build().expect("a client of its own");
            let asked = client.get(format!("{}/healthz", scene.url())).send().await;
            served += usize::from(asked.is_ok_and(|answer| answer.status() == 200));
        }
        // On a busy machine some come in the moment in which all places are taken again. Where none is made, all do.
        assert!(served >= 10, "only {served} of 20 found a place");
    };
    tokio::select! {
        _ = crowd => unreachable!("it never ends"),
        () = newcomers => {}
    }
}

#[tokio::test]
async fn a_head_has_a_largest_size() {
    let scene = Scene::running(Config::default()).await;
    let head = |size| {
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(size))
    };
    let said = until_hung_up(scene.connect_and_say(&head(16 * 1024)).await).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    let said = until_hung_up(scene.connect_and_say(&head(64 * 1024)).await).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
}

/// What an HTTP/2 client may have under way and unread at once.
#[tokio::test]
async fn an_http2_connection_may_keep_little_in_memory() {
    let scene = Scene::running(Config::default()).await;
    let mut stream = scene.connect_and_say(PREFACE).await;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("an open connection");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.expect("the settings");
    assert_eq!(frame[3], 4, "the settings come first");
    let mut settings = vec![0; usize::from(frame[1]) * 256 + usize::from(frame[2])];
    stream.read_exact(&mut settings).await.expect("the settings");
    let setting = |id: u8| {
        let value = settings.chunks(6).find(|one| one[..2] == [0, id]);
        value.map(|one| u32::from_be_bytes(one[2..].try_into().expect("four bytes")))
    };
    assert_eq!((setting(3), setting(4)), (Some(32), Some(65_536)), "streams, and bytes of each");
}

#[tokio::test]
async fn stalled_bodies_make_room_for_signed_ones() {
    let scene = Scene::running(Config::default()).await;
    let begun = format!(
        "POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\nx-pagerduty-signature: v1=00\r\ncontent-length: 400000\r\n\r\n{}",
        "x".repeat(240_000)
    );
    let mut crowd = join_all((0..140).map(|_| scene.connect_and_say(&begun))).await;
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
            let answer = scene.post_webhook(body.clone(), FORGED).await;
            answer.assert_error(401, "bad_signature");
        }
    };
    tokio::join!(join_all((0..LOUD).map(|_| forged())), answers_promptly(&scene));
}
