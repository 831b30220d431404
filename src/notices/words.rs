//! Notices in words for people who do not know this program.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::model::{Grant, Names, Window};

/// `14:00 UTC`, with the day unless it is that of `now`.
fn moment(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let time = at.format("%H:%M UTC");
    if at.date_naive() == now.date_naive() {
        time.to_string()
    } else {
        format!("{time} on {}", at.format("%-d %B %Y"))
    }
}

/// The person's name, or else the address.
fn person(names: &Names, grant: &Grant) -> String {
    let known = grant.name.as_ref().or_else(|| names.person(grant.email.as_str()));
    known.map_or_else(|| grant.email.to_string(), ToString::to_string)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

/// Resources with the time of access, those of one time together.
fn by_time(grants: &[&Grant], time: impl Fn(Window) -> String) -> String {
    let mut resources: BTreeMap<(Window, String), Vec<String>> = BTreeMap::new();
    for grant in grants {
        let of_time = resources.entry((grant.window, time(grant.window))).or_default();
        if !of_time.contains(&grant.resource) {
            of_time.push(grant.resource.clone());
        }
    }
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for ((_, time), mut of_time) in resources {
        of_time.sort_unstable();
        match texts.iter_mut().find(|(known, _)| *known == time) {
            Some((_, known)) => known.extend(of_time),
            None => texts.push((time, of_time)),
        }
    }
    let texts: Vec<String> =
        texts.iter().map(|(time, resources)| format!("{} {time}", listed(resources))).collect();
    texts.join("; ")
}

/// Why somebody has access: the first cause of those that an audit entry tells, in plain words.
fn because(reason: &str, names: &Names) -> String {
    let first = reason.split("; ").next().unwrap_or(reason);
    let Some((_, part)) = first.split_once(" is ").filter(|(before, _)| before.contains(": user ")) else {
        return format!(": {}", names.tell(reason));
    };
    let told = names.tell(part);
    let plain = ["schedule ", "escalation policy "].into_iter().find_map(|kind| {
        let rest = told.strip_prefix("on call for ")?.strip_prefix(kind)?;
        let (name, more) = without_id(rest)?;
        Some(format!("on call for {name}{more}"))
    });
    format!(", because they are {}", plain.unwrap_or(told))
}

/// What stands before and behind the first ID in brackets: a name, and what follows.
fn without_id(text: &str) -> Option<(&str, &str)> {
    text.match_indices(" (").find_map(|(at, _)| {
        let (id, more) = text[at + 2..].split_once(')')?;
        let is_id = !id.is_empty() && id.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        is_id.then_some((&text[..at], more))
    })
}

/// What is told of access that was given to one person.
pub(super) fn granted(names: &Names, grants: &[&Grant], reason: &str, now: DateTime<Utc>) -> String {
    let Some(first) = grants.first() else { return String::new() };
    let time = |window: Window| {
        let until = format!("until {}", moment(window.end(), now));
        if window.start() <= now { until } else { format!("from {} {until}", moment(window.start(), now)) }
    };
    format!("{} can reach {}{}.", person(names, first), by_time(grants, time), because(reason, names))
}

/// What is told of access that was taken from one person.
pub(super) fn revoked(names: &Names, grants: &[&Grant], reason: &str, now: DateTime<Utc>) -> String {
    let Some(first) = grants.first() else { return String::new() };
    let time = |window: Window| format!("(it was to end at {})", moment(window.end(), now));
    let why = names.tell(reason);
    format!("{} can no longer reach {}: {why}.", person(names, first), by_time(grants, time))
}

/// What a notice of somebody's access tells programs.
#[derive(Serialize)]
pub(super) struct Data<'n> {
    pub(super) email: &'n str,
    pub(super) name: Option<&'n str>,
    pub(super) resources: Vec<ResourceFor<'n>>,
    pub(super) rules: BTreeSet<&'n str>,
    pub(super) reason: &'n str,
    pub(super) trigger: &'n str,
    pub(super) pass_id: &'n str,
}

/// A resource, and for how long.
#[derive(Serialize)]
pub(super) struct ResourceFor<'n> {
    pub(super) resource: &'n str,
    #[serde(flatten)]
    pub(super) window: Window,
}

impl Data<'_> {
    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("text, lists and instants")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{KubernetesGroups, Name, SeenName, Thing};

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn grant(resource: &str, from: i64, to: i64) -> Grant {
        Grant {
            id: None,
            email: "ana@corp.example".parse().unwrap(),
            account_id: "a-1".into(),
            resource: resource.to_owned(),
            resource_id: "rs-1".into(),
            window: Window::new(at(from), at(to)).unwrap(),
            kubernetes_groups: KubernetesGroups::default(),
            rules: vec!["r".to_owned()],
            name: None,
        }
    }

    #[test]
    fn notices_are_understood_without_knowing_this_program() {
        let mut names = Names::default();
        let add = |thing: Thing, name: &str, address: Option<&str>| SeenName {
            thing,
            name: Name::new(name).unwrap(),
            address: address.map(str::to_owned),
        };
        let reason = "rule \"payments\": user P4 is on call for schedule P1; rule \"all\": user P4 is on call for schedule P1";
        let (db, web, later) = (grant("db", 0, 60), grant("web", 0, 60), grant("db", 120, 3000));
        assert_eq!(
            granted(&names, &[&db], reason, at(0)),
            "ana@corp.example can reach db until 09:00 UTC, because they are on call for schedule P1."
        );
        names.add(add(Thing::Schedule("P1".into()), "Payments primary", None), None);
        names.add(add(Thing::User("P4".into()), "Ana Lima", Some("ana@corp.example")), None);
        assert_eq!(
            granted(&names, &[&db, &web, &later], reason, at(0)),
            "Ana Lima can reach db and web until 09:00 UTC; db from 10:00 UTC until 10:00 UTC on 17 January 2027, because \
             they are on call for Payments primary."
        );
        assert_eq!(
            revoked(&names, &[&db], "not on call any more", at(0)),
            "Ana Lima can no longer reach db (it was to end at 09:00 UTC): not on call any more."
        );
        assert_eq!(
            granted(&names, &[&db], "made by hand", at(0)),
            "Ana Lima can reach db until 09:00 UTC: made by hand."
        );
    }
}
