use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::{
    model::{FindingKind, KubernetesGroups, PeopleSelector, Severity, SkipReason, Subject, Window},
    reconcile::report::{Trigger, preflight::Ahead},
};

fn read(stored: &str) -> StatusSnapshot {
    serde_json::from_str(stored).unwrap()
}

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + hour * 3600, 0).unwrap()
}

fn schedule(rule: &str) -> Source {
    Source::Schedule(format!("P-{rule}").into())
}

/// Each with a schedule of its own.
fn rules(names: &[&str]) -> Vec<Rule> {
    let rule = |name: &&str| Rule {
        name: (*name).to_owned(),
        people: PeopleSelector::Schedules(vec![format!("P-{name}").into()]),
        resources: Vec::new(),
        kubernetes_groups: KubernetesGroups::default(),
        start_early: TimeDelta::zero(),
        end_late: TimeDelta::zero(),
    };
    names.iter().map(rule).collect()
}

/// A pass that looked at the schedules of these rules.
fn pass(hour: i64, looked_at: &[&str]) -> PassReport {
    let mut report = PassReport::begin("1".to_owned(), Trigger::Manual, at(hour));
    report.unreported.asked = looked_at.iter().map(|rule| schedule(rule)).collect();
    report.unreported.ahead =
        Some(Ahead { until: at(hour + 100), gaps: BTreeMap::new(), others: Vec::new() });
    report
}

/// The scope of a pass that did not look at all rules.
fn narrow() -> Scope {
    Scope::Sources(BTreeSet::from([schedule("a")]))
}

fn with_gap(mut report: PassReport, rule: &str, from: i64, until: i64) -> PassReport {
    let gap = Window::new(at(from), at(until)).unwrap();
    report.unreported.ahead.as_mut().unwrap().gaps.entry(rule.to_owned()).or_default().push(gap);
    report
}

fn with_skipped(mut report: PassReport, email: &str, rules: &[&str]) -> PassReport {
    report.skipped.push(Skipped {
        subject: Subject::Email(email.to_owned()),
        name: None,
        reason: SkipReason::NoAccount,
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        first_shift: None,
    });
    report
}

fn without(mut report: PassReport, about: Asked) -> PassReport {
    report.unknown.push(Unknown::new(about, "502"));
    report
}

fn gaps(snapshot: &StatusSnapshot) -> Vec<(&str, i64, Option<i64>)> {
    let hour = |instant: DateTime<Utc>| (instant - at(0)).num_hours();
    snapshot.gaps.iter().map(|gap| (gap.rule.as_str(), hour(gap.start), gap.end.map(hour))).collect()
}

fn skipped(snapshot: &StatusSnapshot) -> Vec<(String, Vec<&str>)> {
    snapshot
        .skipped
        .iter()
        .map(|it| (it.subject.to_string(), it.rules.iter().map(String::as_str).collect()))
        .collect()
}

#[test]
fn a_gap_keeps_its_beginning_while_it_goes_on_and_goes_when_it_is_filled() {
    let rules = rules(&["a"]);
    let snapshot =
        StatusSnapshot::default().after(&with_gap(pass(0, &["a"]), "a", 0, 5), &Scope::All, &rules);
    let snapshot = snapshot.after(&with_gap(pass(2, &["a"]), "a", 2, 5), &Scope::All, &rules);
    assert_eq!(gaps(&snapshot), [("a", 0, Some(5))]);
    let snapshot = snapshot.after(&with_gap(pass(3, &["a"]), "a", 6, 103), &Scope::All, &rules);
    assert_eq!(gaps(&snapshot), [("a", 6, None)], "somebody stepped in");
    let snapshot = snapshot.after(&pass(3, &["a"]), &narrow(), &rules);
    assert_eq!(gaps(&snapshot), []);
}

#[test]
fn what_a_pass_did_not_see_stays_until_it_is_over() {
    let both = rules(&["a", "b"]);
    let report = with_gap(with_gap(pass(0, &["a", "b"]), "a", 1, 5), "b", 2, 6);
    let snapshot = StatusSnapshot::default().after(&report, &Scope::All, &both);
    let narrow = snapshot.clone().after(&pass(1, &["a"]), &narrow(), &both);
    assert_eq!(gaps(&narrow), [("b", 2, Some(6))]);
    let blind = without(pass(3, &["a", "b"]), schedule("b").into());
    let blind = snapshot.clone().after(&blind, &Scope::All, &both);
    assert_eq!(gaps(&blind), [("b", 2, Some(6))]);
    let late = without(pass(6, &["a", "b"]), schedule("b").into());
    assert_eq!(gaps(&snapshot.clone().after(&late, &Scope::All, &both)), []);
    assert_eq!(gaps(&snapshot.after(&pass(1, &[]), &Scope::All, &rules(&["c"]))), [], "the rules are gone");
}

#[test]
fn people_without_an_account_are_known_until_somebody_looks() {
    let ana = || "ana@example.com".to_owned();
    let both = rules(&["a", "b"]);
    let report = with_skipped(pass(0, &["a", "b"]), "ana@example.com", &["a", "b"]);
    let snapshot = StatusSnapshot::default().after(&report, &Scope::All, &both);
    assert!(!snapshot.skipped[0].reason.remedy().is_empty());
    let after = |report: PassReport, scope| snapshot.clone().after(&report, &scope, &both);
    assert_eq!(skipped(&after(pass(1, &["a", "b"]), Scope::All)), []);
    assert_eq!(skipped(&after(pass(1, &["a"]), narrow())), [(ana(), vec!["b"])]);
    let again = with_skipped(pass(1, &["a"]), "ana@example.com", &["a"]);
    assert_eq!(skipped(&after(again, narrow())), [(ana(), vec!["a", "b"])]);
    let email = "ana@example.com".parse().unwrap();
    let blind = without(pass(1, &["a", "b"]), Asked::Account(email));
    assert_eq!(skipped(&after(blind, Scope::All)), [(ana(), vec!["a", "b"])]);
}

#[test]
fn what_is_kept_grows_with_the_rules_alone_and_the_rest_is_counted() {
    let both = rules(&["a", "b"]);
    let crowd = |number: usize| {
        let mut report = pass(0, &["a", "b"]);
        for person in 0..number {
            report = with_skipped(report, &format!("person.{person}@example.com"), &["a"]);
            report = with_gap(
                report,
                "b",
                i64::try_from(person).unwrap() * 2,
                i64::try_from(person).unwrap() * 2 + 1,
            );
            report = without(report, Asked::Resource(format!("db-{person}")));
        }
        StatusSnapshot::default().after(&report, &Scope::All, &both)
    };
    let (many, more) = (crowd(1_000), crowd(3_000));
    let kept = |snapshot: &StatusSnapshot| {
        (snapshot.skipped.len(), snapshot.unknown.len(), snapshot.gaps.len(), snapshot.missing.len())
    };
    assert_eq!(kept(&many), (LISTED, LISTED, GAPS, 0));
    assert_eq!(kept(&more), kept(&many));
    assert_eq!((many.beyond.skipped, more.beyond.unknown), (1_000 - LISTED, 3_000 - LISTED));
    assert_eq!((many.rules["a"].skipped, more.rules["b"].gaps), (1_000, 3_000));

    // Whoever looked at one rule does not know better about the rest; who looked at all does.
    let one = with_skipped(pass(1, &["b"]), "bo@example.com", &["b"]);
    let narrow = many.clone().after(&one, &narrow(), &both);
    assert_eq!(narrow.rules["a"].skipped, 1_000);
    assert_eq!(
        (narrow.rules["b"], narrow.beyond.skipped),
        (RuleCounts { skipped: 1, ..RuleCounts::default() }, 800)
    );
    let well = narrow.after(&pass(2, &["a", "b"]), &Scope::All, &both);
    assert_eq!((well.beyond, well.rules.len()), (Beyond::default(), 0));
}

#[test]
fn who_is_on_call_without_a_grant_is_known_until_somebody_looks() {
    let both = rules(&["a", "b"]);
    let want = |rule: &str| Wanted {
        email: "ana@example.com".parse().unwrap(),
        resource: "db".to_owned(),
        start: at(0),
        end: Some(at(8)),
        rule: rule.to_owned(),
        source: schedule(rule),
    };
    let after = |snapshot: &StatusSnapshot, report: &PassReport, missing: &[&str]| {
        let mut snapshot = snapshot.clone();
        snapshot.take_missing(report, missing.iter().map(|rule| want(rule)).collect());
        snapshot.after(report, &Scope::All, &both)
    };
    let names = |snapshot: &StatusSnapshot, hour| -> Vec<String> {
        snapshot.missing_at(at(hour)).map(|wanted| wanted.rule.clone()).collect()
    };
    let snapshot = after(&StatusSnapshot::default(), &pass(1, &["a", "b"]), &["a", "b"]);
    assert_eq!((names(&snapshot, 1), names(&snapshot, 8)), (vec!["a".to_owned(), "b".to_owned()], vec![]));
    let blind = after(&snapshot, &without(pass(2, &["a", "b"]), schedule("b").into()), &[]);
    assert_eq!(names(&blind, 2), ["b"]);
    assert_eq!(names(&after(&blind, &pass(3, &["a", "b"]), &[]), 3), Vec::<String>::new());
}

/// As version 64b0777 wrote it.
#[test]
fn snapshots_of_older_versions_are_read() {
    let held = json!({
        "id": "ag-1", "email": "bo@example.com", "resource": "db", "start": at(0), "end": at(1), "rules": ["a"],
    });
    let older = json!({
        "full_at": at(0),
        "sources": [{"source": {"schedule": "P-a"}, "seen_at": at(0), "error": null}],
        "wanted": [{
            "email": "ana@example.com", "resource": "db", "start": at(0), "end": null, "rule": "a",
            "source": {"schedule": "P-a"},
        }],
        "held": [held],
        "skipped": [{"about": "ana@example.com", "reason": "no account", "rules": ["a"], "first_shift": null}],
        "gaps": [{"rule": "a", "start": at(1), "end": null}],
        "others": [{
            "severity": "note", "kind": "gap", "about": "x", "message": "y", "remedy": "z", "rule": "a",
        }],
    });
    let older = read(&older.to_string());
    assert_eq!((older.full_at, older.looked_until, older.skipped.len()), (Some(at(0)), None, 1));
    assert_eq!((older.sources.len(), older.missing.len(), gaps(&older)), (1, 0, vec![("a", 1, None)]));
    assert_eq!(skipped(&older), [("ana@example.com".to_owned(), vec!["a"])]);
    assert_eq!(older.held, [], "it lacks the account's ID");
    let after = older.after(&pass(1, &["a"]), &Scope::All, &rules(&["a"]));
    assert_eq!(skipped(&after), []);
}

#[test]
fn snapshots_of_newer_versions_are_read() {
    let newer = json!({
        "gaps": [{"rule": "a", "start": at(1), "end": null, "mood": "calm"}, {"team": "b"}],
        "findings": [{
            "severity": "catastrophe", "kind": "new", "subject": "x", "message": "y", "remedy": "z", "rule": "a",
        }],
        "left_out": [{"incident": "Q1", "reason": "on_holiday", "rules": ["a"]}],
        "weather": "fair",
    });
    let newer = read(&newer.to_string());
    assert_eq!(gaps(&newer), [("a", 1, None)]);
    let finding = &newer.findings[0].finding;
    assert_eq!((finding.severity, finding.kind), (Severity::Note, FindingKind::Other));
    assert_eq!((newer.skipped.len(), newer.skipped[0].reason), (1, SkipReason::Other));
}

#[test]
fn a_snapshot_is_read_as_it_was_written() {
    let report = with_skipped(with_gap(pass(0, &["a"]), "a", 0, 5), "ana@example.com", &["a"]);
    let mut report = without(report, Asked::Account("bo@example.com".parse().unwrap()));
    let finding = Finding::warning(FindingKind::LevelNotSeen, "rule \"a\"", "nobody").mended_by("somebody");
    report.unreported.ahead.as_mut().unwrap().others.push(("a".to_owned(), finding));
    let written = StatusSnapshot::default().after(&report, &Scope::All, &rules(&["a"]));
    assert_eq!(read(&serde_json::to_string(&written).unwrap()), written);
    assert_eq!((written.findings.len(), written.unknown.len()), (1, 1));
}
