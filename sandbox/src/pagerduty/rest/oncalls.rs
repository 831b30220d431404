//! `GET /oncalls`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::{Query, checked};
use crate::pagerduty::account::Account;
use crate::pagerduty::json::policy::policy_json;
use crate::pagerduty::json::reference::{policy_reference, schedule_reference, user_reference};
use crate::pagerduty::json::schedule::listed_schedule_json;
use crate::pagerduty::json::user::user_json;
use crate::pagerduty::on_calls::{OnCall, on_calls};
use crate::pagerduty::render::Range;
use crate::pagerduty::state::Shared;
use crate::pagerduty::time::Zone;

/// How the request wants to see each entry.
struct Shape {
    zone: Zone,
    /// The range that entries are cut at.
    cut: Option<Range>,
    /// Full users instead of references; likewise the others.
    users: bool,
    schedules: bool,
    policies: bool,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, query: Query) -> Result<Json<Value>, ApiError> {
    let now = shared.clock.now();
    let state = shared.lock();
    let settings = &state.settings;
    let zone = query.zone()?.unwrap_or(Zone::fixed(settings.render_offset_minutes));
    let range = checked(Range {
        since: query.time("since", zone)?.unwrap_or(now),
        until: query.time("until", zone)?.unwrap_or(now),
    })?;
    let shape = Shape {
        zone,
        cut: settings.cut_oncalls.then_some(range),
        users: query.includes("users")?,
        schedules: query.includes("schedules")?,
        policies: query.includes("escalation_policies")?,
    };
    let schedules = query.list("schedule_ids")?;
    let policies = query.list("escalation_policy_ids")?;
    let users = query.list("user_ids")?;
    let wanted = |on_call: &OnCall<'_>| {
        // The word null in the list of schedules stands for people who are always on call.
        let schedule = on_call.schedule.map_or("null", |schedule| schedule.id.as_str());
        schedules.as_ref().is_none_or(|ids| ids.contains(&schedule))
            && policies.as_ref().is_none_or(|ids| ids.contains(&on_call.policy.id.as_str()))
            && users.as_ref().is_none_or(|ids| ids.contains(&on_call.user.as_str()))
    };
    let mut found = on_calls(&state.account, now, range);
    found.retain(wanted);
    if query.flag("earliest")? {
        let mut seen = BTreeSet::new();
        found.sort_by_key(|on_call| on_call.start);
        found.retain(|on_call| seen.insert((&on_call.policy.id, on_call.level, on_call.user.clone())));
    }
    let page = query.page(25, 100)?;
    let entries = found.iter().map(|on_call| entry(&state.account, on_call, &shape)).collect();
    Ok(page.answer("oncalls", entries))
}

fn entry(account: &Account, on_call: &OnCall<'_>, shape: &Shape) -> Value {
    let (mut start, mut end) = (on_call.start, on_call.end);
    if let Some(range) = shape.cut
        && on_call.schedule.is_some()
    {
        start = start.map(|start| start.max(range.since));
        end = Some(end.map_or(range.until, |end| end.min(range.until)));
    }
    let schedule = on_call.schedule.map(|schedule| {
        if shape.schedules { listed_schedule_json(account, schedule) } else { schedule_reference(schedule) }
    });
    let policy =
        if shape.policies { policy_json(account, on_call.policy) } else { policy_reference(on_call.policy) };
    let user =
        if shape.users { user_json(account, &on_call.user) } else { user_reference(account, &on_call.user) };
    json!({
        "escalation_policy": policy,
        "escalation_level": on_call.level,
        "schedule": schedule,
        "user": user,
        "start": start.map(|time| shape.zone.render(time)),
        "end": end.map(|time| shape.zone.render(time)),
    })
}
