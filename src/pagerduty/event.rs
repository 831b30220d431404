//! Reads from a signed webhook body whose on-calls may have changed. Pure, and never fails: a body that it does not
//! understand may concern everybody.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::{IncidentId, PolicyId, ScheduleId, ServiceId};

/// The most characters of a text that is stored. Real IDs have 26, real types under 50.
const MAX_TEXT: usize = 256;
/// Objects nested deeper than this are not searched. Documented events nest four deep.
const MAX_DEPTH: usize = 64;
/// An event about more objects than this concerns everything; asking about each would be slower.
const MAX_OBJECTS: usize = 100;

/// What is read from a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "PagerDuty's own name for it")]
pub(crate) struct Event {
    /// PagerDuty's `event.id`, by which repeated deliveries are recognised; none where it cannot serve as an ID.
    pub(crate) id: Option<String>,
    /// PagerDuty's `event.event_type`, shortened and without control characters.
    pub(crate) event_type: Option<String>,
    /// Whose on-calls may have changed.
    pub(crate) hint: Hint,
}

/// Whose on-calls an event may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Nobody's: a ping.
    Nothing,
    /// Perhaps everybody's.
    Everything,
    /// Those of what it mentions, which is something.
    About(Mentioned),
}

/// What an event mentions. The body does not say which schedules a policy pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentioned {
    /// The schedules.
    pub(crate) schedules: BTreeSet<ScheduleId>,
    /// The escalation policies.
    pub(crate) policies: BTreeSet<PolicyId>,
    /// The services of incidents.
    pub(crate) services: BTreeSet<ServiceId>,
    /// The incidents.
    pub(crate) incidents: BTreeSet<IncidentId>,
}

impl Event {
    /// Reads the body of a delivery whose signature was valid.
    pub(crate) fn read(body: &[u8]) -> Self {
        let body = parse(body);
        let event = &body["event"];
        let hint = match event["event_type"].as_str() {
            Some("pagey.ping") => Hint::Nothing,
            kind => {
                let is_of_incident = kind.is_some_and(|kind| kind.starts_with("incident."));
                Hint::from_data(&event["data"], is_of_incident)
            }
        };
        let id = event["id"].as_str().filter(|id| usable(id)).map(str::to_owned);
        Self { id, event_type: event["event_type"].as_str().and_then(readable), hint }
    }
}

/// The body as JSON. What of it breaks the rules of JSON is replaced: half a surrogate pair in a title must not hide
/// which event it is. Of one that cannot be read even so, the event's ID and type are left.
fn parse(body: &[u8]) -> Value {
    let strict = serde_json::from_slice(body);
    strict.or_else(|_| serde_json::from_str(&mended(body))).unwrap_or_else(|_| {
        let head: Head = serde_json::from_str(&mended(body)).unwrap_or_default();
        json!({"event": {"id": head.event.id, "event_type": head.event.event_type}})
    })
}

/// An event without what it is about. Whatever else is in it is skipped, not read, and may be nested as deep as it likes.
#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    event: HeadOfEvent,
}

#[derive(Default, Deserialize)]
struct HeadOfEvent {
    id: Option<String>,
    event_type: Option<String>,
}

/// Text in which every byte and every escape may stand in JSON; nothing else changes.
fn mended(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    // Raw control characters are wrong in texts, and blanks elsewhere.
    let text = text.trim_start_matches('\u{feff}').replace(|c: char| c.is_ascii_control(), " ");
    let mut mended = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let (kept, length) = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&escape[..12], 12),
            (Some(_), _) => ("\\ufffd", 6),
            (None, _) => {
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                (&escape[..length], length)
            }
        };
        mended.push_str(kept);
        rest = &escape[length..];
    }
    mended.push_str(rest);
    mended
}

/// Half a surrogate pair, if an escape of one stands at the beginning.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok().filter(|code| (0xd800..=0xdfff).contains(code))
}

impl Hint {
    fn from_data(data: &Value, is_of_incident: bool) -> Self {
        let mut found = Found { mentioned: Mentioned::default(), is_of_incident };
        match found.search(data, 0) {
            Ok(()) if found.len() > 0 => Self::About(found.mentioned),
            Ok(()) | Err(Incomplete) => Self::Everything,
        }
    }
}

struct Found {
    mentioned: Mentioned,
    /// Whether services and incidents count. An event of a service itself may concern everybody.
    is_of_incident: bool,
}

/// The body names something that cannot be identified, so what was found may not be all.
struct Incomplete;

impl Found {
    fn len(&self) -> usize {
        let Mentioned { schedules, policies, services, incidents } = &self.mentioned;
        schedules.len() + policies.len() + services.len() + incidents.len()
    }

    fn search(&mut self, value: &Value, depth: usize) -> Result<(), Incomplete> {
        if depth > MAX_DEPTH || self.len() > MAX_OBJECTS {
            return Err(Incomplete);
        }
        match value {
            Value::Object(object) => {
                self.collect(object)?;
                object.values().try_for_each(|inner| self.search(inner, depth + 1))
            }
            Value::Array(items) => items.iter().try_for_each(|inner| self.search(inner, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn collect(&mut self, object: &Map<String, Value>) -> Result<(), Incomplete> {
        let id = || object.get("id").and_then(Value::as_str).filter(|id| usable(id)).ok_or(Incomplete);
        match object.get("type").and_then(Value::as_str) {
            Some("schedule" | "schedule_reference" | "schedule_v3" | "schedule_v3_reference") => {
                self.mentioned.schedules.insert(id()?.into());
            }
            Some("escalation_policy" | "escalation_policy_reference") => {
                self.mentioned.policies.insert(id()?.into());
            }
            Some("service" | "service_reference") if self.is_of_incident => {
                self.mentioned.services.insert(id()?.into());
            }
            Some("incident" | "incident_reference") if self.is_of_incident => {
                self.mentioned.incidents.insert(id()?.into());
            }
            _ => {}
        }
        Ok(())
    }
}

/// An ID is taken whole or not at all: two IDs cut to the same text would count as one event.
fn usable(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= MAX_TEXT && !id.chars().any(char::is_control)
}

fn readable(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use proptest::prelude::*;

    use super::*;
    use crate::model::tests::below_top;

    fn about(schedules: &[&str], policies: &[&str]) -> Hint {
        Hint::About(Mentioned {
            schedules: schedules.iter().map(|id| ScheduleId::from(*id)).collect(),
            policies: policies.iter().map(|id| PolicyId::from(*id)).collect(),
            ..Mentioned::default()
        })
    }

    /// The same, of an event about an incident of a service.
    fn about_incident(policies: &[&str], service: &[&str], incident: &[&str]) -> Hint {
        Hint::About(Mentioned {
            schedules: BTreeSet::new(),
            policies: policies.iter().map(|id| PolicyId::from(*id)).collect(),
            services: service.iter().map(|id| ServiceId::from(*id)).collect(),
            incidents: incident.iter().map(|id| IncidentId::from(*id)).collect(),
        })
    }

    fn read(body: &Value) -> Event {
        Event::read(body.to_string().as_bytes())
    }

    fn samples(folder: &str) -> BTreeMap<String, Event> {
        let folder = below_top("tests/fixtures/pagerduty").join(folder);
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let name =
            |path: &Path| path.file_name().unwrap().to_str().unwrap().trim_end_matches(".json").to_owned();
        files.map(|path| (name(&path), Event::read(&fs::read(&path).unwrap()))).collect()
    }

    #[test]
    fn documented_events_point_to_their_policy_or_to_everything() {
        let samples = samples("webhooks");
        assert_eq!(samples.len(), 21);
        for (name, event) in samples {
            let payments = |policies: &[&str]| about_incident(policies, &["PSPAY01"], &["Q1X7PAYLOAD001"]);
            let expected = match name.as_str() {
                "pagey.ping" | "pagey.ping-with-agent" => Hint::Nothing,
                "incident.resolved-merged" => {
                    about_incident(&["PEPAY01"], &["PSPAY01"], &["Q1X7PAYLOAD001", "Q1X7PAYLOAD002"])
                }
                "incident.delegated" => payments(&["PEMAJ03"]),
                "incident.responder.added" | "incident.responder.replied" => {
                    about_incident(&["PEDAT02"], &[], &["Q1X7PAYLOAD001"])
                }
                "incident.service_updated" => about_incident(&["PEDAT02"], &["PSDAT02"], &["Q1X7PAYLOAD001"]),
                "incident.annotated" | "incident.role.assigned" => {
                    about_incident(&[], &[], &["Q1X7PAYLOAD001"])
                }
                "incident.workflow.completed" => payments(&[]),
                "service.custom_field_values.updated" | "service.deleted" | "service.updated" => {
                    Hint::Everything
                }
                _ => payments(&["PEPAY01"]),
            };
            assert_eq!(event.hint, expected, "{name}");
            assert!(event.id.is_some_and(|id| id.len() == 26), "{name}");
            let kind = event.event_type.unwrap();
            assert!(name.starts_with(&kind), "{name}: {kind}");
        }
    }

    #[test]
    fn events_that_may_come_one_day_point_to_their_schedule() {
        let samples = samples("webhooks-hypothetical");
        assert_eq!(samples.len(), 7);
        for (name, event) in samples {
            let expected = match name.as_str() {
                "escalation_policy.updated" => about(&[], &["PEPAY01"]),
                "incident.some_future_type" => about_incident(&[], &[], &["Q1X7PAYLOAD001"]),
                "oncall.handoff" => about(&["PSCH001"], &["PEPAY01"]),
                "schedule.override.created-v3" => about(&["PSCH003"], &[]),
                "schedule.updated" => about(&["PSCH001"], &["PEPAY01", "PEMAJ03"]),
                _ => about(&["PSCH001"], &[]),
            };
            assert_eq!(event.hint, expected, "{name}");
        }
    }

    #[test]
    fn the_form_of_the_json_does_not_matter() {
        for (name, event) in samples("webhooks-variants") {
            let expected = if name == "empty" {
                Hint::Everything
            } else {
                about_incident(&["PEPAY01"], &["PSPAY01"], &["Q1X7PAYLOAD001"])
            };
            assert_eq!(event.hint, expected, "{name}");
            assert_eq!(event.id.is_none(), name == "empty", "{name}");
        }
    }

    #[test]
    fn what_cannot_be_told_concerns_everything() {
        let deep = |levels: usize| {
            let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            format!(r#"{{"event":{{"id":"E1","data":{{"type":"schedule","id":"P1","more":{nested}}}}}}}"#)
        };
        let crowd: Vec<Value> =
            (0..=MAX_OBJECTS).map(|n| json!({"type": "schedule", "id": n.to_string()})).collect();
        for body in [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            r#""text""#.to_owned(),
            "{".to_owned(),
            r#"{"event":null}"#.to_owned(),
            r#"{"event":[{"event_type":"pagey.ping"}]}"#.to_owned(),
            r#"{"event":{"event_type":7,"data":"schedule"}}"#.to_owned(),
            deep(MAX_DEPTH + 1),
            deep(100_000),
            json!({"event": {"data": {"type": "schedule"}}}).to_string(),
            json!({"event": {"data": [{"type": "schedule", "id": "P1"}, {"type": "schedule", "id": ""}]}})
                .to_string(),
            json!({"event": {"data": {"type": "schedule_reference", "id": 7}}}).to_string(),
            json!({"event": {"data": crowd}}).to_string(),
            json!({"event": {"event_type": "service.updated", "data": {"type": "incident", "id": "Q1"}}})
                .to_string(),
        ] {
            let shown: String = body.chars().take(80).collect();
            assert_eq!(Event::read(body.as_bytes()).hint, Hint::Everything, "{shown}");
        }
        assert_eq!(Event::read(b"\xff\xfe{}").hint, Hint::Everything);
        for levels in [20, MAX_DEPTH] {
            assert_eq!(Event::read(deep(levels).as_bytes()).hint, about(&["P1"], &[]), "{levels}");
        }
        let as_many_as_allowed = read(&json!({"event": {"data": crowd[1..]}})).hint;
        assert!(matches!(as_many_as_allowed, Hint::About(found) if found.schedules.len() == MAX_OBJECTS));
    }

    #[test]
    fn what_breaks_the_rules_of_json_hides_neither_the_id_nor_the_hint() {
        for title in [
            r"\ud83d".as_bytes(),
            r"\uDE00 \ud83d\u0041 \ud83d\ud83d\ude00".as_bytes(),
            r#"\\\ud83d\""#.as_bytes(),
            b"caf\xe9",
            b"\xf0\x9f\x98",
            b"a\nb\x00",
        ] {
            let mut body = br#"{"event": {"data": {"title": ""#.to_vec();
            body.extend_from_slice(title);
            body.extend_from_slice(
                br#"", "type": "schedule", "id": "P1"}, "id": "E1", "event_type": "schedule.updated"}}"#,
            );
            let expected = Event {
                id: Some("E1".to_owned()),
                event_type: Some("schedule.updated".to_owned()),
                hint: about(&["P1"], &[]),
            };
            assert_eq!(Event::read(&body), expected, "{}", String::from_utf8_lossy(title));
        }
        for data in [format!("{}{}", "[".repeat(1000), "]".repeat(1000)), "1e999".to_owned()] {
            let body = format!(r#"{{"event": {{"data": {data}, "id": "E1"}}}}"#);
            let event = Event::read(body.as_bytes());
            assert_eq!((event.id.as_deref(), event.hint), (Some("E1"), Hint::Everything));
        }
    }

    #[test]
    fn mending_changes_nothing_that_is_right() {
        let right = r#"{"a": "\ud83d\ude00 \\ud83d \" \u00e9 é"}"#;
        assert_eq!(mended(right.as_bytes()), right);
    }

    #[test]
    fn only_short_plain_ids_identify_an_event() {
        let id = |id: Value| read(&json!({"event": {"id": id}})).id;
        for right in ["01HX".to_owned(), "é".repeat(MAX_TEXT)] {
            assert_eq!(id(json!(right)), Some(right));
        }
        for absurd in [json!(null), json!(7), json!(""), json!("a\nb"), json!("x".repeat(MAX_TEXT + 1))] {
            assert_eq!(id(absurd.clone()), None, "{absurd}");
        }
    }

    #[test]
    fn the_type_is_cut_and_cleaned() {
        let kind = |kind: Value| read(&json!({"event": {"event_type": kind}})).event_type;
        assert_eq!(kind(json!("incident\n.\u{1b}[31mtriggered")), Some("incident.[31mtriggered".to_owned()));
        assert_eq!(kind(json!("é".repeat(1000))), Some("é".repeat(MAX_TEXT)));
        assert_eq!(kind(json!("\n")), None);
        assert_eq!(kind(json!({})), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(vec![
            "id",
            "type",
            "schedule",
            "schedule_v3",
            "escalation_policy",
            "event",
            "data",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word.clone().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((word.clone(), inner), 0..6).prop_map(|pairs| pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(body: Vec<u8>) {
            let _ = Event::read(&body);
        }

        #[test]
        fn any_json_can_be_read(body in any_json(), data in any_json()) {
            let _ = read(&body);
            let event = read(&json!({"event": {"data": data}}));
            prop_assert_ne!(event.hint, Hint::Nothing);
            prop_assert_ne!(read(&json!({"event": body})).hint, about(&[], &[]));
        }
    }
}
