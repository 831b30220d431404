//! Bodies of triggers as somebody changed them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::tests::marks;
use crate::model::tests::{mutated, runs, samples};

/// What those who are known here make us look at.
const KNOWN: [(&str, &str); 6] = [
    ("PI7DH85", "schedule:PI7DH85"),
    ("P-2_b", "schedule:P-2_b"),
    ("PT20YPA", "policy:PT20YPA"),
    ("PSV1", "service:PSV1"),
    ("PSV2", "service:PSV2"),
    ("Q1", "service:PSV2"),
];

fn bodies() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"schedules": ["PI7DH85", "P-2_b"], "text": "see\nPSV1 or \u0050T20YPA", "url": "https:\/\/x.example\/Q1"}"#,
        r#"[[{"PSV2": {"Q1": null}}], "PI7DH85 PT20YPA", 17, "\ud83d\ude00PSV1\ud83d"]"#,
        "schedule=PI7DH85&policy=PT20YPA\n\nincident Q1",
    ];
    let texts = texts.map(|text| text.as_bytes().to_vec());
    texts.into_iter().chain(samples("tests/fixtures/pagerduty/webhooks")).collect()
}

/// All texts in it, each by itself.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                found.push(key.clone());
                texts(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether the ID stands in the text by itself.
fn names(text: &str, id: &str) -> bool {
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.match_indices(id)
        .any(|(at, _)| !text[..at].ends_with(is_of_id) && !text[at + id.len()..].starts_with(is_of_id))
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn a_body_narrows_the_look_to_no_less_than_it_names(body in mutated(bodies())) {
        let marks: BTreeSet<String> = marks(&body).into_iter().collect();
        let is_known = |mark: &String| KNOWN.iter().any(|(_, known)| known == mark);
        prop_assert!(!marks.is_empty() && (marks.iter().all(is_known) || marks.iter().eq(["*"])), "{marks:?}");
        let mut found = vec![String::from_utf8_lossy(&body).into_owned()];
        if let Ok(json) = serde_json::from_slice(&body) {
            texts(&json, &mut found);
        }
        for (id, mark) in KNOWN {
            let is_named = found.iter().any(|text| names(text, id));
            prop_assert!(!is_named || marks.contains(mark), "{id} is named, but {marks:?} is looked at");
        }
    }
}
