//! The control API of the stand-in, for people with curl; on the port of the REST API and without a key.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::PagerDuty;
use super::account::{Shift, User, World};
use super::settings::Settings;
use super::state::Shared;
use super::webhook::subscription as subscriptions;
use super::webhook::{Endpoint, Event};

type Handle = State<Arc<Shared>>;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/_sandbox/world", get(world).put(replace_world))
        .route("/_sandbox/users", post(put_user))
        .route("/_sandbox/users/{id}", axum::routing::delete(delete_user))
        .route("/_sandbox/schedules/{id}/shifts", put(put_shifts))
        .route("/_sandbox/swap", post(swap))
        .route("/_sandbox/endpoint", put(put_endpoint))
        .route("/_sandbox/webhook", post(webhook))
        .route("/_sandbox/emit", post(emit))
        .route("/_sandbox/deliveries", get(deliveries))
        .route("/_sandbox/settings", get(settings).put(put_settings))
        .route("/_sandbox/requests", get(requests).delete(forget_requests))
        .with_state(Arc::clone(shared))
        .merge(crate::control::routes(shared.faults.clone(), shared.clock.clone()))
}

async fn world(State(shared): Handle) -> Json<World> {
    Json(shared.lock().world.clone())
}

async fn replace_world(State(shared): Handle, Json(world): Json<World>) -> StatusCode {
    shared.lock().world = world;
    StatusCode::NO_CONTENT
}

/// Adds a user, or replaces the one of the same ID.
async fn put_user(State(shared): Handle, Json(user): Json<User>) -> StatusCode {
    let world = &mut shared.lock().world;
    world.users.retain(|known| known.id != user.id);
    world.users.push(user);
    StatusCode::NO_CONTENT
}

async fn delete_user(State(shared): Handle, Path(id): Path<String>) -> StatusCode {
    let now = shared.clock.now();
    match shared.lock().world.users.iter_mut().find(|user| user.id == id) {
        Some(user) => {
            user.deleted_at = Some(now);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

async fn put_shifts(
    State(shared): Handle,
    Path(id): Path<String>,
    Json(shifts): Json<Vec<Shift>>,
) -> StatusCode {
    match shared.lock().world.schedule_mut(&id) {
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
    /// Tells the endpoint of it as well.
    #[serde(default)]
    deliver: bool,
}

/// Gives the rest of the running shift to another person.
async fn swap(State(shared): Handle, Json(swap): Json<Swap>) -> Result<Json<Value>, (StatusCode, String)> {
    let now = shared.clock.now();
    let shift = PagerDuty::swap_in(&shared, &swap.schedule, &swap.user, now)
        .ok_or_else(|| (StatusCode::NOT_FOUND, "no such schedule, or nobody is on call in it\n".into()))?;
    let mut answer = json!({"shift": shift});
    if swap.deliver {
        let policy =
            shared.lock().world.policies.iter().find(|p| p.uses(&swap.schedule)).map(|p| p.id.clone());
        let event = Event::incident("incident.triggered", now, &policy.unwrap_or_default(), "PSPAY01");
        // The shift is swapped all the same when nobody listens.
        let told = deliver(&shared, &event).await;
        answer["webhook"] = told.unwrap_or_else(|(_, error)| json!({"error": error.trim_end()}));
    }
    Ok(Json(answer))
}

async fn put_endpoint(State(shared): Handle, Json(endpoint): Json<Endpoint>) -> StatusCode {
    shared.lock().endpoint = Some(endpoint);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    event_type: String,
    #[serde(default)]
    data: Value,
}

impl Wanted {
    fn event(self, shared: &Shared) -> Event {
        Event::new(&self.event_type, shared.clock.now(), self.data)
    }
}

/// Delivers to the endpoint, once, and shows the answer.
async fn webhook(
    State(shared): Handle,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let event = wanted.event(&shared);
    deliver(&shared, &event).await.map(Json)
}

async fn deliver(shared: &Shared, event: &Event) -> Result<Value, (StatusCode, String)> {
    match PagerDuty::deliver_in(shared, event).await {
        Ok(answer) => Ok(json!({"event_id": event.id, "status": answer.status, "body": answer.body})),
        Err(error) => Err((StatusCode::BAD_GATEWAY, format!("{error:#}\n"))),
    }
}

/// Queues for the subscriptions that want it.
async fn emit(State(shared): Handle, Json(wanted): Json<Wanted>) -> Json<Value> {
    let event = wanted.event(&shared);
    Json(json!({"event_id": event.id, "subscriptions": subscriptions::emit(&shared, &event)}))
}

async fn deliveries(State(shared): Handle) -> Json<Value> {
    Json(json!(shared.lock().deliveries))
}

async fn settings(State(shared): Handle) -> Json<Settings> {
    Json(shared.lock().settings.clone())
}

/// Replaces all settings but the keys; what is left out falls back to its default.
async fn put_settings(State(shared): Handle, Json(mut settings): Json<Settings>) -> StatusCode {
    let mut inner = shared.lock();
    settings.tokens = std::mem::take(&mut inner.settings.tokens);
    inner.settings = settings;
    StatusCode::NO_CONTENT
}

async fn requests(State(shared): Handle) -> Json<Value> {
    Json(json!({"requests": shared.log.all(), "max_in_flight": shared.log.max_in_flight()}))
}

async fn forget_requests(State(shared): Handle) -> StatusCode {
    shared.log.clear();
    StatusCode::NO_CONTENT
}
