use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::*;
use crate::{
    model::{
        Account, Email, Incident, IncidentSelector, IncidentState, IncidentUrgency, KubernetesGroups,
        Observed, Part, Rule,
    },
    reconcile::world::AccountMatch,
};

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
}

fn rule() -> Rule {
    let selector = IncidentSelector {
        services: vec!["PSV".into()],
        urgencies: BTreeSet::from([IncidentUrgency::High]),
        priorities: Vec::new(),
        roles: BTreeSet::from([Role::Assignee, Role::Responder]),
        eligible: Vec::new(),
        max_duration: TimeDelta::hours(4),
        max_people: 1,
    };
    Rule {
        name: "r".to_owned(),
        people: PeopleSelector::Incidents(selector),
        resources: Vec::new(),
        kubernetes_groups: KubernetesGroups::default(),
        start_early: TimeDelta::zero(),
        end_late: TimeDelta::zero(),
    }
}

fn incident(number: u64, urgency: &str, parts: &[(&str, Role, i64)]) -> Incident {
    let part = |(user, role, minute): &(&str, Role, i64)| Part {
        user: (*user).into(),
        email: None,
        role: *role,
        since: at(*minute),
    };
    Incident {
        about: IncidentRef { id: format!("Q{number}").into(), number: Some(number), html_url: None },
        title: "a title".to_owned(),
        service: "PSV".into(),
        state: IncidentState::Open,
        urgency: urgency.to_owned(),
        priority: None,
        is_assigned_by_hand: false,
        parts: parts.iter().map(part).collect(),
        asked: Vec::new(),
        tells_responders: true,
    }
}

#[test]
fn everybody_in_an_open_incident_is_listed_with_what_comes_of_it() {
    let settings = Settings {
        rules: vec![rule()],
        aliases: std::iter::empty::<(Email, Email)>().collect(),
        horizon: TimeDelta::hours(24),
        max_revocations: 20,
    };
    let mut world = World::default();
    for name in ["ana", "bo", "cem"] {
        let address = format!("{name}@example.com");
        world.people.insert(name.into(), Observed::Known(Some(address.clone())));
        let found = match name {
            "ana" => AccountMatch::One(Account { id: "a-1".into(), suspended: false }),
            _ => AccountMatch::None,
        };
        world.accounts.insert(address.parse().unwrap(), Observed::Known(found));
    }
    let people = [("ana", Role::Assignee, -9), ("bo", Role::Assignee, -5), ("cem", Role::Responder, -3)];
    let incidents = vec![
        incident(7, "high", &people),
        incident(8, "high", &[("bo", Role::Assignee, -1)]),
        incident(9, "low", &people),
    ];
    world.incidents.insert("PSV".into(), Observed::Known(incidents));

    let open = open_incidents(at(0), &settings, &world);
    let numbers: Vec<Option<u64>> = open.iter().map(|open| open.about.number).collect();
    assert_eq!(numbers, [Some(8), Some(7)], "the newest first, and only what a rule is about");
    let told = |open: &OpenIncident| -> Vec<(String, ParticipantAccess, Option<SkipReason>)> {
        open.people.iter().map(|one| (one.who.clone(), one.access, one.reason)).collect()
    };
    let skipped = |who: &str, reason| (who.to_owned(), ParticipantAccess::Skipped, Some(reason));
    assert_eq!(told(&open[0]), [skipped("bo@example.com", SkipReason::NoAccount)]);
    assert_eq!(
        told(&open[1]),
        [
            ("ana@example.com".to_owned(), ParticipantAccess::In, None),
            skipped("bo@example.com", SkipReason::TooManyPeople),
            skipped("cem@example.com", SkipReason::NotEligible),
        ]
    );
    assert_eq!(open[1].people[0].until, Some(at(231)));
    assert_eq!(open[1].people_in().collect::<Vec<_>>(), ["ana@example.com"]);
}
