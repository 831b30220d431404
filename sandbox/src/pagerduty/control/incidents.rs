//! The part of the control API about incidents.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::delivery;
use crate::pagerduty::incident::change::{Change, Occurrence};
use crate::pagerduty::incident::model::{Incident, Visibility};
use crate::pagerduty::incident::opening::NewIncident;
use crate::pagerduty::state::Shared;
use crate::pagerduty::webhook::event::Event;

type Handle = State<Arc<Shared>>;
type Answer = Result<Json<Value>, (StatusCode, String)>;

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/_sandbox/incidents", get(list).post(open))
        .route("/_sandbox/incidents/{id}", post(change).delete(remove))
        .route("/_sandbox/incidents/{id}/visibility", put(put_visibility))
        .route("/_sandbox/lag", put(lag).delete(catch_up))
        .with_state(Arc::clone(shared))
}

/// All of them as they are, whatever REST shows.
async fn list(State(shared): Handle) -> Json<Vec<Incident>> {
    Json(shared.lock().account.incidents.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    incident: NewIncident,
    /// Delivers the event as well.
    #[serde(default)]
    deliver: bool,
}

async fn open(State(shared): Handle, Json(wanted): Json<Open>) -> Answer {
    let now = shared.clock.now();
    let opened = wanted.incident.open(&mut shared.lock().account, now);
    let (id, event) = opened.map_err(|error| unknown(&error))?;
    answer(&shared, &id, &event, wanted.deliver).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Happens {
    /// Such as `"escalate"` or `{"acknowledge": "PA1NAL7"}`.
    change: Change,
    /// The user who does it.
    by: Option<String>,
    /// When; now, unless it says otherwise.
    at: Option<DateTime<Utc>>,
    /// Delivers the event as well.
    #[serde(default)]
    deliver: bool,
}

async fn change(State(shared): Handle, Path(id): Path<String>, Json(wanted): Json<Happens>) -> Answer {
    let at = wanted.at.unwrap_or_else(|| shared.clock.now());
    let occurrence = Occurrence { incident: &id, change: wanted.change, by: wanted.by.as_deref(), at };
    let event = occurrence.apply(&mut shared.lock().account).map_err(|error| unknown(&error))?;
    answer(&shared, &id, &event, wanted.deliver).await
}

/// The incident as it is now, and what became of the webhook.
async fn answer(shared: &Shared, id: &str, event: &Event, deliver: bool) -> Answer {
    let mut answer = json!({"incident": shared.lock().account.incident(id), "event_type": event.event_type});
    if deliver {
        answer["webhook"] = delivery::report(shared, event).await;
    }
    Ok(Json(answer))
}

fn unknown(error: &anyhow::Error) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("{error:#}\n"))
}

async fn remove(State(shared): Handle, Path(id): Path<String>) -> StatusCode {
    let incidents = &mut shared.lock().account.incidents;
    let before = incidents.len();
    incidents.retain(|incident| incident.id != id);
    if incidents.len() < before { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn put_visibility(
    State(shared): Handle,
    Path(id): Path<String>,
    Json(visibility): Json<Visibility>,
) -> StatusCode {
    match shared.lock().account.incident_mut(&id) {
        Some(incident) => {
            incident.visibility = visibility;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lag {
    /// For how long; without a number, until it is told to catch up.
    secs: Option<i64>,
}

/// Makes REST show the incidents as they are now, whatever happens to them.
async fn lag(State(shared): Handle, Json(wanted): Json<Lag>) -> StatusCode {
    let until = wanted.secs.map(|secs| shared.clock.now() + TimeDelta::seconds(secs));
    shared.lock().lag_until(until);
    StatusCode::NO_CONTENT
}

async fn catch_up(State(shared): Handle) -> StatusCode {
    shared.lock().catch_up();
    StatusCode::NO_CONTENT
}
