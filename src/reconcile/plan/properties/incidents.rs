//! Arbitrary incidents, and what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use crate::{
    model::{
        Group, Incident, IncidentId, IncidentRef, IncidentSelector, IncidentState, IncidentUrgency, Observed,
        Part, PeopleSelector, PriorityId, RememberedPart, Role, ServiceId, UserId,
    },
    reconcile::plan::tests::builders::at,
};

pub(super) const SERVICES: [&str; 2] = ["V0", "V1"];
const ROLES: [Role; 3] = [Role::Assignee, Role::Acknowledger, Role::Responder];

fn group(index: usize) -> Group {
    [Group::Team("T".into()), Group::Schedule("S0".into())][index].clone()
}

pub(super) fn selector() -> impl Strategy<Value = PeopleSelector> {
    let services = subsequence(SERVICES.to_vec(), 1..=2);
    let urgencies = subsequence(vec![IncidentUrgency::High, IncidentUrgency::Low], 1..=2);
    let priorities = prop_oneof![3 => Just(None), 1 => Just(Some(PriorityId::from("P1")))];
    let people = (subsequence(ROLES.to_vec(), 1..=3), subsequence(vec![0, 1], 0..=2));
    ((services, priorities), urgencies, people, 1..7_i64, 1..4_usize).prop_map(
        |((services, priorities), urgencies, (roles, eligible), hours, max_people)| {
            PeopleSelector::Incidents(IncidentSelector {
                services: services.into_iter().map(ServiceId::from).collect(),
                urgencies: urgencies.into_iter().collect(),
                priorities: priorities.into_iter().collect(),
                roles: roles.into_iter().collect(),
                eligible: eligible.into_iter().map(group).collect(),
                max_duration: TimeDelta::hours(hours),
                max_people,
            })
        },
    )
}

/// What PagerDuty tells of incidents, and what is remembered of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) incidents: BTreeMap<ServiceId, Observed<Vec<Incident>>>,
    pub(super) unseen: BTreeSet<IncidentId>,
    pub(super) members: BTreeMap<Group, Observed<BTreeSet<UserId>>>,
    pub(super) remembered: Vec<RememberedPart>,
}

pub(super) fn told(doubt: u32) -> impl Strategy<Value = Told> {
    let incidents = vec(super::worlds::observed(doubt, vec(incident(), 0..3)), 2);
    let members = vec(super::worlds::observed(doubt, subsequence(vec![0, 1, 2, 3], 0..4)), 2);
    let unseen = subsequence(vec![0, 1, 2, 3], 0..=2);
    (incidents, members, unseen, vec(remembered(), 0..6)).prop_map(
        |(incidents, members, unseen, remembered)| {
            let mut told = Told::default();
            for (service, answer) in SERVICES.into_iter().zip(incidents) {
                let numbered = |incidents: Vec<Incident>| -> Vec<Incident> {
                    let ids = 2 * usize::from(service == "V1")..;
                    let one = |(number, incident): (usize, Incident)| Incident {
                        about: reference(number),
                        service: service.into(),
                        ..incident
                    };
                    ids.zip(incidents).map(one).collect()
                };
                let answer = answer.map(|answer| match answer {
                    Observed::Known(incidents) => Observed::Known(numbered(incidents)),
                    Observed::Unknown(fault) => Observed::Unknown(fault),
                });
                told.incidents.extend(answer.map(|answer| (service.into(), answer)));
            }
            let seen: BTreeSet<IncidentId> =
                told.incidents.values().flat_map(known).map(|one| one.about.id.clone()).collect();
            // Whoever is not listed was asked for by ID.
            told.unseen = unseen
                .into_iter()
                .map(|number| reference(number).id)
                .filter(|id| !seen.contains(id))
                .collect();
            for (index, answer) in members.into_iter().enumerate() {
                let answer = answer.map(|answer| match answer {
                    Observed::Known(members) => Observed::Known(members.into_iter().map(person).collect()),
                    Observed::Unknown(fault) => Observed::Unknown(fault),
                });
                told.members.extend(answer.map(|answer| (group(index), answer)));
            }
            let mut keys = BTreeSet::new();
            told.remembered = remembered;
            told.remembered
                .retain(|part| keys.insert((part.rule.clone(), part.incident.id.clone(), part.user.clone())));
            told
        },
    )
}

fn known(answer: &Observed<Vec<Incident>>) -> &[Incident] {
    match answer {
        Observed::Known(incidents) => incidents,
        Observed::Unknown(_) => &[],
    }
}

fn reference(number: usize) -> IncidentRef {
    IncidentRef { id: IncidentId::from(format!("Q{number}")), number: None, html_url: None }
}

fn person(index: usize) -> UserId {
    UserId::from(format!("P-p{index}"))
}

fn incident() -> impl Strategy<Value = Incident> {
    let part = (0..4_usize, 0..3_usize, -8..1_i64).prop_map(|(who, role, since)| Part {
        user: person(who),
        email: None,
        role: ROLES[role],
        since: at(since),
    });
    let resolved = option::weighted(0.2, option::weighted(0.8, -3..1_i64));
    (vec(part, 0..4), resolved, any::<[bool; 3]>(), prop::bool::weighted(0.8)).prop_map(
        |(mut parts, resolved, [is_low, by_hand, has_priority], tells_responders)| {
            parts.retain(|part| tells_responders || part.role != Role::Responder);
            let state =
                resolved.map_or(IncidentState::Open, |hour| IncidentState::Resolved { at: hour.map(at) });
            Incident {
                about: reference(0),
                title: String::new(),
                service: "V0".into(),
                urgency: if is_low { "low" } else { "high" }.to_owned(),
                priority: has_priority.then(|| "P1".into()),
                is_assigned_by_hand: by_hand,
                parts: if state == IncidentState::Open { parts } else { Vec::new() },
                asked: Vec::new(),
                tells_responders,
                state,
            }
        },
    )
}

fn remembered() -> impl Strategy<Value = RememberedPart> {
    let ends = option::of(-1..5_i64);
    (0..3_usize, 0..4_usize, (0..4_usize, 0..3_usize), -8..1_i64, ends).prop_map(
        |(rule, number, (who, role), since, ends)| RememberedPart {
            rule: format!("rule {rule}"),
            incident: reference(number),
            service: SERVICES[number / 2].into(),
            user: person(who),
            role: ROLES[role],
            since: at(since),
            ends: ends.map(at),
        },
    )
}
