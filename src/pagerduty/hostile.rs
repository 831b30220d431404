//! Webhooks, signatures and answers as somebody changed them, whoever it was.

use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use proptest::{collection::vec, prelude::*, sample::Index};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use super::{
    Event, Hint, signature,
    wire::{
        IncidentBody, IncidentEntry, IncidentPage, LayerMembersBody, LayerScheduleBody, OnCallPage,
        PolicyBody, PriorityPage, ServiceBody, ServicePage, ShiftMembersBody, ShiftScheduleBody,
        SubscriptionBody, SubscriptionPage, TeamMemberPage, Time, UserBody, UserPage,
    },
};
use crate::model::tests::{mutated, runs, samples};

/// An incident with everybody who may get access by it.
pub(super) const INCIDENT: &str = r#"{
  "id": "Q1", "incident_number": 12, "title": "Payments are slow", "html_url": "https://acme.pagerduty.com/incidents/Q1",
  "status": "acknowledged", "urgency": "high", "priority": {"id": "PP1", "type": "priority_reference", "summary": "P1"},
  "service": {"id": "PSPAY01", "type": "service_reference", "summary": "Payments"}, "assigned_via": "escalation_policy",
  "assignments": [{"at": "2026-11-01T08:00:00Z",
    "assignee": {"id": "PANA", "type": "user", "name": "Ana Lima", "email": "ana@corp.example"}}],
  "acknowledgements": [{"at": "2026-11-01T09:01:00+01:00", "acknowledger": {"id": "PANA", "type": "user_reference"}}],
  "incidents_responders": [{"state": "joined", "requested_at": "2026-11-01T08:02:00Z",
    "user": {"id": "PBO", "type": "user_reference", "summary": "Bo Chen"}}],
  "resolved_at": null
}"#;

fn answers() -> Vec<Vec<u8>> {
    let priority = r#"{"priorities": [{"id": "PP1", "type": "priority", "name": "P1"}], "more": false}"#;
    let member = r#"{"members": [{"user": {"id": "PANA", "type": "user_reference"}, "role": "manager"}], "more": false}"#;
    let incidents =
        format!(r#"{{"incidents": [{INCIDENT}], "limit": 100, "offset": 0, "more": false, "total": 1}}"#);
    let mut answers = samples("tests/fixtures/pagerduty/rest");
    answers.extend([priority, member, &incidents].map(|text| text.as_bytes().to_vec()));
    answers
}

fn webhooks() -> Vec<Vec<u8>> {
    let folders = ["webhooks", "webhooks-variants", "webhooks-hypothetical"];
    folders.iter().flat_map(|folder| samples(&format!("tests/fixtures/pagerduty/{folder}"))).collect()
}

fn mac(secret: &str, body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// A piece of a header.
#[derive(Clone, Debug)]
enum Piece {
    /// The right signature by that secret.
    Right(Index),
    /// The same with one digit changed, cut off or in upper case.
    Altered(Index, usize, char),
    Text(String),
}

fn piece() -> impl Strategy<Value = Piece> {
    let digit = prop::sample::select("0aAfFgG,= ".chars().collect::<Vec<_>>());
    prop_oneof![
        any::<Index>().prop_map(Piece::Right),
        (any::<Index>(), 0..67_usize, digit).prop_map(|(which, at, digit)| Piece::Altered(which, at, digit)),
        "[v0-2=a-f, ]{0,70}".prop_map(Piece::Text),
    ]
}

/// All that the header's entries claim, read by other means than the service's.
fn claimed(header: &str) -> Vec<Vec<u8>> {
    let entries = header.split(',').map(|entry| entry.trim_matches([' ', '\t']));
    let digits = entries.filter_map(|entry| entry.strip_prefix("v1=")).filter(|digits| digits.len() == 64);
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
    let bytes = |digits: &str| -> Option<Vec<u8>> {
        let digits: Vec<char> = digits.chars().collect();
        digits.iter().all(char::is_ascii_hexdigit).then(|| digits.chunks(2).filter_map(byte).collect())
    };
    digits.filter_map(bytes).collect()
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn a_signature_counts_exactly_if_it_is_the_mac_by_one_of_the_secrets(
        body in mutated(webhooks()),
        secrets in vec("[a-z]{0,3}", 0..3),
        pieces in vec(piece(), 0..4),
    ) {
        let right = |which: &Index| {
            let secret = if secrets.is_empty() { "none" } else { &secrets[which.index(secrets.len())] };
            format!("v1={}", hex::encode(mac(secret, &body)))
        };
        let entry = |piece: &Piece| match piece {
            Piece::Right(which) => right(which),
            Piece::Altered(which, at, digit) => {
                right(which).chars().enumerate().map(|(index, c)| if index == *at { *digit } else { c }).collect()
            }
            Piece::Text(text) => text.clone(),
        };
        let header = pieces.iter().map(entry).collect::<Vec<_>>().join(",");
        let expected = secrets.iter().position(|secret| {
            !secret.is_empty() && claimed(&header).iter().any(|claimed| claimed[..] == mac(secret, &body))
        });
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| secret.as_str().into()).collect();
        prop_assert_eq!(signature::verify(&secrets, [header.as_bytes()].into_iter(), &body), expected, "{}", header);
    }

    #[test]
    fn whatever_is_signed_is_read(body in mutated(webhooks())) {
        let Event { id, event_type, hint } = Event::read(&body);
        for text in [id.as_deref(), event_type.as_deref()].into_iter().flatten() {
            prop_assert!(!text.is_empty() && text.chars().count() <= 256);
        }
        prop_assert!(event_type.is_none_or(|text| !text.contains(char::is_control)));
        if let Hint::About(mentioned) = hint {
            let ids = mentioned.schedules.len() + mentioned.policies.len() + mentioned.services.len();
            let all = ids + mentioned.incidents.len();
            prop_assert!((1..=100).contains(&all), "{all} are mentioned");
        }
    }

    #[test]
    fn an_answer_is_read_or_refused(body in mutated(answers())) {
        let entries = read::<OnCallPage>(&body).map(|page| {
            let _ = page.page.check(0, page.oncalls.len());
            page.oncalls
        });
        for entry in entries.into_iter().flatten() {
            prop_assert!([entry.start, entry.end].into_iter().flatten().all(has_room));
            prop_assert!(entry.user.is_none_or(|user| !user.id.0.is_empty()));
        }
        if let Some(LayerScheduleBody { schedule }) = read(&body) {
            let mut entries = schedule.final_schedule.rendered_schedule_entries.into_iter();
            prop_assert!(entries.all(|entry| has_room(entry.start) && has_room(entry.end)));
        }
        if let Some(ShiftScheduleBody { schedule }) = read(&body) {
            let mut shifts = schedule.final_schedule.computed_shift_assignments.into_iter();
            prop_assert!(shifts.all(|shift| has_room(shift.start_time) && has_room(shift.end_time)));
        }
        if let Some(members) = read::<ShiftMembersBody>(&body).and_then(|body| body.schedule.members()) {
            prop_assert!(members.into_iter().all(|id| !id.0.is_empty()));
        }
        for entry in read::<IncidentPage>(&body).into_iter().flat_map(|page| page.incidents) {
            let _ = serde_json::from_value::<IncidentEntry>(entry);
        }
        let _ = (read::<UserBody>(&body), read::<UserPage>(&body), read::<LayerMembersBody>(&body));
        let _ = (read::<TeamMemberPage>(&body), read::<PriorityPage>(&body), read::<PolicyBody>(&body));
        let _ = (read::<ServiceBody>(&body), read::<ServicePage>(&body), read::<IncidentBody>(&body));
        let _ = (read::<SubscriptionBody>(&body), read::<SubscriptionPage>(&body));
    }
}

/// Times from an answer are compared and moved by days; the years of RFC 3339 leave room for that.
fn has_room(Time(time): Time) -> bool {
    time.checked_add_signed(TimeDelta::days(366_000)).is_some()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}
