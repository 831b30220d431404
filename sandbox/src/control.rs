//! The part of the control API that both stand-ins share: faults and the clock.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::faults::{Fault, Faults};

/// What both stand-ins have.
#[derive(Clone)]
struct Common {
    faults: Faults,
    clock: Clock,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    /// How far the clock is ahead of real time (behind, when negative).
    offset_secs: Option<i64>,
    /// How far the clock moves from where it is.
    advance_secs: Option<i64>,
}

/// `faults`, `faults/{id}` and `clock` under `/_sandbox`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(faults: Faults, clock: Clock) -> Router<S> {
    Router::new()
        .route("/_sandbox/faults", get(list).post(add).delete(clear))
        .route("/_sandbox/faults/{id}", delete(remove))
        .route("/_sandbox/clock", get(now).post(move_clock))
        .with_state(Common { faults, clock })
}

async fn list(State(common): State<Common>) -> Json<Value> {
    let armed = common.faults.armed();
    Json(armed.iter().map(|(id, fault)| json!({"id": id, "fault": fault})).collect())
}

async fn add(State(common): State<Common>, Json(fault): Json<Fault>) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({"id": common.faults.add(fault)})))
}

async fn clear(State(common): State<Common>) -> StatusCode {
    common.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove(State(common): State<Common>, Path(id): Path<u64>) -> StatusCode {
    if common.faults.remove(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn now(State(common): State<Common>) -> Json<Value> {
    Json(json!({"now": common.clock.now()}))
}

async fn move_clock(State(common): State<Common>, Json(wanted): Json<Move>) -> Json<Value> {
    if let Some(secs) = wanted.offset_secs {
        common.clock.set_offset(TimeDelta::seconds(secs));
    }
    if let Some(secs) = wanted.advance_secs {
        common.clock.advance(TimeDelta::seconds(secs));
    }
    Json(json!({"now": common.clock.now()}))
}
