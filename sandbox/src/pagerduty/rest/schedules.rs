//! Schedules of both generations, and the overrides of layer-based ones.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::error::ApiError;
use super::json::{self as shapes, View};
use super::query::Query;
use crate::pagerduty::account::{Generation, Override, Schedule, World};
use crate::pagerduty::render::final_entries;
use crate::pagerduty::settings::Settings;
use crate::pagerduty::state::Shared;
use crate::pagerduty::time::Zone;

type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn list(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let inner = shared.lock();
    let world = &inner.world;
    let found = matching(world, &query, Generation::Layers);
    let items = found.map(|schedule| shapes::listed_schedule(world, schedule)).collect();
    Ok(query.page(25, 100)?.answer("schedules", items))
}

pub(super) async fn list_v3(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let inner = shared.lock();
    let found = matching(&inner.world, &query, Generation::Shifts);
    let items = found.map(shapes::schedule_reference).collect();
    Ok(query.page(100, 1000)?.answer_without_total("schedules", items))
}

fn matching<'a>(
    world: &'a World,
    query: &Query,
    generation: Generation,
) -> impl Iterator<Item = &'a Schedule> {
    let text = query.one("query").unwrap_or_default().to_lowercase();
    let of_kind = world.schedules.iter().filter(move |schedule| schedule.generation == generation);
    of_kind.filter(move |schedule| schedule.name.to_lowercase().contains(&text))
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(id): Path<String>, query: Query) -> Answer {
    let inner = shared.lock();
    let schedule = find(&inner.world, &inner.settings, &id, Generation::Layers)?;
    let zone = zone_of(&query, schedule)?;
    let view = View { range: query.two_weeks(zone)?, overflow: query.flag("overflow")?, zone };
    Ok(Json(json!({"schedule": shapes::schedule(&inner.world, schedule, view)})))
}

pub(super) async fn get_v3(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    query: Query,
) -> Answer {
    let inner = shared.lock();
    let schedule = find(&inner.world, &inner.settings, &id, Generation::Shifts)?;
    let zone = zone_of(&query, schedule)?;
    let view = if query.includes("final_schedule")? {
        Some(View { range: Some(query.both_ends(zone)?), overflow: query.flag("overflow")?, zone })
    } else {
        None
    };
    Ok(Json(json!({"schedule": shapes::v3_schedule(&inner.world, schedule, view)})))
}

/// Who is on call in the range; without one, every member.
pub(super) async fn users(State(shared): State<Arc<Shared>>, Path(id): Path<String>, query: Query) -> Answer {
    let inner = shared.lock();
    let schedule = find(&inner.world, &inner.settings, &id, Generation::Layers)?;
    let mut ids = shapes::members(schedule);
    if let Some(range) = query.two_weeks(zone_of(&query, schedule)?)? {
        ids.clear();
        for entry in final_entries(schedule).iter().filter(|entry| range.overlaps(entry)) {
            if let Some(user) = entry.user.as_ref().filter(|user| !ids.contains(user)) {
                ids.push(user.clone());
            }
        }
    }
    let users = ids.iter().map(|id| shapes::user(&inner.world, id)).collect::<Vec<_>>();
    Ok(Json(json!({"users": users})))
}

pub(super) async fn overrides(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    query: Query,
) -> Answer {
    let inner = shared.lock();
    let schedule = find(&inner.world, &inner.settings, &id, Generation::Layers)?;
    let zone = zone_of(&query, schedule)?;
    let range = query.both_ends(zone)?;
    let seen = schedule.overrides.iter().filter(|over| over.start < range.until && over.end > range.since);
    let items = seen.map(|over| override_json(&inner.world, over, zone)).collect::<Vec<_>>();
    Ok(Json(json!({"overrides": items})))
}

/// Takes `{"overrides": [{start, end, user: {id, type}}]}`; each gets a status of its own in the answer.
pub(super) async fn create_overrides(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Response, ApiError> {
    let mut inner = shared.lock();
    let zone = zone_named(find(&inner.world, &inner.settings, &id, Generation::Layers)?);
    let Some(wanted) = body["overrides"].as_array() else {
        return Err(ApiError::invalid("overrides is required"));
    };
    let mut results = Vec::new();
    for item in wanted {
        let over_id = inner.next_id("PO");
        let result = read_override(&inner.world, over_id, item).and_then(|over| {
            let answer = override_json(&inner.world, &over, zone);
            inner.world.schedule_mut(&id).ok_or("Schedule is missing")?.overrides.push(over);
            Ok(answer)
        });
        results.push(match result {
            Ok(over) => json!({"status": 201, "override": over}),
            Err(error) => json!({"status": 400, "errors": [error], "override": item}),
        });
    }
    Ok((StatusCode::CREATED, Json(results)).into_response())
}

/// 204 when it had not begun, 200 when it runs and is cut to now.
pub(super) async fn delete_override(
    State(shared): State<Arc<Shared>>,
    Path((id, over_id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    find(&inner.world, &inner.settings, &id, Generation::Layers)?;
    let schedule = inner.world.schedule_mut(&id).ok_or(ApiError::NOT_FOUND)?;
    let index = schedule.overrides.iter().position(|over| over.id == over_id).ok_or(ApiError::NOT_FOUND)?;
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

fn read_override(world: &World, id: String, item: &Value) -> Result<Override, &'static str> {
    let time = |name: &str| -> Option<DateTime<Utc>> { Zone::UTC.parse(item[name].as_str()?) };
    let start = time("start").ok_or("Start is invalid")?;
    let end = time("end").ok_or("End is invalid")?;
    if end <= start {
        return Err("Override must end after its start");
    }
    let user = item["user"]["id"].as_str().filter(|id| world.user(id).is_some());
    Ok(Override { id, user: user.ok_or("User is invalid")?.into(), start, end })
}

fn override_json(world: &World, over: &Override, zone: Zone) -> Value {
    json!({
        "id": over.id,
        "start": zone.render(over.start),
        "end": zone.render(over.end),
        "user": shapes::user_reference(world, &over.user),
    })
}

fn find<'a>(
    world: &'a World,
    settings: &Settings,
    id: &str,
    wanted: Generation,
) -> Result<&'a Schedule, ApiError> {
    let schedule = world.schedule(id).ok_or(ApiError::NOT_FOUND)?;
    match (schedule.generation, wanted) {
        (Generation::Layers, Generation::Layers) | (Generation::Shifts, Generation::Shifts) => Ok(schedule),
        _ if settings.wrong_generation_is_404 => Err(ApiError::NOT_FOUND),
        (Generation::Shifts, Generation::Layers) => Err(ApiError::SHIFT_BASED),
        (Generation::Layers, Generation::Shifts) => Err(ApiError::LAYER_BASED),
    }
}

fn zone_of(query: &Query, schedule: &Schedule) -> Result<Zone, ApiError> {
    Ok(query.zone()?.unwrap_or_else(|| zone_named(schedule)))
}

fn zone_named(schedule: &Schedule) -> Zone {
    Zone::named(&schedule.time_zone).unwrap_or(Zone::UTC)
}
