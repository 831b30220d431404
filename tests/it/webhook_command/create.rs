//! `webhook create`: where the secret goes, and what is subscribed.

use std::{fs, os::unix::fs::PermissionsExt};

use sandbox::pagerduty::Scope;

use crate::support::{Config, FORGED, Scene, stderr, stdout};

#[tokio::test]
async fn the_secret_goes_into_a_new_file_of_its_owner_alone() {
    let scene = Scene::reachable(Config::default()).await;
    let made = scene.webhook(&["create", "--secret-file", "fresh"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let subscription = scene.pagerduty.subscriptions().remove(0);
    assert!(subscription.endpoint.url.ends_with("/webhooks/pagerduty"));
    let secret = &subscription.endpoint.secrets[0];
    assert_eq!(scene.read_file("fresh"), format!("{secret}\n"));
    let file = fs::metadata(scene.dir().join("fresh")).expect("a file");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(!stdout(&made).contains(secret) && !stderr(&made).contains(secret));
    assert!(stdout(&made).contains("webhook_secrets_file"), "{}", stdout(&made));
    assert!(scene.pagerduty.deliveries().is_empty(), "no ping that nobody could accept");

    scene.webhook(&["delete"]).await;
    let again = scene.webhook(&["create", "--secret-file", "fresh"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("not overwritten"), "{}", stderr(&again));
    assert!(scene.subscription_ids().is_empty(), "nothing was made that nobody could use");
}

#[tokio::test]
async fn without_a_file_standard_output_carries_the_secret_and_nothing_else() {
    let scene = Scene::prepared(Config::default()).await;
    let url = "https://grants.example.com";
    let arguments = ["create", "--url", url, "--filter", "service:PSPAY01", "--event", "incident.triggered"];
    let made = scene.webhook(&arguments).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let subscription = scene.pagerduty.subscriptions().remove(0);
    assert_eq!(stdout(&made).trim_end(), subscription.endpoint.secrets[0]);
    assert_eq!(subscription.endpoint.url, format!("{url}/webhooks/pagerduty"));
    assert_eq!(subscription.scope, Scope::Service("PSPAY01".into()));
    assert_eq!(subscription.events, ["incident.triggered"]);

    let missing = scene.webhook(&["create"]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("--url"), "{}", stderr(&missing));
}

/// A fresh deployment names the file that `create` is going to make.
#[tokio::test]
async fn the_first_secret_needs_no_file_before_it_and_no_restart_after_it() {
    for empty in [false, true] {
        let mut scene = Scene::with_secrets_file().await;
        fs::remove_file(scene.dir().join("secrets")).expect("it is there");
        if empty {
            scene.write_file("secrets", "");
        }
        scene.start().await;
        scene.subscription_becomes("missing").await;
        scene.logged(1, "the file that pagerduty.webhook_secrets_file names is not there or empty").await;
        scene.post_webhook("{}", FORGED).await.assert_error(503, "unavailable");
        assert_eq!(scene.logged(1, "answered a webhook 503, for no webhook secret").await.len(), 1);

        let made = scene.webhook(&["create", "--secret-file", "secrets"]).await;
        assert_eq!(made.status.code(), Some(0), "{}{}", stdout(&made), stderr(&made));
        assert!(stdout(&made).contains("has received its signed ping"), "{}", stdout(&made));
        scene.receives_an_incident().await;
    }
}

#[tokio::test]
async fn only_the_route_of_the_service_is_subscribed_and_plain_http_is_warned_of() {
    let scene = Scene::prepared(Config::default()).await;
    let refused = scene.webhook(&["create", "--url", "https://grants.example.com/foo"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("/webhooks/pagerduty"), "{}", stderr(&refused));
    assert!(scene.subscription_ids().is_empty());
    let made = scene.webhook(&["create", "--url", "http://grants.example.com", "--secret-file", "one"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert!(stderr(&made).contains("plain http"), "{}", stderr(&made));
    let made = scene.webhook(&["create", "--url", "http://127.0.0.1:1", "--secret-file", "two"]).await;
    assert!(!stderr(&made).contains("plain http"), "{}", stderr(&made));
}

#[tokio::test]
async fn a_secret_that_went_elsewhere_belongs_into_the_file_that_the_service_reads() {
    let scene = Scene::with_secrets_file().await;
    let made = scene.webhook(&["create"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    for told in [stderr(&made), stdout(&scene.webhook(&["rotate", "--secret-file", "other"]).await)] {
        assert!(told.contains("another line to secrets") && told.contains("without a restart"), "{told}");
        assert!(!told.contains("set webhook_secrets_file"), "{told}");
    }
}
