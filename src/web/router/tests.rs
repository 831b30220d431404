//! What `/openapi.json` says of the routes, and that it says it of all of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// What `/openapi.json` answers.
fn document() -> Value {
    let routes = actions().merge(listings()).merge(explanations()).merge(triggers()).merge(open());
    let (_, Document(json)) = described(routes, "");
    serde_json::from_slice(&json).unwrap()
}

/// What others rely on.
const PROMISED: [&str; 11] = [
    "/webhooks/pagerduty",
    "/sync",
    "/trigger",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/grants",
    "/api/audit",
    "/api/audit/checkpoint",
    "/api/events",
    "/",
];

#[test]
fn every_route_is_described() {
    let document = document();
    assert!(document["openapi"].as_str().is_some_and(|version| version >= "3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in PROMISED {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    // Routes enter the router together with their description, and in no other way.
    let router = include_str!("../router.rs");
    assert_eq!(router.matches(".route(").count(), 0, "a route is added without its description");
    assert_eq!(router.matches("routes!(").count(), paths.len());
}

/// The answers of a route that are JSON.
fn json_answers(operation: &Value) -> impl Iterator<Item = &Value> {
    let answers = operation["responses"].as_object().into_iter().flat_map(|answers| answers.values());
    answers.filter_map(|answer| answer["content"].get("application/json"))
}

#[test]
fn every_answer_has_a_shape_and_every_shape_is_there() {
    let document = document();
    let mut described = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for answer in json_answers(operation) {
                let shape = answer["schema"].as_object().unwrap();
                // The description of descriptions is elsewhere.
                let free = path == "/openapi.json";
                assert!(
                    free || ["$ref", "type"].iter().any(|key| shape.contains_key(*key)),
                    "{method} {path}"
                );
                described += 1;
            }
        }
    }
    assert!(described > 20);
    let text = document.to_string();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name = text[at..].split(['"', '/']).nth(3).unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is not described");
    }
}

#[test]
fn every_operation_has_a_name_and_its_errors() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is used twice");
            assert!(
                operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
                "{method} {path}"
            );
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with(['2', '3'])), "{method} {path}");
            let asks_for_token = operation["security"].is_array();
            assert_eq!(asks_for_token, answers.contains_key("403"), "{method} {path}");
            assert!(!asks_for_token || answers.contains_key("401"), "{method} {path}");
        }
    }
}
