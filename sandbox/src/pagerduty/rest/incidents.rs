//! Incidents. Their list is paged live: an incident that is resolved between two pages moves the later ones up.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Months, Utc};
use serde_json::{Value, json};

use super::error::{ApiError, needs};
use super::query::Query;
use crate::pagerduty::incident::model::{Incident, Visibility};
use crate::pagerduty::json::incident::{IncidentView, incident_json};
use crate::pagerduty::render::Range;
use crate::pagerduty::settings::{Ability, Settings};
use crate::pagerduty::state::Shared;
use crate::pagerduty::time::Zone;

type Answer = Result<Json<Value>, ApiError>;

/// How far back the list goes unless the request says otherwise, and how far from one end the other lies.
const MONTH: Months = Months::new(1);
/// The longest range that a request may ask for.
const LONGEST: Months = Months::new(6);

pub(super) async fn list(State(shared): State<Arc<Shared>>, query: Query) -> Answer {
    let now = shared.clock.now();
    let state = shared.lock();
    let settings = &state.settings;
    let filter = Filter::read(&query, settings, now)?;
    let shown = state.rest_incidents(now).iter().filter(|one| one.visibility == Visibility::Shown);
    let mut found = shown.filter(|incident| filter.admits(incident)).collect::<Vec<_>>();
    // Which order is the default is not documented.
    found.sort_by_key(|incident| incident.number);
    sort(&mut found, &query, settings)?;
    let view = view(&query, settings)?;
    let items = found.into_iter().map(|incident| incident_json(&state.account, incident, &view)).collect();
    Ok(query.page(25, 100)?.answer("incidents", items))
}

/// Takes the ID or the number.
pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(id): Path<String>, query: Query) -> Answer {
    let now = shared.clock.now();
    let state = shared.lock();
    let mut incidents = state.rest_incidents(now).iter();
    let incident = incidents.find(|incident| incident.id == id || incident.number.to_string() == id);
    let incident = incident.ok_or(ApiError::NOT_FOUND)?;
    if incident.visibility == Visibility::Denied {
        return Err(ApiError::DENIED);
    }
    let view = view(&query, &state.settings)?;
    Ok(Json(json!({"incident": incident_json(&state.account, incident, &view)})))
}

/// Which incidents a request asks for; what it does not name is not filtered.
struct Filter<'q> {
    created: Option<Range>,
    statuses: Option<Vec<&'q str>>,
    services: Option<Vec<&'q str>>,
    urgencies: Option<Vec<&'q str>>,
    teams: Option<Vec<&'q str>>,
    users: Option<Vec<&'q str>>,
}

impl<'q> Filter<'q> {
    fn read(query: &'q Query, settings: &Settings, now: DateTime<Utc>) -> Result<Self, ApiError> {
        let filter = Self {
            created: created(query, settings, now)?,
            statuses: query.list("statuses")?,
            services: query.list("service_ids")?,
            urgencies: query.list("urgencies")?,
            teams: query.list("team_ids")?,
            users: query.list("user_ids")?,
        };
        if filter.urgencies.is_some() {
            needs(settings, Ability::Urgencies)?;
        }
        if filter.teams.is_some() {
            needs(settings, Ability::Teams)?;
        }
        Ok(filter)
    }

    fn admits(&self, incident: &Incident) -> bool {
        let assignees = incident.assignments.iter().map(|assignment| assignment.user.as_str());
        let in_range =
            |range: Range| range.since <= incident.created_at && incident.created_at <= range.until;
        self.created.is_none_or(in_range)
            && names(self.statuses.as_ref(), [incident.status.as_str()])
            && names(self.services.as_ref(), [incident.service.as_str()])
            && names(self.urgencies.as_ref(), [incident.urgency.as_str()])
            && names(self.teams.as_ref(), incident.teams.iter().map(String::as_str))
            && names(self.users.as_ref(), assignees)
    }
}

/// Whether the list names any of these; no list names all.
fn names<'a>(list: Option<&Vec<&str>>, these: impl IntoIterator<Item = &'a str>) -> bool {
    list.is_none_or(|list| these.into_iter().any(|one| list.contains(&one)))
}

/// When the incidents were created that the request asks for; nothing if it asks for all.
fn created(query: &Query, settings: &Settings, now: DateTime<Utc>) -> Result<Option<Range>, ApiError> {
    match query.one("date_range") {
        None => {}
        Some("all") => return Ok(None),
        Some(_) => return Err(ApiError::invalid("date_range must be all")),
    }
    let zone = query.zone()?.unwrap_or(Zone::fixed(settings.render_offset_minutes));
    let range = match (query.time("since", zone)?, query.time("until", zone)?) {
        (None, None) => Range { since: now - MONTH, until: now },
        (Some(since), None) => Range { since, until: since + MONTH },
        (None, Some(until)) => Range { since: until - MONTH, until },
        (Some(since), Some(until)) => Range { since, until },
    };
    if range.until < range.since {
        return Err(ApiError::invalid("until cannot be before since"));
    }
    if range.until > range.since + LONGEST {
        return Err(ApiError::invalid("the range must not be longer than 6 months"));
    }
    Ok(Some(range))
}

/// Sorts by `sort_by`: up to two of `field:direction`, separated by a comma.
fn sort(found: &mut [&Incident], query: &Query, settings: &Settings) -> Result<(), ApiError> {
    let Some(wanted) = query.one("sort_by") else { return Ok(()) };
    let fields = wanted.split(',').collect::<Vec<_>>();
    if fields.len() > 2 {
        return Err(ApiError::invalid("sort_by takes two fields at most"));
    }
    // Each sort is stable, so the field that counts most comes last.
    for field in fields.into_iter().rev() {
        let (name, direction) = field.split_once(':').unwrap_or((field, "asc"));
        let order: fn(&Incident, &Incident) -> Ordering = match name {
            "incident_number" => |a, b| a.number.cmp(&b.number),
            "created_at" => |a, b| a.created_at.cmp(&b.created_at),
            "resolved_at" => |a, b| a.resolved_at.cmp(&b.resolved_at),
            "urgency" => {
                needs(settings, Ability::Urgencies)?;
                |a, b| a.urgency.cmp(&b.urgency)
            }
            _ => return Err(ApiError::invalid(format!("cannot sort by {name}"))),
        };
        match direction {
            "asc" => found.sort_by(|a, b| order(a, b)),
            "desc" => found.sort_by(|a, b| order(b, a)),
            _ => return Err(ApiError::invalid(format!("{direction} is not a direction"))),
        }
    }
    Ok(())
}

fn view<'a>(query: &'a Query, settings: &Settings) -> Result<IncidentView<'a>, ApiError> {
    Ok(IncidentView {
        zone: query.zone()?.unwrap_or(Zone::UTC),
        included: query.list("include")?.unwrap_or_default(),
        responders: !settings.lacks.contains(&Ability::Responders),
    })
}
