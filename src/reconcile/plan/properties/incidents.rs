//! Arbitrary incidents, and who should have access because of them at one instant: rule by rule, incident by incident, person
//! by person, as an operator would say it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use crate::{
    model::{
        Group, Incident, IncidentId, IncidentRef, IncidentSelector, IncidentState, IncidentUrgency, Observed,
        Part, PeopleSelector, RememberedPart, Role, Rule, ServiceId, UserId,
    },
    reconcile::{plan::tests::builders::at, world::World},
};

const SERVICES: [&str; 2] = ["V0", "V1"];
const ROLES: [Role; 3] = [Role::Assignee, Role::Acknowledger, Role::Responder];

fn group(index: usize) -> Group {
    [Group::Team("T".into()), Group::Schedule("S0".into())][index].clone()
}

pub(super) fn selector() -> impl Strategy<Value = PeopleSelector> {
    let services = subsequence(SERVICES.to_vec(), 1..=2);
    let urgencies = subsequence(vec![IncidentUrgency::High, IncidentUrgency::Low], 1..=2);
    let people = (subsequence(ROLES.to_vec(), 1..=3), subsequence(vec![0, 1], 0..=2));
    (services, urgencies, people, 1..7_i64, 1..4_usize).prop_map(
        |(services, urgencies, (roles, eligible), hours, max_people)| {
            PeopleSelector::Incidents(IncidentSelector {
                services: services.into_iter().map(ServiceId::from).collect(),
                urgencies: urgencies.into_iter().collect(),
                priorities: Vec::new(),
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
    (vec(part, 0..4), resolved, any::<bool>(), any::<bool>()).prop_map(
        |(parts, resolved, is_low, by_hand)| {
            let state =
                resolved.map_or(IncidentState::Open, |hour| IncidentState::Resolved { at: hour.map(at) });
            Incident {
                about: reference(0),
                title: String::new(),
                service: "V0".into(),
                urgency: if is_low { "low" } else { "high" }.to_owned(),
                priority: None,
                is_assigned_by_hand: by_hand,
                parts: if state == IncidentState::Open { parts } else { Vec::new() },
                asked: Vec::new(),
                tells_responders: true,
                state,
            }
        },
    )
}

fn remembered() -> impl Strategy<Value = RememberedPart> {
    let ends = option::of(-1..5_i64);
    (0..3_usize, 0..4_usize, 0..4_usize, -8..1_i64, ends).prop_map(|(rule, number, who, since, ends)| {
        RememberedPart {
            rule: format!("rule {rule}"),
            incident: reference(number),
            service: SERVICES[number / 2].into(),
            user: person(who),
            role: Role::Assignee,
            since: at(since),
            ends: ends.map(at),
        }
    })
}

/// Somebody's access because of an incident.
#[derive(Clone, Debug)]
pub(super) struct Entitled<'w> {
    pub(super) user: &'w UserId,
    pub(super) until: DateTime<Utc>,
    pub(super) is_certain: bool,
}

/// Everybody who is entitled by the rule at `now`, where what is over was noticed at `noticed`.
pub(super) fn entitled<'w>(
    world: &'w World,
    rule: &Rule,
    selector: &IncidentSelector,
    (now, noticed): (DateTime<Utc>, DateTime<Utc>),
) -> Vec<Entitled<'w>> {
    let mut found = Vec::new();
    let answers = selector.services.iter().filter_map(|service| world.incidents.get(service));
    let seen: Vec<&Incident> = answers.flat_map(known).collect();
    let ours: Vec<&RememberedPart> =
        world.recorded.parts.iter().filter(|part| part.rule == rule.name).collect();
    let mut present = BTreeSet::new();
    for incident in seen.iter().filter(|incident| concerns(selector, incident)) {
        let mut people = in_it(world, selector, incident, &ours);
        present.extend(people.iter().map(|(_, user, _)| (&incident.about.id, *user)));
        people
            .retain(|(first, _, is_meant)| *is_meant != Some(false) && *first + selector.max_duration > now);
        people.sort();
        for (place, (first, user, is_meant)) in people.iter().enumerate() {
            let sure_before = people[..place].iter().filter(|(_, _, is_meant)| *is_meant == Some(true));
            if sure_before.count() < selector.max_people {
                let is_certain = *is_meant == Some(true) && place < selector.max_people;
                found.push(Entitled { user, until: *first + selector.max_duration, is_certain });
            }
        }
    }
    for part in ours.into_iter().filter(|part| !present.contains(&(&part.incident.id, &part.user))) {
        let longest = part.since + selector.max_duration;
        if part.ends.is_some_and(|ends| ends <= noticed) || longest <= noticed {
            continue;
        }
        let incident = seen.iter().find(|incident| incident.about.id == part.incident.id);
        let until = match incident.map(|incident| incident.state) {
            None => longest,
            Some(IncidentState::Resolved { at: Some(at) }) => part.ends.unwrap_or(at + rule.end_late),
            Some(_) => part.ends.unwrap_or(noticed + rule.end_late),
        };
        let (user, is_certain) = (&part.user, incident.is_some());
        found.push(Entitled { user, until: until.min(longest), is_certain });
    }
    found.retain(|one| one.until > now);
    found
}

fn concerns(selector: &IncidentSelector, incident: &Incident) -> bool {
    incident.state == IncidentState::Open
        && selector.services.contains(&incident.service)
        && selector.urgencies.iter().any(|urgency| urgency.as_str() == incident.urgency)
}

/// Since when everybody is in the incident, and whether the person is meant; nobody knows if nothing is said.
fn in_it<'w>(
    world: &World,
    selector: &IncidentSelector,
    incident: &'w Incident,
    ours: &[&RememberedPart],
) -> Vec<(DateTime<Utc>, &'w UserId, Option<bool>)> {
    let counted = || incident.parts.iter().filter(|part| selector.roles.contains(&part.role));
    let users: BTreeSet<&UserId> = counted().map(|part| &part.user).collect();
    let one = |user: &'w UserId| {
        let before = ours.iter().filter(|part| part.incident.id == incident.about.id && part.user == *user);
        let parts = || counted().filter(|part| part.user == *user);
        let first = parts().map(|part| part.since).chain(before.map(|part| part.since)).min();
        let by_policy = parts().any(|part| part.role == Role::Assignee && !incident.is_assigned_by_hand);
        let groups = selector.eligible.iter().map(|group| match world.members.get(group) {
            Some(Observed::Known(members)) => Some(members.contains(user)),
            Some(Observed::Unknown(_)) | None => None,
        });
        let groups: Vec<Option<bool>> = groups.collect();
        let is_meant = if by_policy || groups.contains(&Some(true)) {
            Some(true)
        } else if groups.contains(&None) {
            None
        } else {
            Some(false)
        };
        (first.expect("the person plays a part"), user, is_meant)
    };
    users.into_iter().map(one).collect()
}
