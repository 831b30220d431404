//! Schedules of both generations.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::reference::{WEB, policy_reference, resource, teams, user_reference};
use super::view::View;
use crate::pagerduty::account::Account;
use crate::pagerduty::render::{final_entries, layer_entries};
use crate::pagerduty::schedule::{Schedule, Shift};
use crate::pagerduty::time::Zone;

/// A layer-based schedule without its entries: what lists show.
pub(crate) fn listed_schedule_json(account: &Account, schedule: &Schedule) -> Value {
    resource(
        "schedule",
        "schedules",
        &schedule.id,
        &schedule.name,
        json!({
            "name": schedule.name,
            "time_zone": schedule.time_zone,
            "description": null,
            "escalation_policies": policies_of(account, schedule),
            "users": schedule.members().iter().map(|id| user_reference(account, id)).collect::<Vec<_>>(),
            "teams": teams(),
        }),
    )
}

/// A layer-based schedule with everything that the view shows.
pub(crate) fn schedule_json(account: &Account, schedule: &Schedule, view: View) -> Value {
    let mut value = listed_schedule_json(account, schedule);
    let layer = view.pick(layer_entries(schedule));
    let rendered = view.pick(final_entries(schedule));
    let overrides = schedule.overrides.iter().map(|over| Shift::new(&over.user, over.start, over.end));
    let overrides = view.pick(overrides.collect());
    let begin = schedule.shifts.iter().map(|shift| shift.start).min().unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    let users = schedule.members();
    value["http_cal_url"] = json!(format!("{WEB}/private/0000000000000000/feed/{}", schedule.id));
    value["web_cal_url"] =
        json!(format!("webcal://acme.pagerduty.com/private/0000000000000000/feed/{}", schedule.id));
    value["schedule_layers"] = json!([{
        "id": "PLAYER1",
        "name": "Layer 1",
        "start": view.zone.render(begin),
        "end": null,
        "rotation_virtual_start": view.zone.render(begin),
        "rotation_turn_length_seconds": 604_800,
        "users": users.iter().map(|id| json!({"user": user_reference(account, id)})).collect::<Vec<_>>(),
        "restrictions": [],
        "rendered_schedule_entries": view.entries(account, &layer),
        "rendered_coverage_percentage": view.coverage(&layer),
    }]);
    value["overrides_subschedule"] = json!({
        "name": "Overrides",
        "rendered_schedule_entries": view.entries(account, &overrides),
        "rendered_coverage_percentage": view.coverage(&overrides),
    });
    value["final_schedule"] = json!({
        "name": "Final Schedule",
        "rendered_schedule_entries": view.entries(account, &rendered),
        "rendered_coverage_percentage": view.coverage(&rendered),
    });
    value
}

/// A shift-based schedule; `view` is there when its computed shifts were asked for.
pub(crate) fn v3_schedule_json(account: &Account, schedule: &Schedule, view: Option<View>) -> Value {
    const ROTATION: &str = "01HROTATION00000000000001";
    let mut value = resource(
        "schedule_v3",
        "v3/schedules",
        &schedule.id,
        &schedule.name,
        json!({
            "name": schedule.name,
            "description": null,
            "time_zone": schedule.time_zone,
            "escalation_policies": policies_of(account, schedule),
            "teams": teams(),
            "http_cal_url": format!("{WEB}/private/0000000000000000/feed/{}", schedule.id),
            "web_cal_url": format!("webcal://acme.pagerduty.com/private/0000000000000000/feed/{}", schedule.id),
            "rotations": [{"id": ROTATION, "type": "schedule_rotation", "events": rotation_events(schedule)}],
        }),
    );
    if let Value::Object(fields) = &mut value {
        // Unlike everywhere else, there is no summary here.
        fields.remove("summary");
    }
    if let Some(view) = view {
        let entries = view.pick(final_entries(schedule));
        let shifts = entries.iter().map(|entry| {
            let member = match &entry.user {
                Some(id) => json!({"type": "user_member", "user_id": id}),
                None => json!({"type": "empty_member"}),
            };
            json!({
                "type": "computed_shift_assignment",
                "start_time": view.zone.render(entry.start),
                "end_time": entry.end.map(|end| view.zone.render(end)),
                "member": member,
                "source": {"type": "schedule_rotation", "rotation_id": ROTATION},
            })
        });
        value["final_schedule"] = json!({
            "type": "final_schedule",
            "rendered_coverage_percentage": view.coverage(&entries),
            "computed_shift_assignments": shifts.collect::<Vec<_>>(),
        });
    }
    value
}

/// One event with everybody who has a shift; how often it comes back is not modelled.
fn rotation_events(schedule: &Schedule) -> Vec<Value> {
    let first = schedule.shifts.iter().min_by_key(|shift| shift.start);
    let zone = schedule.zone();
    let time = |at: DateTime<Utc>| json!({"date_time": zone.render(at), "time_zone": schedule.time_zone});
    let event = first.map(|shift| {
        let members = schedule.members();
        let members = members.iter().map(|id| json!({"type": "user_member", "user_id": id}));
        json!({
            "id": "01HEVENT0000000000000001",
            "type": "schedule_event",
            "name": "Shift",
            "start_time": time(shift.start),
            "end_time": time(shift.end.unwrap_or(shift.start + TimeDelta::days(1))),
            "effective_since": Zone::UTC.render(shift.start),
            "effective_until": null,
            "recurrence": ["RRULE:FREQ=DAILY"],
            "assignment_strategy": {
                "type": "every_member_assignment_strategy",
                "members": members.collect::<Vec<_>>(),
            },
        })
    });
    event.into_iter().collect()
}

fn policies_of(account: &Account, schedule: &Schedule) -> Vec<Value> {
    account.policies.iter().filter(|policy| policy.uses(&schedule.id)).map(policy_reference).collect()
}
