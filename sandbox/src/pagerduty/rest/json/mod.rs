//! The JSON shapes of references and resources.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::pagerduty::account::{Generation, Policy, Schedule, Service, Shift, Target, User, World};
use crate::pagerduty::render::{Range, final_entries, layer_entries};
use crate::pagerduty::time::Zone;

const API: &str = "https://api.pagerduty.com";
const WEB: &str = "https://acme.pagerduty.com";
/// The members of a team do not matter here, but every resource names one.
const TEAM: (&str, &str) = ("PT3AMPY", "Payments");

/// A reference: `id`, `type`, `summary`, `self`, `html_url`.
fn reference(kind: &str, collection: &str, id: &str, summary: &str) -> Value {
    json!({
        "id": id,
        "type": format!("{kind}_reference"),
        "summary": summary,
        "self": format!("{API}/{collection}/{id}"),
        "html_url": format!("{WEB}/{}/{id}", collection.trim_start_matches("v3/")),
    })
}

/// The full resource's `id`, `type`, `summary`, `self`, `html_url`, to which `more` is added.
fn resource(kind: &str, collection: &str, id: &str, summary: &str, more: Value) -> Value {
    let mut value = reference(kind, collection, id, summary);
    value["type"] = json!(kind);
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}

fn teams() -> Value {
    json!([reference("team", "teams", TEAM.0, TEAM.1)])
}

/// A user reference; of a deleted or unknown user too, because those stay where they were used.
pub(crate) fn user_reference(world: &World, id: &str) -> Value {
    let Some(user) = world.user(id) else { return reference("user", "users", id, "") };
    let mut value = reference("user", "users", id, &user.name);
    if let Some(deleted) = user.deleted_at {
        value["self"] = Value::Null;
        value["deleted_at"] = json!(Zone::UTC.render(deleted));
    }
    value
}

/// The full user, or the reference if it was deleted.
pub(crate) fn user(world: &World, id: &str) -> Value {
    match world.user(id) {
        Some(user) if user.deleted_at.is_none() => full_user(user),
        _ => user_reference(world, id),
    }
}

pub(crate) fn full_user(user: &User) -> Value {
    let id = &user.id;
    let part = |part: &str, kind: &str, part_id: &str, summary: &str| {
        json!([{
            "id": part_id,
            "type": format!("{kind}_reference"),
            "summary": summary,
            "self": format!("{API}/users/{id}/{part}/{part_id}"),
            "html_url": null,
        }])
    };
    let mut value = resource(
        "user",
        "users",
        id,
        &user.name,
        json!({
            "name": user.name,
            "time_zone": "Etc/UTC",
            "color": "teal",
            "avatar_url": format!("{WEB}/blank-avatar.png"),
            "billed": true,
            "role": "user",
            "description": null,
            "invitation_sent": false,
            "job_title": "Engineer",
            "created_via_sso": true,
            "teams": teams(),
            "contact_methods": part("contact_methods", "email_contact_method", "PCM0001", "Default"),
            "notification_rules":
                part("notification_rules", "assignment_notification_rule", "PNR0001", "0 minutes: channel PCM0001"),
        }),
    );
    if let Some(email) = &user.email {
        value["email"] = json!(email);
    }
    value
}

pub(crate) fn schedule_reference(schedule: &Schedule) -> Value {
    match schedule.generation {
        Generation::Layers => reference("schedule", "schedules", &schedule.id, &schedule.name),
        Generation::Shifts => reference("schedule_v3", "v3/schedules", &schedule.id, &schedule.name),
    }
}

pub(crate) fn policy_reference(policy: &Policy) -> Value {
    reference("escalation_policy", "escalation_policies", &policy.id, &policy.name)
}

fn policies_of(world: &World, schedule: &Schedule) -> Vec<Value> {
    world.policies.iter().filter(|policy| policy.uses(&schedule.id)).map(policy_reference).collect()
}

pub(crate) fn policy(world: &World, policy: &Policy) -> Value {
    let target = |target: &Target| match target {
        Target::User(id) => user_reference(world, id),
        Target::Schedule(id) => match world.schedule(id) {
            Some(schedule) => schedule_reference(schedule),
            None => reference("schedule", "schedules", id, ""),
        },
    };
    let rules = policy.levels.iter().enumerate().map(|(index, targets)| {
        json!({
            "id": format!("PRULE{:02}", index + 1),
            "escalation_delay_in_minutes": 10,
            "targets": targets.iter().map(target).collect::<Vec<_>>(),
            "escalation_rule_assignment_strategy": "assign_to_everyone",
        })
    });
    let services = world.services.iter().filter(|service| service.policy == policy.id);
    resource(
        "escalation_policy",
        "escalation_policies",
        &policy.id,
        &policy.name,
        json!({
            "name": policy.name,
            "description": null,
            "num_loops": 0,
            "on_call_handoff_notifications": "if_has_services",
            "escalation_rules": rules.collect::<Vec<_>>(),
            "services": services
                .map(|service| reference("service", "services", &service.id, &service.name))
                .collect::<Vec<_>>(),
            "teams": teams(),
        }),
    )
}

pub(crate) fn service(world: &World, service: &Service) -> Value {
    resource(
        "service",
        "services",
        &service.id,
        &service.name,
        json!({
            "name": service.name,
            "description": null,
            "auto_resolve_timeout": 14400,
            "acknowledgement_timeout": 600,
            "created_at": "2024-02-01T08:00:00Z",
            "status": "active",
            "last_incident_timestamp": null,
            "alert_creation": "create_alerts_and_incidents",
            "integrations": [],
            "escalation_policy": world.policy(&service.policy).map(policy_reference),
            "teams": teams(),
            "incident_urgency_rule": {"type": "constant", "urgency": "high"},
            "support_hours": null,
            "scheduled_actions": [],
        }),
    )
}

/// A layer-based schedule without its entries: what lists show.
pub(crate) fn listed_schedule(world: &World, schedule: &Schedule) -> Value {
    resource(
        "schedule",
        "schedules",
        &schedule.id,
        &schedule.name,
        json!({
            "name": schedule.name,
            "time_zone": schedule.time_zone,
            "description": null,
            "escalation_policies": policies_of(world, schedule),
            "users": members(schedule).iter().map(|id| user_reference(world, id)).collect::<Vec<_>>(),
            "teams": teams(),
        }),
    )
}

/// Everyone who appears in the schedule, in order of appearance.
pub(crate) fn members(schedule: &Schedule) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for id in schedule.shifts.iter().filter_map(|shift| shift.user.as_ref()) {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids
}

/// How a schedule's entries are to be shown.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) range: Option<Range>,
    pub(crate) overflow: bool,
    pub(crate) zone: Zone,
}

impl View {
    fn pick(&self, entries: Vec<Shift>) -> Vec<Shift> {
        let Some(range) = self.range else { return Vec::new() };
        let seen = entries.into_iter().filter(|entry| range.overlaps(entry));
        // What an endless shift looks like with `overflow` is not documented; here it ends with the range.
        seen.map(|entry| if self.overflow && entry.end.is_some() { entry } else { range.cut(&entry) })
            .collect()
    }

    fn entries(&self, world: &World, entries: &[Shift]) -> Vec<Value> {
        let rendered = entries.iter().map(|entry| {
            json!({
                "start": self.zone.render(entry.start),
                "end": entry.end.map(|end| self.zone.render(end)),
                "user": entry.user.as_ref().map(|id| user_reference(world, id)),
            })
        });
        rendered.collect()
    }

    /// The covered part of the range in percent; null without a range.
    fn coverage(&self, entries: &[Shift]) -> Value {
        let Some(range) = self.range else { return Value::Null };
        let whole = (range.until - range.since).num_seconds();
        let (mut covered, mut reached) = (0, range.since);
        for entry in entries {
            let cut = range.cut(entry);
            let (start, end) = (cut.start.max(reached), cut.end.unwrap_or(range.until));
            if entry.user.is_some() && start < end {
                covered += (end - start).num_seconds();
                reached = end;
            }
        }
        // One decimal place, as the API shows it.
        let per_mille = if whole == 0 { 0 } else { covered * 1000 / whole };
        json!(f64::from(i32::try_from(per_mille).unwrap_or(i32::MAX)) / 10.0)
    }
}

/// A layer-based schedule with everything that the view shows.
pub(crate) fn schedule(world: &World, schedule: &Schedule, view: View) -> Value {
    let mut value = listed_schedule(world, schedule);
    let layer = view.pick(layer_entries(schedule));
    let rendered = view.pick(final_entries(schedule));
    let overrides = schedule.overrides.iter().map(|over| Shift::new(&over.user, over.start, over.end));
    let overrides = view.pick(overrides.collect());
    let begin = schedule.shifts.iter().map(|shift| shift.start).min().unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    let users = members(schedule);
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
        "users": users.iter().map(|id| json!({"user": user_reference(world, id)})).collect::<Vec<_>>(),
        "restrictions": [],
        "rendered_schedule_entries": view.entries(world, &layer),
        "rendered_coverage_percentage": view.coverage(&layer),
    }]);
    value["overrides_subschedule"] = json!({
        "name": "Overrides",
        "rendered_schedule_entries": view.entries(world, &overrides),
        "rendered_coverage_percentage": view.coverage(&overrides),
    });
    value["final_schedule"] = json!({
        "name": "Final Schedule",
        "rendered_schedule_entries": view.entries(world, &rendered),
        "rendered_coverage_percentage": view.coverage(&rendered),
    });
    value
}

/// A shift-based schedule; `view` is there when its computed shifts were asked for.
pub(crate) fn v3_schedule(world: &World, schedule: &Schedule, view: Option<View>) -> Value {
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
            "escalation_policies": policies_of(world, schedule),
            "teams": teams(),
            "http_cal_url": format!("{WEB}/private/0000000000000000/feed/{}", schedule.id),
            "web_cal_url": format!("webcal://acme.pagerduty.com/private/0000000000000000/feed/{}", schedule.id),
            "rotations": [{"id": ROTATION, "type": "schedule_rotation", "events": []}],
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
