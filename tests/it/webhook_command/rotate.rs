//! `webhook rotate`: no subscription is removed before its successor was heard of.

use sandbox::pagerduty::Scope;
use serde_json::json;

use crate::support::{Config, Scene, stderr, stdout};

#[tokio::test]
async fn a_rotation_leaves_no_gap_and_one_subscription() {
    let mut scene = Scene::with_secrets_file().await;
    scene.start().await;
    scene.subscription_becomes("missing").await;
    let arguments = ["create", "--secret-file", "secrets", "--append", "--filter", "service:PSPAY01"];
    scene.webhook(&arguments).await;
    let old = scene.subscription_ids();
    let rotated = scene.webhook(&["rotate"]).await;
    assert_eq!(rotated.status.code(), Some(0), "{}{}", stdout(&rotated), stderr(&rotated));
    let new = scene.pagerduty.subscriptions();
    assert_eq!(new.len(), 1);
    assert_ne!(new[0].id, old[0]);
    assert_eq!(new[0].scope, Scope::Service("PSPAY01".into()), "it is like the old one");
    assert_eq!(scene.read_file("secrets").lines().count(), 3);
    assert!(
        stdout(&rotated).contains("line 2 of secrets, the one before the new one"),
        "{}",
        stdout(&rotated)
    );
    scene.receives_an_incident().await;
}

#[tokio::test]
async fn without_a_running_service_a_rotation_is_finished_by_hand() {
    let scene = Scene::reachable(Config::default()).await;
    scene.webhook(&["create", "--secret-file", "one"]).await;
    let old = scene.subscription_ids().remove(0);
    let early = scene.webhook(&["rotate", "--finish", &old]).await;
    assert_eq!(early.status.code(), Some(1));
    assert!(stderr(&early).contains("no other subscription"), "{}", stderr(&early));

    let rotated = scene.webhook(&["rotate", "--secret-file", "two"]).await;
    assert_eq!(rotated.status.code(), Some(1), "it is not finished");
    assert!(stdout(&rotated).contains(&format!("rotate --finish {old}")), "{}", stdout(&rotated));
    assert_eq!(scene.subscription_ids().len(), 2);
    for command in ["delete", "ping", "enable", "rotate"] {
        let refused = scene.webhook(&[command]).await;
        assert_eq!(refused.status.code(), Some(2), "{command}");
        assert!(stderr(&refused).contains("name the ID"), "{}", stderr(&refused));
    }
    let unknown = scene.webhook(&["rotate", "--finish", &old]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("--force"), "{}", stderr(&unknown));
    assert_eq!(scene.subscription_ids().len(), 2);
    let finished = scene.webhook(&["rotate", "--finish", &old, "--force"]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", stderr(&finished));
    assert!(!scene.subscription_ids().contains(&old) && scene.subscription_ids().len() == 1);
}

/// A rotation whose new secret went to a file that nobody reads: the running service, the old ID and the new one.
async fn half_rotated() -> (Scene, String, String) {
    let mut scene = Scene::with_secrets_file().await;
    scene.start().await;
    scene.subscription_becomes("missing").await;
    let made = scene.webhook(&["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(made.status.code(), Some(0), "{}{}", stdout(&made), stderr(&made));
    let old = scene.subscription_ids().remove(0);
    let rotated = scene.webhook(&["rotate", "--secret-file", "other"]).await;
    assert_eq!(rotated.status.code(), Some(1), "{}", stderr(&rotated));
    let new = scene.subscription_ids().into_iter().find(|id| *id != old).expect("a second one");
    (scene, old, new)
}

#[tokio::test]
async fn a_subscription_stays_until_the_service_has_heard_of_the_one_that_replaces_it() {
    let (mut scene, old, new) = half_rotated().await;
    let refused = async |why: &str| {
        let early = scene.webhook(&["rotate", "--finish", &old]).await;
        assert_eq!(early.status.code(), Some(1), "{}", stdout(&early));
        assert!(stderr(&early).contains(why) && stderr(&early).contains(&new), "{}", stderr(&early));
        assert_eq!(scene.subscription_ids().len(), 2);
    };
    refused("webhook ping").await;
    scene.change_subscription(&new, json!({"active": false})).await;
    refused("switched off").await;
    scene.change_subscription(&new, json!({"active": true})).await;

    scene.write_file("secrets", scene.read_file("secrets") + &scene.read_file("other"));
    let pinged = scene.webhook(&["ping", &new]).await;
    assert_eq!(pinged.status.code(), Some(0), "{}", stdout(&pinged));
    scene.change_subscription(&new, json!({"active": false})).await;
    refused("switched off").await;
    scene.change_subscription(&new, json!({"active": true})).await;
    // What it has heard of is in its store.
    scene.kill();
    let finished = scene.webhook(&["rotate", "--finish", &old]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", stderr(&finished));
    assert_eq!(scene.subscription_ids(), [new]);
}

#[tokio::test]
async fn a_rotation_that_was_interrupted_says_how_it_ends_and_may_end_with_the_old_one() {
    let (scene, old, new) = half_rotated().await;
    let again = scene.webhook(&["rotate"]).await;
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("rotate --finish ID"), "{}", stderr(&again));
    let finished = scene.webhook(&["rotate", "--finish", &new]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", stderr(&finished));
    assert!(stdout(&finished).contains(&format!("{old} delivers in its place")), "{}", stdout(&finished));
    assert_eq!(scene.subscription_ids(), [old]);
}
