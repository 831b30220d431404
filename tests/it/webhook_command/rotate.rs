//! `webhook rotate`: no subscription is removed before its successor was heard of.

use std::fs;

use sandbox::{
    pagerduty::{Event, Scope},
    world,
};

use crate::support::{Config, Scene, err, out, wait_until};

#[tokio::test]
async fn a_rotation_leaves_no_gap_and_one_subscription() {
    let mut scene = Scene::with_secrets_file().await;
    scene.start().await;
    scene.subscription_becomes("missing").await;
    let arguments = ["create", "--secret-file", "secrets", "--append", "--filter", "service:PSPAY01"];
    scene.webhook(&arguments).await;
    let old = scene.subscription_ids();
    let rotated = scene.webhook(&["rotate"]).await;
    assert_eq!(rotated.status.code(), Some(0), "{}{}", out(&rotated), err(&rotated));
    let new = scene.pagerduty.subscriptions();
    assert_eq!(new.len(), 1);
    assert_ne!(new[0].id, old[0]);
    assert_eq!(new[0].scope, Scope::Service("PSPAY01".into()), "it is like the old one");
    let secrets = fs::read_to_string(scene.dir().join("secrets")).expect("a file");
    assert_eq!(secrets.lines().count(), 3);
    assert!(out(&rotated).contains("line 2 of secrets, the one before the new one"), "{}", out(&rotated));
    let event = Event::incident("incident.triggered", scene.now(), world::POLICY, world::SERVICE);
    assert_eq!(scene.pagerduty.emit(&event), 1);
    wait_until("the event arrives", async || {
        let events = scene.events().await;
        events.iter().any(|one| one["event_id"] == event.id.as_str()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_running_service_a_rotation_is_finished_by_hand() {
    let scene = Scene::reachable(Config::default()).await;
    scene.webhook(&["create", "--secret-file", "one"]).await;
    let old = scene.subscription_ids().remove(0);
    let early = scene.webhook(&["rotate", "--finish", &old]).await;
    assert_eq!(early.status.code(), Some(1));
    assert!(err(&early).contains("no other subscription"), "{}", err(&early));

    let rotated = scene.webhook(&["rotate", "--secret-file", "two"]).await;
    assert_eq!(rotated.status.code(), Some(1), "it is not finished");
    assert!(out(&rotated).contains(&format!("rotate --finish {old}")), "{}", out(&rotated));
    assert_eq!(scene.subscription_ids().len(), 2);
    for command in ["delete", "ping", "enable", "rotate"] {
        let refused = scene.webhook(&[command]).await;
        assert_eq!(refused.status.code(), Some(2), "{command}");
        assert!(err(&refused).contains("name the ID"), "{}", err(&refused));
    }
    let unknown = scene.webhook(&["rotate", "--finish", &old]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("--force"), "{}", err(&unknown));
    assert_eq!(scene.subscription_ids().len(), 2);
    let finished = scene.webhook(&["rotate", "--finish", &old, "--force"]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", err(&finished));
    assert!(!scene.subscription_ids().contains(&old) && scene.subscription_ids().len() == 1);
}

/// A rotation whose new secret went to a file that nobody reads: the running service, the old ID and the new one.
async fn half_rotated() -> (Scene, String, String) {
    let mut scene = Scene::with_secrets_file().await;
    scene.start().await;
    scene.subscription_becomes("missing").await;
    let made = scene.webhook(&["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(made.status.code(), Some(0), "{}{}", out(&made), err(&made));
    let old = scene.subscription_ids().remove(0);
    let rotated = scene.webhook(&["rotate", "--secret-file", "other"]).await;
    assert_eq!(rotated.status.code(), Some(1), "{}", err(&rotated));
    let new = scene.subscription_ids().into_iter().find(|id| *id != old).expect("a second one");
    (scene, old, new)
}

#[tokio::test]
async fn a_subscription_stays_until_the_service_has_heard_of_the_one_that_replaces_it() {
    let (mut scene, old, new) = half_rotated().await;
    let refused = async |why: &str| {
        let early = scene.webhook(&["rotate", "--finish", &old]).await;
        assert_eq!(early.status.code(), Some(1), "{}", out(&early));
        assert!(err(&early).contains(why) && err(&early).contains(&new), "{}", err(&early));
        assert_eq!(scene.subscription_ids().len(), 2);
    };
    refused("webhook ping").await;
    scene.change_subscription(&new, serde_json::json!({"active": false})).await;
    refused("switched off").await;
    scene.change_subscription(&new, serde_json::json!({"active": true})).await;

    let mut secrets = fs::read_to_string(scene.dir().join("secrets")).expect("a file");
    secrets += &fs::read_to_string(scene.dir().join("other")).expect("a file");
    fs::write(scene.dir().join("secrets"), secrets).expect("a writable directory");
    let pinged = scene.webhook(&["ping", &new]).await;
    assert_eq!(pinged.status.code(), Some(0), "{}", out(&pinged));
    scene.change_subscription(&new, serde_json::json!({"active": false})).await;
    refused("switched off").await;
    scene.change_subscription(&new, serde_json::json!({"active": true})).await;
    // What it has heard of is in its store.
    scene.kill();
    let finished = scene.webhook(&["rotate", "--finish", &old]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", err(&finished));
    assert_eq!(scene.subscription_ids(), [new]);
}

#[tokio::test]
async fn a_rotation_that_was_interrupted_says_how_it_ends_and_may_end_with_the_old_one() {
    let (scene, old, new) = half_rotated().await;
    let again = scene.webhook(&["rotate"]).await;
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("rotate --finish ID"), "{}", err(&again));
    let finished = scene.webhook(&["rotate", "--finish", &new]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", err(&finished));
    assert!(out(&finished).contains(&format!("{old} delivers in its place")), "{}", out(&finished));
    assert_eq!(scene.subscription_ids(), [old]);
}
