//! What the webhook route answers to which body and signature.

use std::{convert::Infallible, fs, path::Path, process::Command};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use reqwest::Method;
use sandbox::{pagerduty::sign, world::SCHEDULE};
use serde_json::{Value, json};

use crate::support::{Config, NO_HEADERS, SIGNATURE, Scene};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pagerduty");

fn fixture(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(Path::new(FIXTURES).join(path)).expect("a fixture")
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn every_signature_vector_is_judged_as_documented() {
    let vectors: Value = serde_json::from_slice(&fixture("signature-vectors.json")).expect("JSON");
    let vectors = vectors["vectors"].as_array().expect("a list");
    assert_eq!(vectors.len(), 18);
    let mut sets: Vec<Vec<String>> = vectors.iter().map(|vector| texts(&vector["secrets"])).collect();
    sets.sort();
    sets.dedup();
    for secrets in sets {
        let scene = Scene::running(Config { webhook_secrets: secrets.clone(), ..Config::default() }).await;
        for vector in vectors.iter().filter(|vector| texts(&vector["secrets"]) == secrets) {
            let body = fixture(vector["body_file"].as_str().expect("a path"));
            let header = vector["header"].as_str().map(|header| (SIGNATURE, header));
            let answer = scene.post_webhook(body, header).await;
            if vector["valid"] == true {
                assert_eq!(answer.status, 202, "{}", vector["name"]);
            } else {
                answer.assert_error(401, "bad_signature");
            }
        }
    }
}

#[tokio::test]
async fn every_sample_body_is_accepted_and_only_pings_are_ignored() {
    let scene = Scene::running(Config::default()).await;
    let mut names = Vec::new();
    for folder in ["webhooks", "webhooks-hypothetical"] {
        let files = fs::read_dir(Path::new(FIXTURES).join(folder)).expect("a folder");
        names.extend(files.map(|file| file.expect("a file").path()));
    }
    assert_eq!(names.len(), 28);
    for name in names {
        let body = fixture(&name);
        let id = serde_json::from_slice::<Value>(&body).expect("JSON")["event"]["id"].clone();
        let ping = name.to_string_lossy().contains("pagey.ping");
        let answer = scene.post_signed(body).await;
        let expected = json!({"status": if ping { "ignored" } else { "accepted" }, "event_id": id});
        assert_eq!((answer.status, answer.json()), (202, expected), "{}", name.display());
    }
    scene.all_served().await;
}

#[tokio::test]
async fn whatever_a_signed_body_contains_it_is_accepted() {
    let scene = Scene::running(Config::default()).await;
    let deep = format!("{}1{}", r#"{"event":"#.repeat(20_000), "}".repeat(20_000));
    let large = json!({"event": {"id": "LARGE", "data": {"text": "x".repeat(300 * 1024)}}}).to_string();
    for (name, body) in [
        ("garbage", b"<html>".to_vec()),
        ("nothing", Vec::new()),
        ("no UTF-8", vec![0xff, 0xfe, 0x00]),
        ("deep", deep.into_bytes()),
        ("no object", b"[1, null]".to_vec()),
        ("no event", br#"{"messages": []}"#.to_vec()),
        ("numbers for texts", br#"{"event": {"id": 7, "event_type": 8, "data": 9}}"#.to_vec()),
        ("300 KiB", large.into_bytes()),
    ] {
        let answer = scene.post_signed(body).await;
        assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("accepted")), "{name}");
    }
    scene.all_served().await;
    assert!(scene.events().await.iter().all(|event| event["schedules"] == json!(["*"])));
}

#[tokio::test]
async fn a_body_over_512_kib_is_refused_with_and_without_a_length() {
    let scene = Scene::running(Config::default()).await;
    let body = vec![b'x'; 512 * 1024 + 1];
    let signature = sign(&scene.config.webhook_secrets[0], &body);
    let headers = [(SIGNATURE, signature.as_str())];
    scene.post_webhook(body.clone(), headers).await.assert_error(413, "too_large");

    let chunks: Vec<Bytes> = body.chunks(8192).map(Bytes::copy_from_slice).collect();
    let frames = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
    let unannounced = reqwest::Body::wrap(StreamBody::new(stream::iter(frames)));
    scene.post_webhook(unannounced, headers).await.assert_error(413, "too_large");

    let largest = vec![b'x'; 512 * 1024];
    assert_eq!(scene.post_signed(largest).await.status, 202);
}

#[tokio::test]
async fn the_same_event_counts_once_whatever_its_webhook_id_says() {
    let scene = Scene::running(Config::default()).await;
    let event = scene.about(SCHEDULE);
    let mut statuses = Vec::new();
    for webhook_id in ["1", "1", "2"] {
        let answer = scene.send(scene.signed_event(&event).header("X-Webhook-Id", webhook_id)).await;
        assert_eq!((answer.status, &answer.json()["event_id"]), (202, &json!(event.id)));
        statuses.push(answer.json()["status"].clone());
    }
    assert_eq!(statuses, ["accepted", "duplicate", "duplicate"]);

    // Nobody can make another event a duplicate by sending its webhook ID: that one is not signed.
    let other = scene.signed_event(&scene.about(SCHEDULE)).header("X-Webhook-Id", "1");
    assert_eq!(scene.send(other).await.json()["status"], "accepted");

    // Without an ID of its own, the body is what it is known by.
    let nameless = json!({"event": {"event_type": "schedule.updated"}}).to_string();
    let first = scene.post_signed(&nameless).await.json();
    assert_eq!(first, json!({"status": "accepted", "event_id": null}));
    assert_eq!(scene.post_signed(&nameless).await.json()["status"], "duplicate");
    assert_eq!(scene.post_signed(format!("{nameless} ")).await.json()["status"], "accepted");
}

#[tokio::test]
async fn one_good_signature_among_many_is_enough_whatever_the_form_of_the_header() {
    let secrets = vec!["first secret".to_owned(), "second secret".to_owned()];
    let scene = Scene::running(Config { webhook_secrets: secrets.clone(), ..Config::default() }).await;
    let (bad, good) = (format!("v1={}", "0".repeat(64)), |body: &[u8]| sign("second secret", body));
    for (case, forms) in [
        ("alone", vec!["GOOD"]),
        ("blanks after the comma", vec!["BAD,  GOOD"]),
        ("a tab and a blank around", vec!["BAD \t,\tGOOD "]),
        ("several lines", vec!["BAD", "v2=1", "GOOD"]),
        ("several lines, the good one first", vec!["GOOD", "BAD"]),
        ("empty entries", vec![",,GOOD,"]),
    ] {
        let body = scene.about(SCHEDULE).body();
        let lines: Vec<String> =
            forms.iter().map(|form| form.replace("GOOD", &good(&body)).replace("BAD", &bad)).collect();
        let answer = scene.post_webhook(body, lines.iter().map(|line| (SIGNATURE, line.as_str()))).await;
        assert_eq!(answer.status, 202, "{case}: {}", answer.text);
    }
    let fresh = || scene.about(SCHEDULE).body();
    for secret in &secrets {
        assert_eq!(scene.post_signed_by(secret, fresh()).await.status, 202);
    }
    scene.post_signed_by("third secret", fresh()).await.assert_error(401, "bad_signature");
    scene.logged(1, "none of the configured secrets").await;
    let unsigned = scene.post_webhook(fresh(), NO_HEADERS).await;
    unsigned.assert_error(401, "bad_signature");
    assert!(unsigned.text.contains("proxy"), "{}", unsigned.text);
    scene.logged(1, "without an X-PagerDuty-Signature header").await;
}

#[tokio::test]
async fn a_slash_at_the_end_of_the_url_makes_no_difference() {
    let scene = Scene::running(Config::default()).await;
    let body = scene.about(SCHEDULE).body();
    let signature = sign(&scene.config.webhook_secrets[0], &body);
    let request = scene.request(Method::POST, "/webhooks/pagerduty/").body(body);
    assert_eq!(scene.send(request.header(SIGNATURE, signature)).await.status, 202);
    scene.all_served().await;
    scene.get("/webhooks/").await.assert_error(404, "not_found");
}

#[tokio::test]
async fn an_event_with_a_broken_title_is_known_again_and_points_to_its_schedule() {
    let scene = Scene::running(Config::default()).await;
    let body = |title: &[u8]| {
        let head = format!(r#"{{"event":{{"data":{{"type":"schedule","id":"{SCHEDULE}","title":""#);
        [head.as_bytes(), title, br#""},"id":"E1","event_type":"schedule.updated"}}"#].concat()
    };
    for (title, status) in [(&br"\ud83d"[..], "accepted"), (b"\xff", "duplicate"), (b"right", "duplicate")] {
        let answer = scene.post_signed(body(title)).await;
        assert_eq!((answer.status, answer.json()), (202, json!({"status": status, "event_id": "E1"})));
    }
    assert_eq!(scene.events().await[0]["schedules"], json!([SCHEDULE]));
}

#[tokio::test]
async fn without_a_webhook_secret_every_webhook_is_put_off() {
    let scene = Scene::running(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    for secret in ["", "any"] {
        let answer = scene.post_signed_by(secret, scene.about(SCHEDULE).body()).await;
        answer.assert_error(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u32>().is_ok());
    }
    assert!(scene.events().await.is_empty());
}

#[tokio::test]
async fn the_route_takes_posts_only() {
    let scene = Scene::running(Config::default()).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = scene.send(scene.request(method, "/webhooks/pagerduty")).await;
        answer.assert_error(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
}

#[tokio::test]
async fn signed_bodies_without_an_event_are_taken_and_told_now_and_then() {
    let scene = Scene::running(Config::default()).await;
    for body in ["{", "{}", "[]"] {
        assert_eq!(scene.post_signed(body).await.status, 202, "{body}");
    }
    scene.deliver(&scene.about(SCHEDULE)).await;
    let told = scene.logged(1, "no event in it").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("a signed webhook had") && told[0].ends_with("secret 1"), "{told:?}");
}

#[tokio::test]
async fn secrets_follow_their_file_and_one_that_hangs_delays_neither_webhooks_nor_the_end() {
    let mut scene = Scene::with_secrets_file().await;
    scene.start().await;
    let file = scene.dir().join("secrets");
    let old = scene.config.webhook_secrets[0].clone();
    let new: String = old.chars().rev().collect();
    let fresh = || scene.about(SCHEDULE).body();
    assert_eq!(scene.post_signed_by(&old, fresh()).await.status, 202);
    let date = fs::metadata(&file).and_then(|file| file.modified()).expect("a date");
    scene.write_file("secrets", format!("{new}\n"));
    let written = fs::File::options().write(true).open(&file).expect("the file");
    written.set_modified(date).expect("the date that it had");
    scene.post_signed_by(&old, fresh()).await.assert_error(401, "bad_signature");
    assert_eq!(scene.post_signed_by(&new, fresh()).await.status, 202);

    scene.write_file("secrets", "");
    for _ in 0..2 {
        assert_eq!(scene.post_signed_by(&new, fresh()).await.status, 202);
    }
    scene.logged(1, "the file of the webhook secrets is gone or empty").await;

    // Whoever reads a pipe into which nobody writes waits for ever, as on a file system that is gone.
    fs::remove_file(&file).expect("it is there");
    assert!(Command::new("mkfifo").arg(&file).status().expect("coreutils").success());
    for _ in 0..3 {
        assert_eq!(scene.post_signed_by(&new, fresh()).await.status, 202);
    }
    scene.logged(1, "reading the webhook secrets takes longer").await;
    scene.signal("TERM");
    assert!(scene.ended().await.success());
}
