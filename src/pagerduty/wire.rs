//! The JSON of the REST API, as far as this program reads it.
//!
//! A field may be null where PagerDuty was seen to send null, whatever its schema says; but a field that is missing
//! altogether is an error, because a missing `end` must not be read as "never ends". Type names stay open strings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::Error;

#[derive(Debug, Deserialize)]
pub(super) struct OnCallPage {
    pub(super) oncalls: Vec<OnCallEntry>,
    #[serde(flatten)]
    pub(super) page: Page,
}

/// The paging fields of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) more: bool,
    pub(super) limit: Option<u64>,
    pub(super) offset: Option<u64>,
    pub(super) total: Option<u64>,
}

impl Page {
    /// Refuses a page that is not the one asked for, or that promises more without coming any further.
    pub(super) fn check(&self, offset: u64, received: usize) -> Result<(), Error> {
        if self.offset.is_some_and(|got| got != offset) {
            return Err(Error::Invalid(format!("the page at {offset} was asked for, another one came")));
        }
        if self.more && received == 0 {
            return Err(Error::Invalid(format!(
                "the page at {offset} is empty, yet more are said to follow"
            )));
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct OnCallEntry {
    #[serde(deserialize_with = "nullable")]
    pub(super) escalation_policy: Option<Reference>,
    #[serde(deserialize_with = "nullable")]
    pub(super) escalation_level: Option<u32>,
    #[serde(deserialize_with = "nullable")]
    pub(super) schedule: Option<Reference>,
    #[serde(deserialize_with = "nullable")]
    pub(super) user: Option<User>,
    #[serde(deserialize_with = "nullable")]
    pub(super) start: Option<Time>,
    #[serde(deserialize_with = "nullable")]
    pub(super) end: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Reference {
    pub(super) id: Id,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(flatten)]
    pub(super) called: Called,
}

/// What something is called: a reference has a summary, the thing itself a name as well. Nothing depends on it, so whatever
/// else stands there is no error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Called {
    #[serde(default, deserialize_with = "text_or_nothing")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text_or_nothing")]
    summary: Option<String>,
}

impl Called {
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref().or(self.summary.as_deref())
    }
}

/// A user or a reference to one; only the former has an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    pub(super) id: Id,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(flatten)]
    pub(super) called: Called,
    pub(super) email: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserBody {
    pub(super) user: User,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserPage {
    pub(super) users: Vec<User>,
    #[serde(flatten)]
    pub(super) page: Page,
}

#[derive(Debug, Deserialize)]
pub(super) struct LayerScheduleBody {
    pub(super) schedule: LayerSchedule,
}

#[derive(Debug, Deserialize)]
pub(super) struct LayerSchedule {
    pub(super) id: Id,
    #[serde(flatten)]
    pub(super) called: Called,
    pub(super) final_schedule: FinalLayer,
}

#[derive(Debug, Deserialize)]
pub(super) struct FinalLayer {
    pub(super) rendered_schedule_entries: Vec<RenderedEntry>,
    #[serde(default = "given")]
    pub(super) rendered_coverage_percentage: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RenderedEntry {
    pub(super) start: Time,
    pub(super) end: Time,
    #[serde(deserialize_with = "nullable")]
    pub(super) user: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ShiftScheduleBody {
    pub(super) schedule: ShiftSchedule,
}

#[derive(Debug, Deserialize)]
pub(super) struct ShiftSchedule {
    pub(super) id: Id,
    #[serde(flatten)]
    pub(super) called: Called,
    pub(super) final_schedule: FinalShifts,
}

#[derive(Debug, Deserialize)]
pub(super) struct FinalShifts {
    pub(super) computed_shift_assignments: Vec<ShiftAssignment>,
    #[serde(default = "given")]
    pub(super) rendered_coverage_percentage: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ShiftAssignment {
    pub(super) start_time: Time,
    pub(super) end_time: Time,
    #[serde(deserialize_with = "nullable")]
    pub(super) member: Option<Member>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Member {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) user_id: Option<Id>,
}

/// A layer-based schedule, read for who belongs to it.
#[derive(Debug, Deserialize)]
pub(super) struct LayerMembersBody {
    pub(super) schedule: LayerMembers,
}

#[derive(Debug, Deserialize)]
pub(super) struct LayerMembers {
    pub(super) id: Id,
    pub(super) users: Vec<ScheduledUser>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ScheduledUser {
    pub(super) id: Id,
    #[serde(default)]
    deleted_at: Option<Value>,
}

impl ScheduledUser {
    pub(super) fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }
}

/// A shift-based schedule, read for who belongs to it.
#[derive(Debug, Deserialize)]
pub(super) struct ShiftMembersBody {
    pub(super) schedule: ShiftMembers,
}

#[derive(Debug, Deserialize)]
pub(super) struct ShiftMembers {
    pub(super) id: Id,
    rotations: Vec<Rotation>,
}

#[derive(Debug, Deserialize)]
struct Rotation {
    events: Vec<RotationEvent>,
}

#[derive(Debug, Deserialize)]
struct RotationEvent {
    assignment_strategy: AssignmentStrategy,
}

#[derive(Debug, Deserialize)]
struct AssignmentStrategy {
    members: Vec<Member>,
}

impl ShiftMembers {
    /// Everybody in its rotations; none if one of them does not tell who is meant.
    pub(super) fn members(self) -> Option<impl Iterator<Item = Id>> {
        let events = self.rotations.into_iter().flat_map(|rotation| rotation.events);
        let members = events.flat_map(|event| event.assignment_strategy.members);
        let people = members.filter(|member| member.kind != "empty_member");
        let ids: Option<Vec<Id>> = people.map(|member| member.user_id).collect();
        ids.map(Vec::into_iter)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct TeamMemberPage {
    pub(super) members: Vec<TeamMember>,
    #[serde(flatten)]
    pub(super) page: Page,
}

#[derive(Debug, Deserialize)]
pub(super) struct PriorityPage {
    pub(super) priorities: Vec<Reference>,
    #[serde(flatten)]
    pub(super) page: Page,
}

#[derive(Debug, Deserialize)]
pub(super) struct TeamMember {
    pub(super) user: Reference,
}

/// Each incident is read by itself: one that cannot be read hides no other.
#[derive(Debug, Deserialize)]
pub(super) struct IncidentPage {
    pub(super) incidents: Vec<Value>,
    #[serde(flatten)]
    pub(super) page: Page,
}

#[derive(Debug, Deserialize)]
pub(super) struct IncidentBody {
    pub(super) incident: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct IncidentEntry {
    pub(super) id: Id,
    pub(super) incident_number: Option<u64>,
    pub(super) title: Option<String>,
    pub(super) html_url: Option<String>,
    pub(super) status: String,
    pub(super) urgency: String,
    pub(super) priority: Option<Reference>,
    pub(super) service: Reference,
    pub(super) assigned_via: String,
    pub(super) assignments: Vec<Assignment>,
    pub(super) acknowledgements: Vec<Acknowledgement>,
    /// Only where the account has the feature.
    pub(super) incidents_responders: Option<Vec<Responder>>,
    pub(super) resolved_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Assignment {
    pub(super) at: Time,
    #[serde(deserialize_with = "nullable")]
    pub(super) assignee: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Acknowledgement {
    pub(super) at: Time,
    #[serde(deserialize_with = "nullable")]
    pub(super) acknowledger: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Responder {
    pub(super) state: String,
    pub(super) user: Option<User>,
    pub(super) requested_at: Time,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServiceBody {
    pub(super) service: Service,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServicePage {
    pub(super) services: Vec<Service>,
    #[serde(flatten)]
    pub(super) page: Page,
}

#[derive(Debug, Deserialize)]
pub(super) struct Service {
    pub(super) id: Id,
    #[serde(flatten)]
    pub(super) called: Called,
    pub(super) escalation_policy: Option<Reference>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PolicyBody {
    pub(super) escalation_policy: Policy,
}

#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    pub(super) id: Id,
    #[serde(flatten)]
    pub(super) called: Called,
    pub(super) escalation_rules: Vec<EscalationRule>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EscalationRule {
    pub(super) targets: Vec<Reference>,
}

#[derive(Deserialize)]
pub(super) struct SubscriptionPage {
    pub(super) webhook_subscriptions: Vec<Subscription>,
    #[serde(flatten)]
    pub(super) page: Page,
}

#[derive(Deserialize)]
pub(super) struct SubscriptionBody {
    pub(super) webhook_subscription: Subscription,
}

// No Debug: the delivery method may carry the secret.
#[derive(Deserialize)]
pub(super) struct Subscription {
    pub(super) id: Id,
    pub(super) active: bool,
    pub(super) description: Option<String>,
    pub(super) events: Vec<String>,
    pub(super) delivery_method: DeliveryMethod,
    pub(super) filter: Option<Filter>,
    pub(super) oauth_client: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct DeliveryMethod {
    pub(super) url: Option<String>,
    pub(super) secret: Option<secrecy::SecretString>,
    pub(super) temporarily_disabled: Option<bool>,
    /// Their values are redacted.
    pub(super) custom_headers: Option<Vec<Value>>,
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorDetail,
}

#[derive(Deserialize)]
pub(super) struct ErrorDetail {
    pub(super) message: Option<String>,
    /// A list of texts in v2, a map from field to texts in v3, and sometimes something else.
    #[serde(default)]
    pub(super) errors: Value,
}

/// An identifier, which is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Err(de::Error::custom("empty id")) } else { Ok(Self(text)) }
    }
}

/// A time with whatever offset PagerDuty chose; a shift over a change of the clocks has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) DateTime<Utc>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time =
            DateTime::parse_from_rfc3339(&text).map_err(|_| de::Error::custom("not an RFC 3339 time"))?;
        Ok(Self(time.to_utc()))
    }
}

/// Reads an `Option` that may be null but not missing, as opposed to serde's own reading of one.
fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads a text; anything else is as good as none.
fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Stands for a coverage that was left out; only an explicit null says that nothing was computed.
#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn given() -> Option<f64> {
    Some(0.0)
}

/// What serde says about unreadable JSON, without the values it quotes: they may be somebody's data.
pub(super) fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if first < last => format!("{}…{}", &text[..first], &text[last + 1..]),
        _ => text,
    }
}
