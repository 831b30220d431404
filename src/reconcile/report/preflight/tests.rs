use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::*;
use crate::{
    model::{Aliases, KubernetesGroups, Resource, Severity},
    reconcile::{
        plan::{Released, plan},
        world::AccountMatch,
    },
};

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + hour * 3600, 0).unwrap()
}

fn shift_of(user: &str, hours: Option<(i64, i64)>, level: u32) -> OnCall {
    OnCall {
        user: user.into(),
        email: Some(format!("{user}@example.com")),
        schedule: hours.map(|_| "PS".into()),
        policy: Some("PP".into()),
        level: Some(level),
        start: hours.map(|(start, _)| at(start)),
        end: hours.map(|(_, end)| at(end)),
    }
}

fn settings(people: PeopleSelector, selector: ResourceSelector) -> Settings {
    let rule = Rule {
        name: "r".to_owned(),
        people,
        resources: vec![selector],
        kubernetes_groups: KubernetesGroups::default(),
        start_early: TimeDelta::zero(),
        end_late: TimeDelta::zero(),
    };
    let horizon = TimeDelta::hours(24);
    Settings { rules: vec![rule], aliases: Aliases::default(), horizon, max_revocations: 20 }
}

fn by_schedule() -> Settings {
    settings(PeopleSelector::Schedules(vec!["PS".into()]), ResourceSelector::Name("db".into()))
}

fn world(settings: &Settings, on_calls: Vec<OnCall>, found: ResourceMatch) -> World {
    let mut world = World::default();
    for on_call in &on_calls {
        world.people.insert(on_call.user.clone(), Observed::Known(on_call.email.clone()));
        let email = on_call.email.as_deref().unwrap().parse().unwrap();
        world.accounts.insert(email, Observed::Known(AccountMatch::None));
    }
    let rule = &settings.rules[0];
    world.on_calls.insert(rule.sources().remove(0), Observed::Known(on_calls));
    world.resources.insert(rule.resources[0].clone(), Observed::Known(found));
    world
}

fn resources(count: usize) -> ResourceMatch {
    let resource = |n| Resource { id: format!("rs-{n}").into(), name: format!("db{n}") };
    ResourceMatch::Found((0..count).map(resource).collect())
}

fn found(settings: &Settings, world: &World) -> Vec<Finding> {
    let now = at(0);
    preflight(
        now,
        settings,
        world,
        &plan(now, settings, world, Released::Nothing),
        &ahead(now, settings, world),
    )
}

fn texts(findings: &[Finding], kind: &str) -> Vec<String> {
    findings.iter().filter(|one| one.kind.as_str() == kind).map(|one| one.message.clone()).collect()
}

#[test]
fn gaps_are_what_no_shift_covers_until_the_horizon() {
    let settings = by_schedule();
    for (shifts, expected) in [
        (vec![(-5, 30)], None),
        (vec![(-5, 6), (6, 24)], None),
        (vec![(-5, 6), (8, 24)], Some("from 2027-01-15T14:00:00Z until 2027-01-15T16:00:00Z")),
        (vec![(2, 24)], Some("nobody is on call now and until 2027-01-15T10:00:00Z")),
        (vec![(-5, 20)], Some("from 2027-01-16T04:00:00Z until the horizon")),
        (vec![(-9, 1), (2, 3), (4, 5), (6, 7), (8, 24)], Some(" and 1 more time (schedule PS)")),
        (vec![], Some("nobody is on call within the horizon of 1d (schedule PS)")),
    ] {
        let on_calls = shifts.iter().map(|hours| shift_of("ana", Some(*hours), 1)).collect();
        let gaps = texts(&found(&settings, &world(&settings, on_calls, resources(1))), "gap");
        match expected {
            None => assert!(gaps.is_empty(), "{shifts:?}: {gaps:?}"),
            Some(words) => assert!(gaps.len() == 1 && gaps[0].contains(words), "{shifts:?}: {gaps:?}"),
        }
    }
}

#[test]
fn a_level_that_nobody_has_is_told_as_that_and_not_as_a_gap() {
    for (levels, shifts, expected) in [
        (vec![7], vec![(0, 24, 1), (0, 24, 3)], Some("escalation policy PP is at level 7 (seen: 1, 3)")),
        (vec![1, 2], vec![(0, 24, 1)], Some("is at level 2 (seen: 1)")),
        (vec![1], vec![(0, 24, 1)], None),
    ] {
        let by = PeopleSelector::Policies { ids: vec!["PP".into()], levels, include_always_on_call: false };
        let settings = settings(by, ResourceSelector::Name("db".into()));
        let shifts =
            shifts.iter().map(|(from, to, level)| shift_of("ana", Some((*from, *to)), *level)).collect();
        let findings = found(&settings, &world(&settings, shifts, resources(1)));
        let told = texts(&findings, "level_not_seen");
        assert_eq!(told.len(), usize::from(expected.is_some()), "{told:?}");
        assert!(expected.is_none_or(|words| told[0].contains(words)), "{told:?}");
        assert_eq!(texts(&findings, "gap"), [""; 0]);
    }
    // Nobody at all is a gap whatever the level.
    let by =
        PeopleSelector::Policies { ids: vec!["PP".into()], levels: vec![7], include_always_on_call: false };
    let settings = settings(by, ResourceSelector::Name("db".into()));
    let findings = found(&settings, &world(&settings, Vec::new(), resources(1)));
    assert_eq!((texts(&findings, "gap").len(), texts(&findings, "level_not_seen").len()), (1, 0));
}

#[test]
fn an_alias_that_leads_to_nobody_is_told_with_both_addresses() {
    let mut settings = by_schedule();
    let email = |text: &str| -> crate::model::Email { text.parse().unwrap() };
    settings.aliases = [(email("bo@example.com"), email("bo@typo.example"))].into_iter().collect();
    let mut world = world(&settings, vec![shift_of("bo", Some((0, 24)), 1)], resources(1));
    world.accounts.insert(email("bo@typo.example"), Observed::Known(AccountMatch::None));
    let finding = found(&settings, &world).remove(0);
    assert_eq!((finding.kind, finding.subject.as_str()), (FindingKind::NoAccount, "bo@typo.example"));
    assert!(finding.message.contains("accounts.aliases maps bo@example.com"), "{finding}");
    assert!(finding.remedy.contains("correct the alias of bo@example.com"), "{finding}");
}

#[test]
fn what_could_not_be_seen_is_no_gap() {
    let settings = by_schedule();
    let mut world = world(&settings, Vec::new(), resources(1));
    world.on_calls.insert(Source::Schedule("PS".into()), Observed::Unknown("down".into()));
    assert!(found(&settings, &world).is_empty());
    world.on_calls.clear();
    assert!(found(&settings, &world).is_empty());
}

#[test]
fn people_without_an_account_are_problems_with_their_next_shift() {
    let settings = by_schedule();
    let shifts = vec![shift_of("bo", Some((3, 24)), 1), shift_of("ana", Some((-3, 3)), 1)];
    let findings = found(&settings, &world(&settings, shifts, resources(1)));
    let told: Vec<(Severity, &str)> =
        findings.iter().map(|one| (one.severity, one.subject.as_str())).collect();
    let problem = Severity::Problem;
    assert_eq!(told, [(problem, "ana@example.com"), (problem, "bo@example.com")]);
    assert!(findings[0].message.contains("on call since 2027-01-15T05:00:00Z (rules: r)"), "{}", findings[0]);
    assert!(findings[1].message.contains("on call from 2027-01-15T11:00:00Z"), "{}", findings[1]);
}

#[test]
fn filters_that_match_nothing_or_very_much_are_warnings() {
    let by = PeopleSelector::Schedules(vec!["PS".into()]);
    let settings = settings(by, ResourceSelector::Filter("tags:env=prod".into()));
    for (count, kind) in
        [(0, Some("filter_without_match")), (50, None), (51, Some("filter_with_many_matches"))]
    {
        let findings = found(&settings, &world(&settings, Vec::new(), resources(count)));
        let kinds: BTreeSet<&str> =
            findings.iter().map(|one| one.kind.as_str()).filter(|kind| *kind != "gap").collect();
        assert_eq!(kinds, kind.into_iter().collect(), "{count}");
    }
    let refused = ResourceMatch::Refused("no such field".to_owned());
    let findings = found(&settings, &world(&settings, Vec::new(), refused));
    assert!(texts(&findings, "filter_refused")[0].contains("no such field"));
}

#[test]
fn direct_targets_are_noted_only_where_the_rule_leaves_them_out() {
    for (levels, include, expected) in
        [(vec![], false, 1), (vec![3], false, 1), (vec![1], false, 0), (vec![], true, 0)]
    {
        let by = PeopleSelector::Policies { ids: vec!["PP".into()], levels, include_always_on_call: include };
        let settings = settings(by, ResourceSelector::Name("db".into()));
        let world = world(&settings, vec![shift_of("cem", None, 3)], resources(1));
        assert_eq!(texts(&found(&settings, &world), "always_on_call").len(), expected);
    }
}

#[test]
fn a_gap_is_news_once_although_its_ends_move_with_the_clock() {
    let gap = |from: i64, until: i64| Finding {
        stretches: vec![Window::new(at(from), at(until)).unwrap()],
        ..Finding::warning(FindingKind::Gap, "rule \"r\"", "")
    };
    assert!(gap(3, 9).is_among(&[gap(2, 8)]));
    assert!(!gap(9, 12).is_among(&[gap(2, 8)]));
    let plain = Finding::problem(FindingKind::NoAccount, "ana@example.com", "on call from then");
    assert!(plain.is_among(&[Finding { message: "on call since then".to_owned(), ..plain.clone() }]));
    assert!(!plain.is_among(&[Finding::problem(FindingKind::NoAccount, "bo@example.com", "")]));
}
