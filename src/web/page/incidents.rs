//! The open incidents that rules are about: who is in and until when, and who is left out and why.

use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, count, distance, few, time},
};
use crate::{
    model::{PeopleSelector, Role, Thing, name_and_id},
    reconcile::report::open_incidents::{OpenIncident, Participant, ParticipantAccess},
};

/// The incidents that are shown, and the people of each.
const SHOWN: usize = 12;
const PEOPLE: usize = 8;
/// The rules that are named.
const NAMED: usize = 3;

/// How many there are, with the way to them; nothing, unless a rule is about incidents.
pub(super) fn count_of(facts: &Facts<'_>) -> Markup {
    let number = facts.snapshot.incidents.len() + facts.snapshot.beyond.incidents;
    let is = if number == 1 { "is" } else { "are" };
    html! {
        @if has_rule(facts) { p { a href="#incidents" { (count(number, "incident")) } " that rules are about " (is) " open." } }
    }
}

fn has_rule(facts: &Facts<'_>) -> bool {
    facts.rules.iter().any(|rule| matches!(rule.people, PeopleSelector::Incidents(_)))
}

/// Nothing, unless a rule is about incidents.
pub(super) fn incidents(facts: &Facts<'_>) -> Markup {
    if !has_rule(facts) {
        return html! {};
    }
    let snapshot = &facts.snapshot;
    let (open, number) = (&snapshot.incidents, snapshot.incidents.len() + snapshot.beyond.incidents);
    html! {
        section #incidents aria-labelledby="incidents-title" {
            div.section-head {
                h2 #incidents-title { "Open incidents" }
                p {
                    (count(number, "incident")) " that rules are about; "
                    @match snapshot.people_in_incidents {
                        0 => { "nobody has access because of one" }
                        1 => { "1 person has access because of one" }
                        people => { (people) " people have access because of one" }
                    }
                }
            }
            @if open.is_empty() { p.empty { "No incident is open that a rule is about." } }
            @else {
                ul.cards { @for incident in open.iter().take(SHOWN) { (card(facts, incident)) } }
            }
            @if number > open.len().min(SHOWN) { p.after { "And " (count(number - open.len().min(SHOWN), "older incident")) "." } }
        }
    }
}

fn card(facts: &Facts<'_>, incident: &OpenIncident) -> Markup {
    let OpenIncident { about, title, service, service_name, urgency, rules, people, beyond } = incident;
    let number = about.number.map_or_else(|| about.id.to_string(), |number| format!("#{number}"));
    let tone = if urgency == "high" { Tone::Bad } else { Tone::Info };
    let more = people.len().saturating_sub(PEOPLE) + beyond;
    html! {
        li.card {
            h3 {
                (chip(tone, urgency)) " "
                @match &about.html_url {
                    Some(url) => { a href=(url) rel="noreferrer" { "Incident " (number) } }
                    None => { "Incident " (number) }
                }
            }
            @if !title.is_empty() { p { (title) } }
            p.quiet { "Service " (name_and_id(facts.names.of(Thing::Service(service.clone())).or(service_name.as_ref()), service.as_str())) " · rules: " (few(rules, NAMED)) }
            @if people.is_empty() && more == 0 { p.empty { "Nobody whom a rule counts works on it." } }
            ul { @for person in people.iter().take(PEOPLE) { li { (participant(facts, person, rules.len() > 1)) } } }
            @if more > 0 { p.after { "And " (more) " more." } }
        }
    }
}

fn participant(facts: &Facts<'_>, person: &Participant, names_rule: bool) -> Markup {
    let now = facts.now;
    let Participant { who, name, rule, role, since, access, until, reason } = person;
    let (tone, word) = match access {
        ParticipantAccess::In => (Tone::Good, "in"),
        ParticipantAccess::Leaving => (Tone::Info, "leaving"),
        ParticipantAccess::Unclear => (Tone::Warn, "unclear"),
        ParticipantAccess::Skipped => (Tone::Warn, "left out"),
        ParticipantAccess::Over => (Tone::Quiet, "no more"),
    };
    html! {
        (chip(tone, word)) " " strong { (name_and_id(facts.names.person(who).or(name.as_ref()), who)) } ", " (part(*role)) " since " (time(now, *since))
        @if let Some(until) = until { ", until " (time(now, *until)) " at the latest (" (distance(now, *until)) ")" }
        @match (access, reason) {
            (_, Some(reason)) => { ": " (reason) }
            (ParticipantAccess::Leaving, None) => { ": the part in it is over" }
            (ParticipantAccess::Over, None) => { ": the time that the rule gives is used up" }
            (ParticipantAccess::Unclear, None) => { ": it cannot be seen whether the part counts; nothing is given or taken meanwhile" }
            (ParticipantAccess::In | ParticipantAccess::Skipped, None) => {}
        }
        @if names_rule { " (rule " (rule) ")" }
    }
}

fn part(role: Role) -> &'static str {
    match role {
        Role::Assignee => "assigned",
        Role::Acknowledger => "acknowledged it",
        Role::Responder => "joined",
        Role::Other => "in it",
    }
}
