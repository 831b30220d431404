use reqwest::Url;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    sample,
    server::{Reply, Server},
};
use crate::pagerduty::{COMMON_EVENTS, Error, Filter, SubscriptionRequest};

const URL: &str = "https://oncall-grants.example.com/webhooks/pagerduty";

fn request(url: &Url) -> SubscriptionRequest<'_> {
    SubscriptionRequest { url, description: "oncall-grants", events: COMMON_EVENTS, filter: &Filter::Account }
}

#[tokio::test]
async fn a_new_subscription_tells_its_secret_once_and_never_in_debug() {
    let server = Server::always(201, sample("webhook_subscription.create-response.json")).await;
    let url = URL.parse().unwrap();
    let new = server.client().create_subscription(request(&url)).await.unwrap();

    let secret = "Zm9vYmFyLW5vdC1hLXJlYWwtc2VjcmV0LWZvci10ZXN0cy1vbmx5LTAwMDAwMDAx";
    assert_eq!(new.secret.expose_secret(), secret);
    assert!(!format!("{new:?}").contains(secret));
    assert_eq!(new.subscription.id, "PWSUB01");
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/webhook_subscriptions"));
    let sent: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(
        sent,
        json!({"webhook_subscription": {
            "type": "webhook_subscription",
            "delivery_method": {"type": "http_delivery_method", "url": URL},
            "events": COMMON_EVENTS,
            "filter": {"type": "account_reference"},
            "description": "oncall-grants",
            "active": true,
        }})
    );
}

#[tokio::test]
async fn a_subscription_is_not_made_twice() {
    let url = URL.parse().unwrap();
    let server = Server::always(500, "").await;
    let error = server.client().create_subscription(request(&url)).await.unwrap_err();
    assert!(matches!(error, Error::Server(_)), "{error}");
    assert_eq!(server.asked().len(), 1);

    let server = Server::always(400, sample("error-webhook-limit.json")).await;
    let error = server.client().create_subscription(request(&url)).await.unwrap_err();
    assert!(
        error.to_string().ends_with("Webhook subscription limit exceeded for the selected scope."),
        "{error}"
    );

    let server = Server::always(200, sample("webhook_subscription.get.json")).await;
    let error = server.client().create_subscription(request(&url)).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
}

#[tokio::test]
async fn subscriptions_are_listed_page_by_page() {
    let server = Server::answering(|asked| {
        let mut page: Value = serde_json::from_str(&sample("webhook_subscriptions-list.json")).unwrap();
        page["more"] = json!(asked.number == 0);
        page["offset"] = json!(asked.number);
        Reply::ok(page.to_string())
    })
    .await;
    let found = server.client().subscriptions().await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].url.as_ref().unwrap().as_str(), URL);
    assert!(found[0].active && !found[0].temporarily_disabled);
    assert_eq!(found[0].filter, Some(Filter::Account));
}

#[tokio::test]
async fn one_that_pagerduty_switched_off_can_be_told() {
    let server = Server::always(200, sample("webhook_subscription.disabled.json")).await;
    let found = server.client().subscription("PWSUB01").await.unwrap();
    assert!(found.active && found.temporarily_disabled);
    let other = server.client().subscription("PWSUB02").await;
    assert!(matches!(other, Err(Error::Invalid(_))), "{other:?}");
}

#[tokio::test]
async fn credentials_in_its_address_are_not_kept() {
    let mut body: Value = serde_json::from_str(&sample("webhook_subscription.get.json")).unwrap();
    body["webhook_subscription"]["delivery_method"]["url"] = json!(URL.replace("://", "://user:pass@"));
    let server = Server::always(200, body.to_string()).await;
    let found = server.client().subscription("PWSUB01").await.unwrap();
    assert_eq!(found.url.as_ref().unwrap().as_str(), URL);
    assert!(found.has_hidden_settings, "nobody can make another one like it");
}

#[tokio::test]
async fn it_can_be_pinged_enabled_and_deleted() {
    let server = Server::answering(|asked| Reply::new(if asked.number == 0 { 202 } else { 204 }, "")).await;
    let client = server.client();
    client.ping_subscription("PWSUB01").await.unwrap();
    client.enable_subscription("PWSUB01").await.unwrap();
    client.delete_subscription("PWSUB01").await.unwrap();
    let asked: Vec<String> =
        server.asked().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    assert_eq!(
        asked,
        [
            "POST /webhook_subscriptions/PWSUB01/ping",
            "POST /webhook_subscriptions/PWSUB01/enable",
            "DELETE /webhook_subscriptions/PWSUB01",
        ]
    );
}

#[tokio::test]
async fn only_the_event_types_of_a_subscription_are_changed() {
    let server = Server::always(200, sample("webhook_subscription.get.json")).await;
    let id = "PWSUB01";
    let changed = server.client().set_subscription_events(id, &["incident.triggered"]).await.unwrap();
    assert_eq!(changed.id, id);
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PUT", "/webhook_subscriptions/PWSUB01"));
    let sent: Value = serde_json::from_str(&asked.body).unwrap();
    let events = json!({"type": "webhook_subscription", "events": ["incident.triggered"]});
    assert_eq!(sent, json!({"webhook_subscription": events}));
    // What PagerDuty did not take over is not done.
    let error = server.client().set_subscription_events(id, &["incident.invented"]).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
}
