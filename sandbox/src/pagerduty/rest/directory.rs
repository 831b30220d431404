//! Users, escalation policies and services.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::error::ApiError;
use super::json as shapes;
use super::query::Query;
use crate::pagerduty::state::Shared;

type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn users(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let inner = shared.lock();
    // The parameter looks at names, not at addresses.
    let text = query.one("query").unwrap_or_default().to_lowercase();
    let here = inner.world.users.iter().filter(|user| user.deleted_at.is_none());
    let found = here.filter(|user| user.name.to_lowercase().contains(&text));
    Ok(query.page(25, 100)?.answer("users", found.map(shapes::full_user).collect()))
}

pub(super) async fn user(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let inner = shared.lock();
    let user = inner.world.user(&id).filter(|user| user.deleted_at.is_none());
    Ok(Json(json!({"user": shapes::full_user(user.ok_or(ApiError::NOT_FOUND)?)})))
}

pub(super) async fn policies(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let inner = shared.lock();
    let text = query.one("query").unwrap_or_default().to_lowercase();
    let found = inner.world.policies.iter().filter(|policy| policy.name.to_lowercase().contains(&text));
    let items = found.map(|policy| shapes::policy(&inner.world, policy)).collect();
    Ok(query.page(25, 100)?.answer("escalation_policies", items))
}

pub(super) async fn policy(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let inner = shared.lock();
    let policy = inner.world.policy(&id).ok_or(ApiError::NOT_FOUND)?;
    Ok(Json(json!({"escalation_policy": shapes::policy(&inner.world, policy)})))
}

pub(super) async fn service(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let inner = shared.lock();
    let service = inner.world.services.iter().find(|service| service.id == id);
    Ok(Json(json!({"service": shapes::service(&inner.world, service.ok_or(ApiError::NOT_FOUND)?)})))
}
