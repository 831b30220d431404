use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::*;
use crate::model::Upstream;

/// Metrics with at least one sample of each.
fn sampled() -> String {
    let metrics = Metrics::new();
    let rule = "payments".to_owned();
    metrics.rule_observed.get_or_create(&ByRule { rule }).set(1);
    metrics.passes.get_or_create(&ByTrigger { trigger: "start", result: "complete" }).inc();
    let upstream = Upstream::PagerDuty;
    let sent = Sent { upstream, operation: "on_calls", code: "200".to_owned(), seconds: 0.2 };
    let budget = Budget { upstream, kind: "on_calls", bucket: String::new() };
    metrics.record_request(sent, Some((budget, Told { limit: Some(960), remaining: 950 })));
    metrics.set_waiting(Some((1.0, 2.5)));
    metrics.preflight.get_or_create(&ByKind { kind: "no_account" }).set(1);
    metrics.subscription.get_or_create(&ByState { state: "active" }).set(1);
    metrics.task_failures.get_or_create(&ByTask { task: "housekeeping" }).inc();
    metrics.clock_ahead.get_or_create(&ByUpstream { upstream: "pagerduty" }).set(0);
    metrics.text(Exposition::OpenMetrics)
}

/// What the comments of this kind say, by metric.
fn described<'t>(text: &'t str, kind: &str) -> Vec<(&'t str, &'t str)> {
    let lines =
        text.lines().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(kind)?.strip_prefix(' '));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

fn samples(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

fn deployed(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every metric that a text speaks of.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("oncall_grants_")).collect()
}

#[test]
fn every_metric_has_a_sample_a_type_and_a_help_text() {
    let text = sampled();
    let (helped, typed) = (described(&text, "HELP"), described(&text, "TYPE"));
    assert!(helped.len() >= 20, "{text}");
    assert_eq!(helped.len(), typed.len());
    for ((name, help), (same, _)) in helped.iter().zip(&typed) {
        assert_eq!(name, same);
        assert!(name.starts_with("oncall_grants_"), "{name}");
        assert!(help.len() > 15 && help.ends_with('.') && !help.ends_with(".."), "{name}: {help}");
        assert!(samples(&text).iter().any(|sample| sample.starts_with(name)), "{name} has no sample");
    }
}

#[test]
fn times_carry_their_unit() {
    for (name, kind) in described(&sampled(), "TYPE") {
        let time =
            ["duration", "age", "timestamp", "ahead"].iter().any(|word| name.contains(&format!("_{word}")));
        assert_eq!(time, name.ends_with("_seconds"), "{name}");
        assert!(kind != "histogram" || name.ends_with("_duration_seconds"), "{name}");
    }
}

#[test]
fn alerts_and_the_dashboard_speak_of_metrics_that_exist() {
    let text = sampled();
    let exist = samples(&text);
    for file in ["prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/dashboard.json"] {
        let deployed = deployed(file);
        let mentioned = mentioned(&deployed);
        assert!(mentioned.len() > 5, "{file}");
        let unknown: Vec<_> = mentioned.difference(&exist).collect();
        assert!(unknown.is_empty(), "{file} speaks of {unknown:?}");
    }
}

/// The names in `a="1",b=~"2"` or `a, b`.
fn labels(inside: &str) -> BTreeSet<&str> {
    let names = inside.split(',').map(|part| part.split(['=', '!']).next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).collect()
}

/// What is between `open` and `close`, if the text starts with the first.
fn within(text: &str, open: char, close: char) -> &str {
    text.strip_prefix(open).and_then(|rest| rest.split(close).next()).unwrap_or_default()
}

/// Every metric that a text speaks of, with the labels that it selects or sums by.
fn labelled(text: &str) -> Vec<(&str, BTreeSet<&str>)> {
    let mut spoken = text.split("oncall_grants_").peekable();
    let mut found = Vec::new();
    while let (Some(before), Some(after)) = (spoken.next(), spoken.peek()) {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, selected) = (&after[..end], within(&after[end..], '{', '}'));
        // Series that a test of the alerts makes up follow its expressions.
        let before = before.rsplit("- series:").next().unwrap_or_default();
        let by = before.rsplit_once(" by ").map_or("", |(_, list)| within(list, '(', ')'));
        found.push((name, labels(selected).union(&labels(by)).copied().collect()));
    }
    found
}

#[test]
fn alerts_and_the_dashboard_select_and_sum_by_labels_that_exist() {
    let text = sampled();
    let exist: BTreeMap<_, _> =
        labelled(&text).into_iter().filter(|(_, labels)| !labels.is_empty()).collect();
    for file in ["prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/dashboard.json"] {
        let deployed = deployed(file);
        let spoken = labelled(&deployed);
        assert!(spoken.iter().filter(|(_, labels)| labels.len() > 1).count() > 5, "{file}");
        for (name, wanted) in spoken {
            let given = exist.get(name).into_iter().flatten().copied();
            // What Prometheus adds when it scrapes.
            let given: BTreeSet<_> = given.chain(["job", "instance"]).collect();
            let unknown: Vec<_> = wanted.difference(&given).collect();
            assert!(unknown.is_empty(), "{file} wants {unknown:?} of {name}");
        }
    }
}

#[test]
fn every_metric_has_a_place_on_the_dashboard() {
    let dashboard = deployed("grafana/dashboard.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
    let shown = mentioned(&dashboard);
    for (name, _) in described(&sampled(), "TYPE") {
        assert!(shown.iter().any(|shown| shown.starts_with(name)), "{name} is not shown");
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let (alerts, runbook) = (deployed("prometheus/alerts.yml"), deployed("RUNBOOK.md"));
    let alerts: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        let section =
            alert.split_once("runbook: ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
        assert!(runbook.contains(&format!("\n## {section}\n")), "{name} points to {section:?}");
    }
}
