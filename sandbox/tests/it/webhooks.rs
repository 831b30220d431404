//! Signed deliveries and subscriptions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use chrono::TimeDelta;
use sandbox::pagerduty::{Endpoint, Event, Outcome, sign};
use sandbox::server::Server;
use sandbox::world::{POLICY, SERVICE, WEBHOOK_SECRET};
use serde_json::{Value, json};

use crate::support::{ANY, Both, answer, both, sample, shape};

/// A receiver that writes down what arrives and answers as told, 202 afterwards.
struct Receiver {
    server: Server,
    seen: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(statuses.iter().rev().copied().collect::<Vec<_>>()));
        let router = Router::new().fallback({
            let seen = Arc::clone(&seen);
            move |headers: HeaderMap, body: Bytes| async move {
                seen.lock().unwrap().push((headers, body));
                StatusCode::from_u16(answers.lock().unwrap().pop().unwrap_or(202)).unwrap()
            }
        });
        Self { server: Server::start(ANY, router).await.unwrap(), seen }
    }

    fn url(&self) -> String {
        format!("http://{}/webhooks/pagerduty", self.server.addr())
    }

    fn seen(&self) -> Vec<(HeaderMap, Bytes)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Both {
    async fn subscribe(&self, url: &str) -> (u16, Value) {
        let body = json!({"webhook_subscription": {
            "type": "webhook_subscription",
            "delivery_method": {
                "type": "http_delivery_method",
                "url": url,
                "custom_headers": [{"name": "x-env", "value": "test"}],
            },
            "events": ["incident.triggered"],
            "filter": {"type": "account_reference"},
            "description": "sandbox",
        }});
        answer(self.request("POST", "/webhook_subscriptions").json(&body)).await
    }

    /// Emits an event that is subscribed to, and waits until the deliveries reach this number.
    async fn emit(&self, deliveries: usize) {
        let event = Event::incident("incident.triggered", self.now, POLICY, SERVICE);
        assert_eq!(self.pagerduty.emit(&event), 1);
        self.delivered(deliveries).await;
    }

    async fn delivered(&self, count: usize) {
        let reached = async {
            while self.pagerduty.deliveries().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), reached).await.expect("deliveries in time");
    }
}

#[tokio::test]
async fn a_delivery_is_signed_with_every_secret() {
    let both = both().await;
    let receiver = Receiver::start(&[]).await;
    let mut endpoint = Endpoint::new(receiver.url(), WEBHOOK_SECRET);
    endpoint.secrets.push("second".into());
    both.pagerduty.set_endpoint(endpoint);

    let event = Event::incident("incident.triggered", both.now, POLICY, SERVICE);
    let told = both.pagerduty.deliver(&event).await.unwrap();

    assert_eq!(told.status, 202);
    let (headers, body) = receiver.seen().remove(0);
    let expected = format!("{},{}", sign(WEBHOOK_SECRET, &body), sign("second", &body));
    assert_eq!(headers["x-pagerduty-signature"], expected);
    assert_eq!(headers["user-agent"], "PagerDuty-Webhook/V3.0");
    assert_eq!(headers["x-webhook-subscription"], "PWSUB01");
    assert_eq!(headers["x-webhook-id"], told.webhook_id);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["event"]["id"].as_str().unwrap().len(), 26);
    let sample: Value =
        serde_json::from_str(&crate::support::data("pagerduty/webhooks/incident.triggered.json")).unwrap();
    let told = shape(&sample);
    let told = told.iter().filter(|path| !path.contains("[]"));
    assert_eq!(told.cloned().collect::<Vec<_>>(), shape(&body).into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_subscription_tells_its_secret_once() {
    let both = both().await;
    let (status, created) = both.subscribe("https://example.com/hook").await;
    assert_eq!(status, 200);
    assert_eq!(shape(&created), shape(&sample("webhook_subscription.create-response")));
    assert_eq!(created["webhook_subscription"]["delivery_method"]["secret"].as_str().unwrap().len(), 64);
    let path = format!("/webhook_subscriptions/{}", created["webhook_subscription"]["id"].as_str().unwrap());

    let (_, got) = both.get(&path).await;
    assert_eq!(shape(&got), shape(&sample("webhook_subscription.get")));
    assert_eq!(got["webhook_subscription"]["delivery_method"]["secret"], Value::Null);
    let (_, listed) = both.get("/webhook_subscriptions?filter_type=account").await;
    assert_eq!(shape(&listed), shape(&sample("webhook_subscriptions-list")));

    let change = json!({"webhook_subscription": {
        "description": "changed",
        "delivery_method": {"type": "http_delivery_method", "url": "https://elsewhere.example.com"},
    }});
    let (_, changed) = answer(both.request("PUT", &path).json(&change)).await;
    assert_eq!(changed["webhook_subscription"]["description"], "changed");
    assert_eq!(changed["webhook_subscription"]["delivery_method"]["url"], "https://example.com/hook");
    let unknown = json!({"webhook_subscription": {"events": ["schedule.updated"]}});
    assert_eq!(answer(both.request("PUT", &path).json(&unknown)).await.0, 400);
    assert_eq!(answer(both.request("DELETE", &path)).await.0, 204);
    assert_eq!(both.get(&path).await.0, 404);

    for _ in 0..10 {
        assert_eq!(both.subscribe("https://example.com/hook").await.0, 200);
    }
    assert_eq!(both.subscribe("https://example.com/hook").await, (400, sample("error-webhook-limit")));
}

#[tokio::test]
async fn failures_are_tried_again_under_the_same_id() {
    let both = both().await;
    let receiver = Receiver::start(&[503, 429]).await;
    let (_, created) = both.subscribe(&receiver.url()).await;
    both.emit(3).await;

    let outcomes = both.pagerduty.deliveries().into_iter().map(|delivery| delivery.outcome);
    assert_eq!(outcomes.collect::<Vec<_>>(), [Outcome::TriedAgain, Outcome::TriedAgain, Outcome::Delivered]);
    let seen = receiver.seen();
    assert!(seen.iter().all(|(headers, _)| headers["x-webhook-id"] == seen[0].0["x-webhook-id"]));
    assert_eq!(seen[0].0["x-env"], "test");
    let secret = created["webhook_subscription"]["delivery_method"]["secret"].as_str().unwrap();
    assert_eq!(seen[0].0["x-pagerduty-signature"], sign(secret, &seen[0].1));
}

#[tokio::test]
async fn three_refusals_in_a_row_switch_a_subscription_off_for_a_day() {
    let both = both().await;
    let receiver = Receiver::start(&[400, 401, 202, 400, 401, 403]).await;
    let (_, created) = both.subscribe(&receiver.url()).await;
    let path = format!("/webhook_subscriptions/{}", created["webhook_subscription"]["id"].as_str().unwrap());
    let disabled = || async {
        both.get(&path).await.1["webhook_subscription"]["delivery_method"]["temporarily_disabled"].clone()
    };
    for count in 1..=5 {
        both.emit(count).await;
    }
    assert_eq!(disabled().await, false);
    both.emit(6).await;
    assert_eq!(disabled().await, true);
    let event = Event::incident("incident.triggered", both.now, POLICY, SERVICE);
    assert_eq!(both.pagerduty.emit(&event), 0);

    assert_eq!(answer(both.request("POST", &format!("{path}/enable"))).await.0, 200);
    assert_eq!(disabled().await, false);
    assert_eq!(answer(both.request("POST", &format!("{path}/ping"))).await.0, 202);
    both.delivered(7).await;
    assert!(String::from_utf8_lossy(&receiver.seen()[6].1).contains("pagey.ping"));

    both.pagerduty.clock().advance(TimeDelta::hours(25));
    assert_eq!(disabled().await, false);
}
