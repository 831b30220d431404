//! The overrides of layer-based schedules.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Query;
use super::schedules::{find, zone_of};
use crate::pagerduty::account::Account;
use crate::pagerduty::json::reference::user_reference;
use crate::pagerduty::schedule::{Generation, Override};
use crate::pagerduty::state::Shared;
use crate::pagerduty::time::Zone;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let state = shared.lock();
    let schedule = find(&state.account, &state.settings, &id, Generation::Layers)?;
    let zone = zone_of(&query, schedule)?;
    let range = query.both_ends(zone)?;
    let seen = schedule.overrides.iter().filter(|over| over.start < range.until && over.end > range.since);
    let items = seen.map(|over| override_json(&state.account, over, zone)).collect::<Vec<_>>();
    Ok(Json(json!({"overrides": items})))
}

/// Takes `{"overrides": [{start, end, user: {id, type}}]}` and answers a status for each.
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Response, ApiError> {
    let mut state = shared.lock();
    let zone = find(&state.account, &state.settings, &id, Generation::Layers)?.zone();
    let Some(wanted) = body["overrides"].as_array() else {
        return Err(ApiError::invalid("overrides is required"));
    };
    let mut results = Vec::new();
    for item in wanted {
        let override_id = state.next_id("PO");
        let result = read_override(&state.account, override_id, item).and_then(|over| {
            let answer = override_json(&state.account, &over, zone);
            state.account.schedule_mut(&id).ok_or("Schedule is missing")?.overrides.push(over);
            Ok(answer)
        });
        results.push(match result {
            Ok(over) => json!({"status": 201, "override": over}),
            Err(error) => json!({"status": 400, "errors": [error], "override": item}),
        });
    }
    Ok((StatusCode::CREATED, Json(results)).into_response())
}

/// Answers 204 if the override had not begun, 200 if it runs and is cut to now.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path((id, override_id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let now = shared.clock.now();
    let mut state = shared.lock();
    find(&state.account, &state.settings, &id, Generation::Layers)?;
    let schedule = state.account.schedule_mut(&id).ok_or(ApiError::NOT_FOUND)?;
    let index =
        schedule.overrides.iter().position(|over| over.id == override_id).ok_or(ApiError::NOT_FOUND)?;
    let over = &mut schedule.overrides[index];
    if over.end <= now {
        return Err(ApiError::invalid("Override has ended already"));
    }
    if over.start < now {
        over.end = now;
        return Ok(StatusCode::OK);
    }
    schedule.overrides.remove(index);
    Ok(StatusCode::NO_CONTENT)
}

fn read_override(account: &Account, id: String, item: &Value) -> Result<Override, &'static str> {
    let time = |name: &str| -> Option<DateTime<Utc>> { Zone::UTC.parse(item[name].as_str()?) };
    let start = time("start").ok_or("Start is invalid")?;
    let end = time("end").ok_or("End is invalid")?;
    if end <= start {
        return Err("Override must end after its start");
    }
    let user = item["user"]["id"].as_str().filter(|id| account.user(id).is_some());
    Ok(Override { id, user: user.ok_or("User is invalid")?.into(), start, end })
}

fn override_json(account: &Account, over: &Override, zone: Zone) -> Value {
    json!({
        "id": over.id,
        "start": zone.render(over.start),
        "end": zone.render(over.end),
        "user": user_reference(account, &over.user),
    })
}
