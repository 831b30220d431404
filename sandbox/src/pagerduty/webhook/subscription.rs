//! Webhook subscriptions and their deliveries: tried again, dropped, or switched off as documented.
//!
//! Each subscription delivers one event at a time, so that an event being tried again holds up the later
//! ones. (The real one holds up only those about the same resource.)

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{self as webhook, Endpoint, Event};
use crate::pagerduty::state::Shared;

/// How long a subscription stays switched off after too many drops.
const DISABLED_FOR: TimeDelta = TimeDelta::hours(24);
/// The documented limit for each scope.
pub(crate) const MAX_PER_SCOPE: usize = 10;

/// A subscription, as made over the REST API.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its ID.
    pub id: String,
    /// Where it delivers to, with the secret.
    pub endpoint: Endpoint,
    /// Free text.
    pub description: Option<String>,
    /// The event types it wants.
    pub events: Vec<String>,
    /// `account_reference`, `service_reference` or `team_reference`.
    pub filter_type: String,
    /// The service or team.
    pub filter_id: Option<String>,
    /// Switched off by its owner when false.
    pub active: bool,
    /// Switched off by the sender until then.
    pub disabled_until: Option<DateTime<Utc>>,
    drops: u32,
    queue: VecDeque<Queued>,
    draining: bool,
}

#[derive(Clone, Debug)]
struct Queued {
    webhook_id: String,
    event_type: String,
    body: Bytes,
}

/// One attempt to deliver, for tests and people to look at.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// The subscription.
    pub subscription: String,
    /// The same for all attempts of one event.
    pub webhook_id: String,
    /// The event type.
    pub event_type: String,
    /// The status of the answer; nothing for a timeout or no connection.
    pub status: Option<u16>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 2xx.
    Delivered,
    /// Tried again after a wait.
    TriedAgain,
    /// Refused for good, or tried for too long.
    Dropped,
}

impl Subscription {
    pub(crate) fn new(id: String, endpoint: Endpoint) -> Self {
        Self {
            id,
            endpoint,
            description: None,
            events: Vec::new(),
            filter_type: "account_reference".into(),
            filter_id: None,
            active: true,
            disabled_until: None,
            drops: 0,
            queue: VecDeque::new(),
            draining: false,
        }
    }

    /// Whether the sender has switched it off.
    pub fn disabled(&self, now: DateTime<Utc>) -> bool {
        self.disabled_until.is_some_and(|until| now < until)
    }

    pub(crate) fn enable(&mut self) {
        self.disabled_until = None;
        self.drops = 0;
    }

    fn wants(&self, event: &Event) -> bool {
        let about = match self.filter_type.as_str() {
            "account_reference" => true,
            "service_reference" => {
                let data = &event.data;
                let service =
                    if event.resource_type == "service" { &data["id"] } else { &data["service"]["id"] };
                service.as_str() == self.filter_id.as_deref()
            }
            _ => event.data["teams"].as_array().is_some_and(|teams| {
                teams.iter().any(|team| team["id"].as_str() == self.filter_id.as_deref())
            }),
        };
        about && self.active && self.events.contains(&event.event_type)
    }

    /// As the REST API shows it; the secret is there only in the answer to its creation.
    pub(crate) fn json(&self, now: DateTime<Utc>, with_secret: bool) -> Value {
        let secret = if with_secret { self.endpoint.secrets.first() } else { None };
        let headers = self.endpoint.custom_headers.iter();
        let mut filter = json!({"type": self.filter_type});
        if let Some(id) = &self.filter_id {
            filter["id"] = json!(id);
        }
        json!({
            "id": self.id,
            "type": "webhook_subscription",
            "active": self.active,
            "delivery_method": {
                "id": format!("PWDM{}", &self.id[self.id.len().saturating_sub(3)..]),
                "secret": secret,
                "temporarily_disabled": self.disabled(now),
                "type": "http_delivery_method",
                "url": self.endpoint.url,
                "custom_headers": headers
                    .map(|(name, _)| json!({"name": name, "value": "-- redacted --"}))
                    .collect::<Vec<_>>(),
            },
            "description": self.description,
            "events": self.events,
            "filter": filter,
            "oauth_client": null,
        })
    }
}

/// Queues the event for every subscription that wants it; answers how many do.
pub(crate) fn emit(shared: &Arc<Shared>, event: &Event) -> usize {
    let inner = shared.lock();
    let wanting = inner.subscriptions.iter().filter(|subscription| subscription.wants(event));
    let ids = wanting.map(|subscription| subscription.id.clone()).collect::<Vec<_>>();
    drop(inner);
    ids.iter().filter(|id| enqueue(shared, id, event)).count()
}

/// Queues the event for one subscription, wanted or not; false if it is switched off or not there.
pub(crate) fn enqueue(shared: &Arc<Shared>, id: &str, event: &Event) -> bool {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    let Some(subscription) = inner.subscriptions.iter_mut().find(|sub| sub.id == id) else { return false };
    if subscription.disabled(now) {
        return false;
    }
    subscription.queue.push_back(Queued {
        webhook_id: uuid::Uuid::now_v7().to_string(),
        event_type: event.event_type.clone(),
        body: event.body(),
    });
    if !std::mem::replace(&mut subscription.draining, true) {
        tokio::spawn(drain(Arc::clone(shared), id.to_owned()));
    }
    true
}

async fn drain(shared: Arc<Shared>, id: String) {
    while let Some((queued, endpoint)) = next(&shared, &id) {
        attempt(&shared, &id, &queued, &endpoint).await;
    }
}

fn next(shared: &Shared, id: &str) -> Option<(Queued, Endpoint)> {
    let mut inner = shared.lock();
    let subscription = inner.subscriptions.iter_mut().find(|sub| sub.id == id)?;
    let Some(queued) = subscription.queue.pop_front() else {
        subscription.draining = false;
        return None;
    };
    Some((queued, subscription.endpoint.clone()))
}

/// Tries one delivery until it is delivered or dropped.
async fn attempt(shared: &Shared, id: &str, queued: &Queued, endpoint: &Endpoint) {
    let (client, retries) = {
        let inner = shared.lock();
        (inner.client.clone(), inner.settings.retries.clone())
    };
    let mut waits = retries.waits_ms.iter();
    loop {
        let body = queued.body.clone();
        let answer = webhook::post(&client, endpoint, body, &queued.webhook_id, retries.timeout()).await;
        let status = answer.ok().map(|answer| answer.status);
        let wait = match status {
            Some(200..=299) => return record(shared, id, queued, status, Outcome::Delivered),
            None | Some(429 | 500..) => waits.next(),
            Some(_) => None,
        };
        let Some(wait) = wait else { return record(shared, id, queued, status, Outcome::Dropped) };
        record(shared, id, queued, status, Outcome::TriedAgain);
        tokio::time::sleep(Duration::from_millis(*wait)).await;
    }
}

fn record(shared: &Shared, id: &str, queued: &Queued, status: Option<u16>, outcome: Outcome) {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    let disable_after = inner.settings.retries.disable_after;
    inner.deliveries.push(Delivery {
        subscription: id.into(),
        webhook_id: queued.webhook_id.clone(),
        event_type: queued.event_type.clone(),
        status,
        outcome,
    });
    let Some(subscription) = inner.subscriptions.iter_mut().find(|sub| sub.id == id) else { return };
    match outcome {
        Outcome::Delivered => subscription.drops = 0,
        Outcome::TriedAgain => {}
        Outcome::Dropped => {
            subscription.drops += 1;
            if subscription.drops >= disable_after {
                subscription.disabled_until = Some(now + DISABLED_FOR);
                subscription.queue.clear();
            }
        }
    }
}
