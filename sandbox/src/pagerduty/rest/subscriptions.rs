//! `/webhook_subscriptions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Query;
use crate::pagerduty::deliver;
use crate::pagerduty::json::subscription::{Secret, subscription_json};
use crate::pagerduty::state::Shared;
use crate::pagerduty::webhook::endpoint::Endpoint;
use crate::pagerduty::webhook::event::{EVENT_TYPES, Event};
use crate::pagerduty::webhook::subscription::{MAX_PER_SCOPE, Scope, Subscription};

type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn list(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let now = shared.clock.now();
    let state = shared.lock();
    let (kind, id) = (query.one("filter_type"), query.one("filter_id"));
    let found = state.subscriptions.iter().filter(|subscription| {
        let scope = &subscription.scope;
        kind.is_none_or(|kind| scope.kind() == kind) && id.is_none_or(|id| scope.id() == Some(id))
    });
    let items = found.map(|subscription| subscription_json(subscription, Secret::Hidden, now)).collect();
    Ok(query.page(25, 100)?.answer("webhook_subscriptions", items))
}

pub(super) async fn create(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Answer {
    let now = shared.clock.now();
    let wanted = &body["webhook_subscription"];
    if wanted["type"] != "webhook_subscription" {
        return Err(ApiError::invalid("type must be webhook_subscription"));
    }
    let mut endpoint = read_endpoint(&wanted["delivery_method"])?;

    let mut state = shared.lock();
    endpoint.subscription = state.next_id("PWSUB");
    let mut subscription = Subscription::new(endpoint.subscription.clone(), endpoint);
    if wanted["events"].is_null() || wanted["filter"].is_null() {
        return Err(ApiError::invalid("events and filter are required"));
    }
    apply(&mut subscription, wanted)?;
    let same_scope = state.subscriptions.iter().filter(|other| other.scope == subscription.scope);
    if same_scope.count() >= MAX_PER_SCOPE {
        return Err(ApiError::product_limit());
    }
    let created = answer(&subscription, Secret::Shown, now);
    state.subscriptions.push(subscription);
    Ok(created)
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let now = shared.clock.now();
    let mut state = shared.lock();
    let subscription = state.subscription_mut(&id).ok_or(ApiError::NOT_FOUND)?;
    Ok(answer(subscription, Secret::Hidden, now))
}

/// Changes everything but the delivery method, which cannot be changed and is ignored.
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    let now = shared.clock.now();
    let mut state = shared.lock();
    let subscription = state.subscription_mut(&id).ok_or(ApiError::NOT_FOUND)?;
    let mut changed = subscription.clone();
    apply(&mut changed, &body["webhook_subscription"])?;
    *subscription = changed;
    Ok(answer(subscription, Secret::Hidden, now))
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = shared.lock();
    state.subscription_mut(&id).ok_or(ApiError::NOT_FOUND)?;
    state.subscriptions.retain(|subscription| subscription.id != id);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn enable(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let now = shared.clock.now();
    let mut state = shared.lock();
    let subscription = state.subscription_mut(&id).ok_or(ApiError::NOT_FOUND)?;
    subscription.enable();
    Ok(answer(subscription, Secret::Hidden, now))
}

pub(super) async fn ping(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    shared.lock().subscription_mut(&id).ok_or(ApiError::NOT_FOUND)?;
    deliver::enqueue(&shared, &id, &Event::ping(shared.clock.now()));
    Ok(StatusCode::ACCEPTED)
}

fn answer(subscription: &Subscription, secret: Secret, now: DateTime<Utc>) -> Json<Value> {
    Json(json!({"webhook_subscription": subscription_json(subscription, secret, now)}))
}

/// The receiver that a delivery method describes, with a new secret.
fn read_endpoint(method: &Value) -> Result<Endpoint, ApiError> {
    if method["type"] != "http_delivery_method" {
        return Err(ApiError::invalid("delivery_method.type must be http_delivery_method"));
    }
    let url = method["url"].as_str().filter(|url| url.starts_with("http://") || url.starts_with("https://"));
    let url = url.ok_or_else(|| ApiError::invalid("delivery_method.url must be a URL"))?;
    let mut endpoint = Endpoint::new(url, new_secret());
    let headers = method["custom_headers"].as_array().into_iter().flatten();
    endpoint.custom_headers = headers
        .filter_map(|header| Some((header["name"].as_str()?.into(), header["value"].as_str()?.into())))
        .collect();
    Ok(endpoint)
}

/// Applies `description`, `active`, `events` and `filter`, as far as they are given.
fn apply(subscription: &mut Subscription, wanted: &Value) -> Result<(), ApiError> {
    if let Some(text) = wanted["description"].as_str() {
        subscription.description = Some(text.into());
    }
    if let Some(active) = wanted["active"].as_bool() {
        subscription.active = active;
    }
    if let Some(events) = wanted["events"].as_array() {
        subscription.events = read_events(events)?;
    }
    if wanted["filter"].is_object() {
        subscription.scope = read_scope(&wanted["filter"])?;
    }
    Ok(())
}

fn read_events(events: &[Value]) -> Result<Vec<String>, ApiError> {
    let names = events.iter().filter_map(Value::as_str).collect::<Vec<_>>();
    if names.is_empty() || names.len() != events.len() {
        return Err(ApiError::invalid("events must be a list of at least one name"));
    }
    if let Some(unknown) = names.iter().find(|name| !EVENT_TYPES.contains(name)) {
        return Err(ApiError::invalid(format!("{unknown} is not a valid event")));
    }
    Ok(names.into_iter().map(Into::into).collect())
}

fn read_scope(filter: &Value) -> Result<Scope, ApiError> {
    match (filter["type"].as_str(), filter["id"].as_str()) {
        (Some("account_reference"), _) => Ok(Scope::Account),
        (Some("service_reference"), Some(id)) => Ok(Scope::Service(id.into())),
        (Some("team_reference"), Some(id)) => Ok(Scope::Team(id.into())),
        _ => Err(ApiError::invalid("filter is not valid")),
    }
}

/// 64 characters of base64, as real secrets look.
fn new_secret() -> String {
    let bytes = (0..3).flat_map(|_| *uuid::Uuid::now_v7().as_bytes()).collect::<Vec<u8>>();
    BASE64_STANDARD.encode(bytes)
}
