//! Delivers webhooks: once to the endpoint that was set, or through the queue of each subscription, with retries.
//!
//! Each subscription delivers one event at a time, so that an event that is retried holds up the later ones. (The real
//! one holds up only those about the same resource.)

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::state::Shared;
use super::webhook::endpoint::{Answer, Endpoint};
use super::webhook::event::Event;
use super::webhook::subscription::{Delivery, Outcome, Queued};

/// How long the receiver of a single delivery may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts the event to the endpoint that was set, once.
pub(super) async fn once(shared: &Shared, event: &Event) -> Result<Answer> {
    let endpoint = shared.lock().endpoint.clone().context("no endpoint was set")?;
    post(shared, &endpoint, event.body(), &uuid::Uuid::now_v7().to_string()).await
}

/// Posts any bytes to any endpoint, once.
pub(super) async fn post(
    shared: &Shared,
    endpoint: &Endpoint,
    body: Bytes,
    webhook_id: &str,
) -> Result<Answer> {
    let answer = endpoint.post(&shared.client, body, webhook_id, TIMEOUT).await;
    answer.with_context(|| format!("cannot deliver to {}", endpoint.url))
}

/// Queues the event for every subscription that asks for it; returns how many took it.
pub(super) fn emit(shared: &Arc<Shared>, event: &Event) -> usize {
    let state = shared.lock();
    let asking = state.subscriptions.iter().filter(|subscription| subscription.asks_for(event));
    let ids = asking.map(|subscription| subscription.id.clone()).collect::<Vec<_>>();
    drop(state);
    ids.iter().filter(|id| enqueue(shared, id, event)).count()
}

/// Queues the event for one subscription, whatever it asks for; false if it is disabled or gone.
pub(super) fn enqueue(shared: &Arc<Shared>, id: &str, event: &Event) -> bool {
    let now = shared.clock.now();
    let mut state = shared.lock();
    let Some(subscription) = state.subscription_mut(id).filter(|one| !one.disabled(now)) else {
        return false;
    };
    subscription.queue.push_back(Queued::new(event));
    if !std::mem::replace(&mut subscription.delivering, true) {
        tokio::spawn(deliver_queue(Arc::clone(shared), id.to_owned()));
    }
    true
}

async fn deliver_queue(shared: Arc<Shared>, id: String) {
    while let Some((queued, endpoint)) = next(&shared, &id) {
        deliver(&shared, &id, &queued, &endpoint).await;
    }
}

/// Takes the next event from the queue, or ends the delivering.
fn next(shared: &Shared, id: &str) -> Option<(Queued, Endpoint)> {
    let mut state = shared.lock();
    let subscription = state.subscription_mut(id)?;
    let Some(queued) = subscription.queue.pop_front() else {
        subscription.delivering = false;
        return None;
    };
    Some((queued, subscription.endpoint.clone()))
}

/// Retries until the event is delivered or dropped.
async fn deliver(shared: &Shared, id: &str, queued: &Queued, endpoint: &Endpoint) {
    let retries = shared.lock().settings.retries.clone();
    let mut waits = retries.waits_ms.iter();
    loop {
        let body = queued.body.clone();
        let answer = endpoint.post(&shared.client, body, &queued.webhook_id, retries.timeout()).await;
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
    let mut state = shared.lock();
    let disable_after = state.settings.retries.disable_after;
    state.deliveries.push(Delivery {
        subscription: id.into(),
        webhook_id: queued.webhook_id.clone(),
        event_type: queued.event_type.clone(),
        status,
        outcome,
    });
    if let Some(subscription) = state.subscription_mut(id) {
        subscription.settle(outcome, disable_after, now);
    }
}
