//! `[rules.incidents]`: who of the people that work on an incident gets access, and for how long.

use std::collections::BTreeSet;

use super::identifier;
use crate::{
    config::reader::{Section, Value},
    model::{Group, IncidentSelector, IncidentUrgency, Role},
};

/// So many people of one incident have access, unless the operator says otherwise.
const MAX_PEOPLE: u32 = 10;

/// A word that the operator writes, and what it stands for.
type Word<T> = (&'static str, T);

const URGENCIES: [Word<IncidentUrgency>; 2] =
    [("high", IncidentUrgency::High), ("low", IncidentUrgency::Low)];
const PEOPLE: [Word<Role>; 3] =
    [("assignees", Role::Assignee), ("acknowledgers", Role::Acknowledger), ("responders", Role::Responder)];

pub(super) fn read(value: &Value<'_>) -> IncidentSelector {
    let section = value.section("rules.incidents");
    if section.get("services").is_none() {
        section.missing("services", "is missing; name the PagerDuty services whose incidents give access");
    }
    let services = section.texts("services", "a PagerDuty service ID", identifier);
    let priorities = section.texts("priorities", "the ID of a PagerDuty priority", identifier);
    let roles = words(&section, "people", &PEOPLE).unwrap_or_else(|| BTreeSet::from([Role::Assignee]));
    let eligible = eligible(&section);
    if let (None, Some(people)) = (&eligible, section.get("people"))
        && roles.iter().any(|role| *role != Role::Assignee)
    {
        people.mistake(
            "anybody who can act on an incident can make others acknowledgers or responders; \
             add eligible, which says whose members may get access so",
        );
    }
    IncidentSelector {
        services: services.into_iter().map(Into::into).collect(),
        urgencies: words(&section, "urgencies", &URGENCIES)
            .unwrap_or_else(|| BTreeSet::from([IncidentUrgency::High])),
        priorities: priorities.into_iter().map(Into::into).collect(),
        roles,
        eligible: eligible.unwrap_or_default(),
        max_duration: section.time_delta("max_duration", "4h", "1m"..="24h"),
        max_people: max_people(&section),
    }
}

fn max_people(section: &Section<'_>) -> usize {
    let number = section.get("max_people").and_then(|value| value.number(1));
    usize::try_from(number.unwrap_or(MAX_PEOPLE)).unwrap_or(usize::MAX)
}

fn words<T: Copy + Ord>(section: &Section<'_>, key: &str, known: &[Word<T>]) -> Option<BTreeSet<T>> {
    let value = section.get(key)?;
    let all = known.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let mut found = BTreeSet::new();
    for item in value.list(&format!("one of {all}")) {
        let Some(text) = item.text(&format!("one of {all}")) else { continue };
        match known.iter().find(|(word, _)| *word == text) {
            Some((_, meant)) if !found.insert(*meant) => {
                item.mistake(format!("{text:?} is listed twice; name it once"));
            }
            Some(_) => {}
            None => item.mistake(format!("{text:?} is not allowed here; write {all}")),
        }
    }
    Some(found)
}

fn eligible(section: &Section<'_>) -> Option<Vec<Group>> {
    let value = section.get("eligible")?;
    let groups = value.section("rules.incidents.eligible");
    let teams = groups.texts("teams", "a PagerDuty team ID", identifier);
    let schedules = groups.texts("schedules", "a PagerDuty schedule ID", identifier);
    let policies = groups.texts("escalation_policies", "a PagerDuty escalation policy ID", identifier);
    if ["teams", "schedules", "escalation_policies"].into_iter().all(|key| groups.get(key).is_none()) {
        value.mistake("names nobody; write teams, schedules or escalation_policies, or remove it");
    }
    let teams = teams.into_iter().map(|id| Group::Team(id.into()));
    let schedules = schedules.into_iter().map(|id| Group::Schedule(id.into()));
    let policies = policies.into_iter().map(|id| Group::Policy(id.into()));
    Some(teams.chain(schedules).chain(policies).collect())
}
