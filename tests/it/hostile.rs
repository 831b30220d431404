//! Strangers who are slow or loud do not keep PagerDuty out.

use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandbox::world::SCHEDULE;

use crate::support::{Config, FORGED, Scene, some_attempt_within, until_hung_up};

/// As many as fit beside everything else, should this process not be allowed more than 4096 descriptors.
const SLOW: usize = 1000;
const LOUD: usize = 50;
/// Well above what an answer takes on a busy machine, and well below what slow clients are given.
const PROMPT: Duration = Duration::from_secs(1);

async fn answers_promptly(scene: &Scene) {
    for _ in 0..5 {
        some_attempt_within(PROMPT, "/healthz", async || assert_eq!(scene.get("/healthz").await.status, 200))
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
