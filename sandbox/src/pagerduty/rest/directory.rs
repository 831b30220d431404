//! Users, teams, escalation policies, services and priorities.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::error::{ApiError, needs};
use super::query::Query;
use crate::pagerduty::json::policy::{policy_json, service_json};
use crate::pagerduty::json::team::{UserForm, member_json, priority_json, team_json};
use crate::pagerduty::json::user::full_user_json;
use crate::pagerduty::settings::Ability;
use crate::pagerduty::state::Shared;

type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn users(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let state = shared.lock();
    // The parameter looks at names, not at addresses.
    let text = query.one("query").unwrap_or_default().to_lowercase();
    let here = state.account.users.iter().filter(|user| user.deleted_at.is_none());
    let found = here.filter(|user| user.name.to_lowercase().contains(&text));
    Ok(query.page(25, 100)?.answer("users", found.map(|user| full_user_json(&state.account, user)).collect()))
}

pub(super) async fn user(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let state = shared.lock();
    let user = state.account.user(&id).filter(|user| user.deleted_at.is_none());
    Ok(Json(json!({"user": full_user_json(&state.account, user.ok_or(ApiError::NOT_FOUND)?)})))
}

pub(super) async fn policies(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let state = shared.lock();
    let text = query.one("query").unwrap_or_default().to_lowercase();
    let found = state.account.policies.iter().filter(|policy| policy.name.to_lowercase().contains(&text));
    let items = found.map(|policy| policy_json(&state.account, policy)).collect();
    Ok(query.page(25, 100)?.answer("escalation_policies", items))
}

pub(super) async fn policy(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let state = shared.lock();
    let policy = state.account.policy(&id).ok_or(ApiError::NOT_FOUND)?;
    Ok(Json(json!({"escalation_policy": policy_json(&state.account, policy)})))
}

pub(super) async fn services(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let state = shared.lock();
    let text = query.one("query").unwrap_or_default().to_lowercase();
    let found = state.account.services.iter().filter(|service| service.name.to_lowercase().contains(&text));
    let items = found.map(|service| service_json(&state.account, service)).collect();
    Ok(query.page(25, 100)?.answer("services", items))
}

pub(super) async fn service(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let state = shared.lock();
    let service = state.account.service(&id).ok_or(ApiError::NOT_FOUND)?;
    Ok(Json(json!({"service": service_json(&state.account, service)})))
}

pub(super) async fn team(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let state = shared.lock();
    Ok(Json(json!({"team": team_json(state.account.team(&id).ok_or(ApiError::NOT_FOUND)?)})))
}

pub(super) async fn members(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    query: Query,
) -> Answer {
    let state = shared.lock();
    let team = state.account.team(&id).ok_or(ApiError::NOT_FOUND)?;
    let form = if query.includes("users")? { UserForm::Whole } else { UserForm::Reference };
    let items = team.members.iter().map(|member| member_json(&state.account, member, form)).collect();
    Ok(query.page(25, 100)?.answer("members", items))
}

/// The most severe first.
pub(super) async fn priorities(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let state = shared.lock();
    needs(&state.settings, Ability::Priorities)?;
    let items = state.account.priorities.iter().map(priority_json).collect();
    Ok(query.page(25, 100)?.answer("priorities", items))
}
