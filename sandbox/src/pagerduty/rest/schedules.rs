//! Schedules of both generations.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Query;
use crate::pagerduty::account::Account;
use crate::pagerduty::json::reference::schedule_reference;
use crate::pagerduty::json::schedule::{listed_schedule_json, schedule_json, v3_schedule_json};
use crate::pagerduty::json::user::user_json;
use crate::pagerduty::json::view::View;
use crate::pagerduty::render::final_entries;
use crate::pagerduty::schedule::{Generation, Schedule};
use crate::pagerduty::settings::Settings;
use crate::pagerduty::state::Shared;
use crate::pagerduty::time::Zone;

type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn list(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let state = shared.lock();
    let account = &state.account;
    let found = matching(account, &query, Generation::Layers);
    let items = found.map(|schedule| listed_schedule_json(account, schedule)).collect();
    Ok(query.page(25, 100)?.answer("schedules", items))
}

pub(super) async fn list_v3(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let state = shared.lock();
    let found = matching(&state.account, &query, Generation::Shifts);
    let items = found.map(schedule_reference).collect();
    Ok(query.page(100, 1000)?.answer_without_total("schedules", items))
}

fn matching<'a>(
    account: &'a Account,
    query: &Query,
    generation: Generation,
) -> impl Iterator<Item = &'a Schedule> {
    let text = query.one("query").unwrap_or_default().to_lowercase();
    let of_kind = account.schedules.iter().filter(move |schedule| schedule.generation == generation);
    of_kind.filter(move |schedule| schedule.name.to_lowercase().contains(&text))
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(id): Path<String>, query: Query) -> Answer {
    let state = shared.lock();
    let schedule = find(&state.account, &state.settings, &id, Generation::Layers)?;
    let zone = zone_of(&query, schedule)?;
    let view = View { range: query.two_weeks(zone)?, overflow: query.flag("overflow")?, zone };
    Ok(Json(json!({"schedule": schedule_json(&state.account, schedule, view)})))
}

pub(super) async fn get_v3(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    query: Query,
) -> Answer {
    let state = shared.lock();
    let schedule = find(&state.account, &state.settings, &id, Generation::Shifts)?;
    let zone = zone_of(&query, schedule)?;
    let view = if query.includes("final_schedule")? {
        Some(View { range: Some(query.both_ends(zone)?), overflow: query.flag("overflow")?, zone })
    } else {
        None
    };
    Ok(Json(json!({"schedule": v3_schedule_json(&state.account, schedule, view)})))
}

/// Who is on call in the range; without one, every member.
pub(super) async fn users(State(shared): State<Arc<Shared>>, Path(id): Path<String>, query: Query) -> Answer {
    let state = shared.lock();
    let schedule = find(&state.account, &state.settings, &id, Generation::Layers)?;
    let mut ids = schedule.members();
    if let Some(range) = query.two_weeks(zone_of(&query, schedule)?)? {
        ids.clear();
        for entry in final_entries(schedule).iter().filter(|entry| range.overlaps(entry)) {
            if let Some(user) = entry.user.as_ref().filter(|user| !ids.contains(user)) {
                ids.push(user.clone());
            }
        }
    }
    let users = ids.iter().map(|id| user_json(&state.account, id)).collect::<Vec<_>>();
    Ok(Json(json!({"users": users})))
}

/// The schedule of this ID, if these endpoints serve its generation.
pub(super) fn find<'a>(
    account: &'a Account,
    settings: &Settings,
    id: &str,
    wanted: Generation,
) -> Result<&'a Schedule, ApiError> {
    let schedule = account.schedule(id).ok_or(ApiError::NOT_FOUND)?;
    match (schedule.generation, wanted) {
        (Generation::Layers, Generation::Layers) | (Generation::Shifts, Generation::Shifts) => Ok(schedule),
        _ if settings.wrong_generation_is_404 => Err(ApiError::NOT_FOUND),
        (Generation::Shifts, Generation::Layers) => Err(ApiError::SHIFT_BASED),
        (Generation::Layers, Generation::Shifts) => Err(ApiError::LAYER_BASED),
    }
}

/// The zone that the request names, or else the one of the schedule.
pub(super) fn zone_of(query: &Query, schedule: &Schedule) -> Result<Zone, ApiError> {
    Ok(query.zone()?.unwrap_or_else(|| schedule.zone()))
}
