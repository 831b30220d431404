//! `[[rules]]`: who gets access to which resources.

mod incidents;

use std::collections::BTreeMap;

use super::{Place, reader::Section, values::no_control};
use crate::model::{KubernetesGroups, PeopleSelector, ResourceSelector, Rule};

/// How long the name of a Kubernetes group may be, and how many of them a rule may name: far more than anybody has, and
/// little enough for a message to strongDM.
const LONGEST_GROUP: usize = 253;
const MOST_GROUPS: usize = 100;

pub(super) fn read(root: &Section<'_>) -> Vec<Rule> {
    let Some(value) = root.get("rules") else {
        root.missing("rules", "there is no rule; write at least one [[rules]] table");
        return Vec::new();
    };
    let sections = value.list("a table headed [[rules]]").into_iter().map(|value| value.section("rules"));
    let mut names = BTreeMap::new();
    sections.map(|section| rule(&section, &mut names)).collect()
}

fn rule(section: &Section<'_>, names: &mut BTreeMap<String, Place>) -> Rule {
    let people = people(section);
    let is_about_incidents = matches!(people, PeopleSelector::Incidents(_));
    // A shift may begin as far ahead as the longest horizon; more would be another shift's business.
    let start_early = section.time_delta("start_early", "0s", "0s"..="90d");
    if let Some(value) = section.get("start_early").filter(|_| is_about_incidents && !start_early.is_zero()) {
        value.mistake("belongs to shifts, since nobody knows beforehand when an incident begins; remove it");
    }
    // Whoever is done with an incident still writes down what was done.
    let end_late = if is_about_incidents { "15m" } else { "0s" };
    Rule {
        name: name(section, names),
        people,
        resources: resources(section),
        kubernetes_groups: kubernetes_groups(section),
        start_early,
        end_late: section.time_delta("end_late", end_late, "0s"..="90d"),
    }
}

fn name(section: &Section<'_>, names: &mut BTreeMap<String, Place>) -> String {
    let Some(value) = section.get("name") else {
        section.missing("name", "is missing; give the rule a name of its own");
        return String::new();
    };
    let name = value.text("a name for the rule").unwrap_or_default();
    if let Err(message) = no_control(name) {
        value.mistake(message);
    }
    if let Some(Place::Line { line, .. }) = names.get(name) {
        value.mistake(format!(
            "{name:?} is already the name of the rule in line {line}; names must be unique"
        ));
    } else if !name.is_empty() {
        names.insert(name.to_owned(), value.place);
    }
    name.to_owned()
}

/// What a rule may name to say who gets access; exactly one of them.
const KINDS: [&str; 3] = ["schedules", "escalation_policies", "incidents"];

fn people(section: &Section<'_>) -> PeopleSelector {
    let schedules = section.texts("schedules", "a PagerDuty schedule ID", identifier);
    let policies = section.texts("escalation_policies", "a PagerDuty escalation policy ID", identifier);
    let levels = levels(section);
    let include_always_on_call = section.get("include_always_on_call").and_then(|value| value.flag());
    let incidents = section.get("incidents").map(|value| incidents::read(&value));

    let given: Vec<&str> = KINDS.into_iter().filter(|key| section.get(key).is_some()).collect();
    if given.is_empty() {
        section.missing(
            "schedules",
            "is missing; a rule names schedules, escalation_policies or, in a table [rules.incidents], incidents",
        );
    }
    if let [_, .., last] = given[..]
        && let Some(value) = section.get(last)
    {
        let number = if given.len() == 2 { "both" } else { "all" };
        value.mistake(format!(
            "{} are {number} given; keep one, and give each other a rule of its own",
            given.join(" and ")
        ));
    }
    if let [kind] = given[..]
        && kind != "escalation_policies"
    {
        for key in ["escalation_levels", "include_always_on_call"] {
            if let Some(value) = section.get(key) {
                value.mistake(format!("belongs to escalation_policies, not to {kind}; remove it"));
            }
        }
    }

    if let Some(incidents) = incidents {
        return PeopleSelector::Incidents(incidents);
    }
    if section.get("schedules").is_some() {
        return PeopleSelector::Schedules(schedules.into_iter().map(Into::into).collect());
    }
    PeopleSelector::Policies {
        ids: policies.into_iter().map(Into::into).collect(),
        levels,
        include_always_on_call: include_always_on_call.unwrap_or(false),
    }
}

fn levels(section: &Section<'_>) -> Vec<u32> {
    let Some(value) = section.get("escalation_levels") else { return Vec::new() };
    let mut levels = Vec::new();
    for item in value.list("a level such as 1") {
        let Some(level) = item.number(1) else { continue };
        if levels.contains(&level) {
            item.mistake(format!("level {level} is listed twice; name it once"));
        }
        levels.push(level);
    }
    levels
}

fn resources(section: &Section<'_>) -> Vec<ResourceSelector> {
    if section.get("resources").is_none() && section.get("resource_filters").is_none() {
        section.missing("resources", "is missing; a rule names resources, resource_filters or both");
    }
    let names = section.texts("resources", "an exact strongDM resource name", resource_name);
    let filters = section.texts("resource_filters", "a strongDM filter expression", no_control);
    let names = names.into_iter().map(ResourceSelector::Name);
    names.chain(filters.into_iter().map(ResourceSelector::Filter)).collect()
}

fn kubernetes_groups(section: &Section<'_>) -> KubernetesGroups {
    let groups = section.texts("kubernetes_groups", "the name of a Kubernetes group", kubernetes_group);
    if let Some(value) = section.get("kubernetes_groups").filter(|_| groups.len() > MOST_GROUPS) {
        value.mistake(format!("names {} groups; at most {MOST_GROUPS} are possible", groups.len()));
    }
    groups.into_iter().collect()
}

/// Groups are named by whoever writes role bindings, such as `system:masters`; Kubernetes compares them exactly.
fn kubernetes_group(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty; name a group as role bindings of the cluster do".to_owned());
    }
    if text.trim() != text {
        return Err("begins or ends with a blank, as no group does; remove it".to_owned());
    }
    if text.len() > LONGEST_GROUP {
        return Err(format!(
            "is longer than {LONGEST_GROUP} bytes; name a group as role bindings of the cluster do"
        ));
    }
    no_control(text)
}

/// Identifiers are opaque, of any length and in any case; but what holds blanks, slashes or the like is an address or a
/// name, and no schedule would ever be found by it.
fn identifier(text: &str) -> Result<(), String> {
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(
            "must be an ID as PagerDuty shows it, letters and digits: the last part of the address of its \
                    page, such as PI7DH85"
                .to_owned(),
        );
    }
    Ok(())
}

/// Resource names are looked up by filter, where these characters would mean something else.
fn resource_name(text: &str) -> Result<(), String> {
    if text.trim() != text {
        return Err("begins or ends with a blank, as no resource name does; remove it".to_owned());
    }
    if text.chars().any(|c| c.is_control() || "*\"\\,".contains(c)) {
        return Err("must be an exact resource name, without *, \", \\, comma or control characters; \
                    for patterns there is resource_filters"
            .to_owned());
    }
    Ok(())
}
