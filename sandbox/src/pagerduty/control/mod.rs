//! The control API, for people with curl: on the port of the REST API, without a key.

mod delivery;
mod incidents;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::pagerduty::account::{Account, User};
use crate::pagerduty::deliver;
use crate::pagerduty::schedule::Shift;
use crate::pagerduty::settings::Settings;
use crate::pagerduty::state::Shared;
use crate::pagerduty::team::Team;
use crate::pagerduty::webhook::endpoint::Endpoint;
use crate::pagerduty::webhook::event::Event;

type Handle = State<Arc<Shared>>;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/_sandbox/world", get(account).put(replace_account))
        .route("/_sandbox/users", post(put_user))
        .route("/_sandbox/users/{id}", delete(delete_user))
        .route("/_sandbox/schedules/{id}/shifts", put(put_shifts))
        .route("/_sandbox/teams", post(put_team))
        .route("/_sandbox/swap", post(swap))
        .route("/_sandbox/endpoint", put(put_endpoint))
        .route("/_sandbox/webhook", post(deliver_event))
        .route("/_sandbox/emit", post(emit))
        .route("/_sandbox/deliveries", get(deliveries))
        .route("/_sandbox/settings", get(settings).put(put_settings))
        .route("/_sandbox/requests", get(requests).delete(forget_requests))
        .with_state(Arc::clone(shared))
        .merge(incidents::routes(shared))
        .merge(crate::control::routes(shared.faults.clone(), shared.clock.clone()))
}

async fn account(State(shared): Handle) -> Json<Account> {
    Json(shared.lock().account.clone())
}

async fn replace_account(State(shared): Handle, Json(account): Json<Account>) -> StatusCode {
    shared.lock().account = account;
    StatusCode::NO_CONTENT
}

/// Adds a user, or replaces the one of the same ID.
async fn put_user(State(shared): Handle, Json(user): Json<User>) -> StatusCode {
    shared.lock().account.put_user(user);
    StatusCode::NO_CONTENT
}

async fn delete_user(State(shared): Handle, Path(id): Path<String>) -> StatusCode {
    let now = shared.clock.now();
    match shared.lock().account.user_mut(&id) {
        Some(user) => {
            user.deleted_at = Some(now);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

/// Adds a team with its members, or replaces the one of the same ID.
async fn put_team(State(shared): Handle, Json(team): Json<Team>) -> StatusCode {
    shared.lock().account.put_team(team);
    StatusCode::NO_CONTENT
}

async fn put_shifts(
    State(shared): Handle,
    Path(id): Path<String>,
    Json(shifts): Json<Vec<Shift>>,
) -> StatusCode {
    match shared.lock().account.schedule_mut(&id) {
        Some(schedule) => {
            schedule.shifts = shifts;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Swap {
    schedule: String,
    user: String,
    /// Delivers an incident as well, which makes the receiver look at the schedule.
    #[serde(default)]
    deliver: bool,
}

/// Gives the rest of the running shift to another user.
async fn swap(State(shared): Handle, Json(swap): Json<Swap>) -> Result<Json<Value>, (StatusCode, String)> {
    let now = shared.clock.now();
    let shift = shared
        .lock()
        .swap_shift(&swap.schedule, &swap.user, now)
        .ok_or_else(|| (StatusCode::NOT_FOUND, "no such schedule, or nobody is on call in it\n".into()))?;
    let mut answer = json!({"shift": shift});
    if swap.deliver {
        let event = incident_about(&shared.lock().account, &swap.schedule, now);
        answer["webhook"] = delivery::report(&shared, &event).await;
    }
    Ok(Json(answer))
}

/// An incident that pages through this schedule, as far as any policy names it.
fn incident_about(account: &Account, schedule: &str, now: DateTime<Utc>) -> Event {
    let policy = account.policies.iter().find(|policy| policy.uses(schedule));
    let policy = policy.map_or("", |policy| &policy.id);
    let service = account.services.iter().find(|service| service.policy == policy);
    Event::incident("incident.triggered", now, policy, service.map_or("", |service| &service.id))
}

async fn put_endpoint(State(shared): Handle, Json(endpoint): Json<Endpoint>) -> StatusCode {
    shared.lock().endpoint = Some(endpoint);
    StatusCode::NO_CONTENT
}

/// The part of an event that a person chooses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEvent {
    event_type: String,
    #[serde(default)]
    data: Value,
}

impl NewEvent {
    fn event(self, shared: &Shared) -> Event {
        Event::new(&self.event_type, shared.clock.now(), self.data)
    }
}

/// Delivers to the endpoint, once, and shows the answer.
async fn deliver_event(
    State(shared): Handle,
    Json(new): Json<NewEvent>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let event = new.event(&shared);
    match delivery::once(&shared, &event).await {
        Ok(answer) => Ok(Json(answer)),
        Err(error) => Err((StatusCode::BAD_GATEWAY, format!("{error:#}\n"))),
    }
}

/// Queues for the subscriptions that ask for it.
async fn emit(State(shared): Handle, Json(new): Json<NewEvent>) -> Json<Value> {
    let event = new.event(&shared);
    Json(json!({"event_id": event.id, "subscriptions": deliver::emit(&shared, &event)}))
}

async fn deliveries(State(shared): Handle) -> Json<Value> {
    Json(json!(shared.lock().deliveries))
}

async fn settings(State(shared): Handle) -> Json<Settings> {
    Json(shared.lock().settings.clone())
}

/// Replaces all settings but the keys and the secret of the OAuth app. A setting that is left out gets its default.
async fn put_settings(State(shared): Handle, Json(mut settings): Json<Settings>) -> StatusCode {
    let mut state = shared.lock();
    settings.tokens = std::mem::take(&mut state.settings.tokens);
    settings.oauth.client_secret = std::mem::take(&mut state.settings.oauth.client_secret);
    state.settings = settings;
    StatusCode::NO_CONTENT
}

async fn requests(State(shared): Handle) -> Json<Value> {
    Json(json!({"requests": shared.log.all(), "max_in_flight": shared.log.max_in_flight()}))
}

async fn forget_requests(State(shared): Handle) -> StatusCode {
    shared.log.clear();
    StatusCode::NO_CONTENT
}
