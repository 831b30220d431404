use super::{
    LaneState::{Deferred, Held, InForce, Missing, Unsure},
    *,
};
use crate::{
    model::{KubernetesGroups, OwnGrant},
    reconcile::report::snapshot::SourceStatus,
    store::{LedgerEntry, State},
};

fn at(hours: i64) -> DateTime<Utc> {
    // A midnight.
    DateTime::from_timestamp(1_800_057_600, 0).unwrap() + TimeDelta::hours(hours)
}

fn span() -> Span {
    Span { start: at(0), now: at(2), end: at(24) }
}

fn rule() -> Rule {
    Rule {
        name: "r".to_owned(),
        people: crate::model::PeopleSelector::Schedules(vec!["P1".into()]),
        resources: Vec::new(),
        kubernetes_groups: KubernetesGroups::default(),
        start_early: TimeDelta::zero(),
        end_late: TimeDelta::zero(),
    }
}

fn entry(email: &str, from: i64, to: i64) -> LedgerEntry {
    let grant = Grant {
        id: Some(format!("ag-{email}-{from}").into()),
        email: email.parse().unwrap(),
        name: None,
        account_id: "a-1".into(),
        resource: "db".to_owned(),
        resource_id: "rs-1".into(),
        window: Window::new(at(from), at(to)).unwrap(),
        kubernetes_groups: KubernetesGroups::default(),
        rules: vec!["r".to_owned()],
    };
    LedgerEntry {
        own: OwnGrant { row: from.into(), grant, causes: Vec::new() },
        state: State::Live,
        intended_at: at(0),
    }
}

/// The state of each lane: first those of the grants, then those without one.
fn states(ledger: &[LedgerEntry], snapshot: &StatusSnapshot, held: &[i64]) -> Vec<(String, LaneState)> {
    let held: BTreeSet<LedgerRow> = held.iter().copied().map(LedgerRow::from).collect();
    let rules = [rule()];
    let known = Known { held: &held, snapshot, rules: &rules };
    let shown: BTreeSet<Access> = ledger.iter().map(|entry| access_of(&entry.own.grant)).collect();
    let shown: Vec<Access> = shown.into_iter().collect();
    let of = |entry: &LedgerEntry| {
        let same = |other: &&LedgerEntry| other.own.grant.email == entry.own.grant.email;
        ledger.iter().filter(same).count()
    };
    let seen: Vec<SeenGrant> =
        ledger.iter().map(|entry| SeenGrant { entry: entry.clone(), of: of(entry) }).collect();
    let lanes = lanes(&span(), &shown, &seen, known);
    let mut lanes: Vec<(String, Lane)> = lanes.into_values().flatten().collect();
    let others = lacking(&span(), known, |_| true).into_iter().map(|(access, lane)| (access.email, lane));
    lanes.extend(others.filter(|(email, _)| !shown.iter().any(|access| access.email == *email)));
    lanes.into_iter().map(|(email, lane)| (email, lane.state(at(2)))).collect()
}

#[test]
fn a_stretch_is_cut_at_the_edges_of_the_view() {
    let place = |from, to| span().place(at(from), to).map(|place| (place.x.round(), place.width.round()));
    assert_eq!(place(6, Some(at(12))), Some((25.0, 25.0)));
    assert_eq!(place(-9, Some(at(12))), Some((0.0, 50.0)));
    assert_eq!(place(12, None), Some((50.0, 50.0)));
    assert_eq!(place(24, Some(at(30))), None);
    assert_eq!(place(-9, Some(at(0))), None);
}

#[test]
fn lines_stand_on_full_hours_and_are_few() {
    for hours in [6, 24, 72, 168, 2160] {
        let span = Span::around(at(5) + TimeDelta::minutes(17), TimeDelta::hours(hours));
        let ticks = span.ticks();
        assert!((3..=13).contains(&ticks.len()), "{hours} hours: {} lines", ticks.len());
        assert!(ticks.iter().all(|tick| tick.at.minute() == 0 && (0.0..100.0).contains(&tick.x)));
    }
    assert_eq!(span().ticks().iter().filter(|tick| tick.midnight).count(), 0, "the edge has no line");
}

#[test]
fn neighbouring_grants_are_one_access() {
    let ledger = [entry("ana@x", 0, 4), entry("ana@x", 4, 9), entry("bo@x", 9, 12)];
    let expected = [("ana@x", LaneState::InForce(at(9))), ("bo@x", LaneState::Coming(at(9)))];
    let expected = expected.map(|(email, state)| (email.to_owned(), state));
    assert_eq!(states(&ledger, &StatusSnapshot::default(), &[]), expected);
}

#[test]
fn held_missing_deferred_and_unseen_come_first() {
    let waiting = Grant { id: None, ..entry("wait@x", 0, 8).own.grant };
    let source = rule().sources().remove(0);
    let want = |email: &str| Wanted {
        email: email.parse().unwrap(),
        resource: "db".to_owned(),
        start: at(0),
        end: Some(at(8)),
        rule: "r".to_owned(),
        source: source.clone(),
    };
    let mut snapshot = StatusSnapshot {
        missing: vec![want("miss@x"), want("wait@x")],
        deferred: vec![waiting],
        ..StatusSnapshot::default()
    };
    let ledger = [entry("held@x", -1, 8), entry("fine@x", 0, 8)];
    let names = |snapshot: &StatusSnapshot| {
        states(&ledger, snapshot, &[-1]).into_iter().map(|(_, it)| it).collect::<Vec<_>>()
    };
    assert_eq!(names(&snapshot), [Held(at(8)), InForce(at(8)), Missing, Deferred]);
    snapshot.sources.push(SourceStatus { source, seen_at: Some(at(1)), error: Some("502".to_owned()) });
    assert_eq!(names(&snapshot), [Held(at(8)), Unsure(at(8)), Missing, Deferred]);
}
