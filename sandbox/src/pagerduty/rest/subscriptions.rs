//! `/webhook_subscriptions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Query;
use crate::pagerduty::state::{Inner, Shared};
use crate::pagerduty::webhook::subscription::{self as subscriptions, MAX_PER_SCOPE, Subscription};
use crate::pagerduty::webhook::{Endpoint, Event};

type Answer = Result<Json<Value>, ApiError>;

/// Every type that is documented; subscribing to another is refused.
const EVENTS: [&str; 30] = [
    "incident.acknowledged",
    "incident.action_invocation.created",
    "incident.action_invocation.terminated",
    "incident.action_invocation.updated",
    "incident.annotated",
    "incident.conference_bridge.updated",
    "incident.custom_field_values.updated",
    "incident.delegated",
    "incident.escalated",
    "incident.incident_type.changed",
    "incident.priority_updated",
    "incident.reassigned",
    "incident.reopened",
    "incident.resolved",
    "incident.responder.added",
    "incident.responder.replied",
    "incident.role.assigned",
    "incident.service_updated",
    "incident.status_update_published",
    "incident.task.completed",
    "incident.task.created",
    "incident.task.updated",
    "incident.triggered",
    "incident.unacknowledged",
    "incident.workflow.completed",
    "incident.workflow.started",
    "service.created",
    "service.custom_field_values.updated",
    "service.deleted",
    "service.updated",
];

pub(super) async fn list(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let now = shared.clock.now();
    let inner = shared.lock();
    let kind = query.one("filter_type");
    let id = query.one("filter_id");
    let found = inner.subscriptions.iter().filter(|sub| {
        kind.is_none_or(|kind| sub.filter_type.strip_suffix("_reference") == Some(kind))
            && id.is_none_or(|id| sub.filter_id.as_deref() == Some(id))
    });
    Ok(query.page(25, 100)?.answer("webhook_subscriptions", found.map(|sub| sub.json(now, false)).collect()))
}

pub(super) async fn create(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Answer {
    let now = shared.clock.now();
    let wanted = &body["webhook_subscription"];
    if wanted["type"] != "webhook_subscription" {
        return Err(ApiError::invalid("type must be webhook_subscription"));
    }
    let method = &wanted["delivery_method"];
    if method["type"] != "http_delivery_method" {
        return Err(ApiError::invalid("delivery_method.type must be http_delivery_method"));
    }
    let url = method["url"].as_str().filter(|url| url.starts_with("http://") || url.starts_with("https://"));
    let url = url.ok_or_else(|| ApiError::invalid("delivery_method.url must be a URL"))?;
    let headers = method["custom_headers"].as_array().into_iter().flatten();
    let custom_headers = headers
        .filter_map(|header| Some((header["name"].as_str()?.into(), header["value"].as_str()?.into())));
    let mut endpoint = Endpoint::new(url, new_secret());
    endpoint.custom_headers = custom_headers.collect();

    let mut inner = shared.lock();
    endpoint.subscription = inner.next_id("PWSUB");
    let mut subscription = Subscription::new(endpoint.subscription.clone(), endpoint);
    if wanted["events"].is_null() || wanted["filter"].is_null() {
        return Err(ApiError::invalid("events and filter are required"));
    }
    apply(&mut subscription, wanted)?;
    let same_scope = |sub: &&Subscription| {
        sub.filter_type == subscription.filter_type && sub.filter_id == subscription.filter_id
    };
    if inner.subscriptions.iter().filter(same_scope).count() >= MAX_PER_SCOPE {
        return Err(ApiError::product_limit());
    }
    let answer = subscription.json(now, true);
    inner.subscriptions.push(subscription);
    Ok(Json(json!({"webhook_subscription": answer})))
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let now = shared.clock.now();
    Ok(Json(json!({"webhook_subscription": find(&mut shared.lock(), &id)?.json(now, false)})))
}

/// Everything but the delivery method, which cannot be changed and is not looked at.
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    let subscription = find(&mut inner, &id)?;
    let mut changed = subscription.clone();
    apply(&mut changed, &body["webhook_subscription"])?;
    *subscription = changed;
    Ok(Json(json!({"webhook_subscription": subscription.json(now, false)})))
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut inner = shared.lock();
    find(&mut inner, &id)?;
    inner.subscriptions.retain(|sub| sub.id != id);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn enable(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    let subscription = find(&mut inner, &id)?;
    subscription.enable();
    Ok(Json(json!({"webhook_subscription": subscription.json(now, false)})))
}

pub(super) async fn ping(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    find(&mut shared.lock(), &id)?;
    subscriptions::enqueue(&shared, &id, &Event::ping(shared.clock.now()));
    Ok(StatusCode::ACCEPTED)
}

fn find<'a>(inner: &'a mut Inner, id: &str) -> Result<&'a mut Subscription, ApiError> {
    inner.subscriptions.iter_mut().find(|sub| sub.id == id).ok_or(ApiError::NOT_FOUND)
}

/// Takes over `description`, `active`, `events` and `filter`, as far as they are given.
fn apply(subscription: &mut Subscription, wanted: &Value) -> Result<(), ApiError> {
    if let Some(text) = wanted["description"].as_str() {
        subscription.description = Some(text.into());
    }
    if let Some(active) = wanted["active"].as_bool() {
        subscription.active = active;
    }
    if let Some(events) = wanted["events"].as_array() {
        let names = events.iter().filter_map(Value::as_str).collect::<Vec<_>>();
        if names.is_empty() || names.len() != events.len() {
            return Err(ApiError::invalid("events must be a list of at least one name"));
        }
        if let Some(unknown) = names.iter().find(|name| !EVENTS.contains(name)) {
            return Err(ApiError::invalid(format!("{unknown} is not a valid event")));
        }
        subscription.events = names.into_iter().map(Into::into).collect();
    }
    if let Some(filter) = wanted["filter"].as_object() {
        let id = filter.get("id").and_then(Value::as_str);
        match filter.get("type").and_then(Value::as_str) {
            Some("account_reference") => {}
            Some("service_reference" | "team_reference") if id.is_some() => {}
            _ => return Err(ApiError::invalid("filter is not valid")),
        }
        subscription.filter_type = filter["type"].as_str().unwrap_or_default().into();
        subscription.filter_id = id.map(Into::into);
    }
    Ok(())
}

/// 64 characters of base64, as real secrets look.
fn new_secret() -> String {
    let bytes = (0..3).flat_map(|_| *uuid::Uuid::now_v7().as_bytes()).collect::<Vec<u8>>();
    BASE64_STANDARD.encode(bytes)
}
