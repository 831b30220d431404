//! The part of the `/_sandbox` control API that both stand-ins share: faults and the clock.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::faults::{Fault, Faults};

#[derive(Clone)]
struct Shared {
    faults: Faults,
    clock: Clock,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    offset_secs: Option<i64>,
    advance_secs: Option<i64>,
}

/// `faults`, `faults/{id}` and `clock` under `/_sandbox`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(faults: Faults, clock: Clock) -> Router<S> {
    Router::new()
        .route("/_sandbox/faults", get(list).post(add).delete(clear))
        .route("/_sandbox/faults/{id}", delete(remove))
        .route("/_sandbox/clock", post(shift).get(now))
        .with_state(Shared { faults, clock })
}

async fn list(State(shared): State<Shared>) -> Json<Value> {
    let armed = shared.faults.armed();
    Json(armed.iter().map(|(id, fault)| json!({"id": id, "fault": fault})).collect())
}

async fn add(State(shared): State<Shared>, Json(fault): Json<Fault>) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({"id": shared.faults.add(fault)})))
}

async fn clear(State(shared): State<Shared>) -> StatusCode {
    shared.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove(State(shared): State<Shared>, Path(id): Path<u64>) -> StatusCode {
    if shared.faults.remove(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn now(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"now": shared.clock.now()}))
}

async fn shift(State(shared): State<Shared>, Json(shift): Json<Move>) -> Json<Value> {
    if let Some(secs) = shift.offset_secs {
        shared.clock.set_offset(TimeDelta::seconds(secs));
    }
    if let Some(secs) = shift.advance_secs {
        shared.clock.advance(TimeDelta::seconds(secs));
    }
    Json(json!({"now": shared.clock.now()}))
}
