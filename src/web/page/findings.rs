//! What somebody should mend, the most urgent first, each with what mends it: stretches for which a rule has nobody,
//! people without an account, names and filters that find nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, count, distance, few, time},
    notice::Notice,
    paging::pages,
    query::PageQuery,
};
use crate::{
    model::{Finding, Names, PeopleSelector, Rule, Severity, SkipReason, Skipped, Subject},
    reconcile::report::{
        preflight::FILL,
        snapshot::{Gap, RuleFinding},
    },
};

/// A gap that begins within this time is somebody's business today.
const SOON: TimeDelta = TimeDelta::hours(24);
/// The stretches of one rule that are told; the timeline shows the others.
const STRETCHES: usize = 4;
/// The findings that are shown at once.
const AT_ONCE: usize = 12;
/// The names of a kind that a finding tells.
const NAMED: usize = 5;

/// Something to be mended, before it is put into words.
enum Entry<'f> {
    Nobody(&'f Rule, Vec<&'f Gap>),
    LeftOut(&'f Skipped),
    OfRule(&'f RuleFinding),
}

/// Something to be mended.
struct Item {
    /// The worst and the earliest come first.
    urgency: (Urgency, Option<DateTime<Utc>>),
    /// When it bites, or how bad it is.
    word: String,
    about: String,
    what: Markup,
    remedy: String,
    rules: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Now,
    Soon,
    Some,
}

impl Urgency {
    /// How pressing it is that something is wrong from `at` on.
    fn of(now: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        if at <= now {
            Self::Now
        } else if at - now < SOON {
            Self::Soon
        } else {
            Self::Some
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Now => Tone::Bad,
            Self::Soon => Tone::Warn,
            Self::Some => Tone::Info,
        }
    }
}

/// By rule, the stretches without anyone that are not over yet, in order of time.
pub(super) fn gaps<'f>(facts: &'f Facts<'_>) -> BTreeMap<&'f str, Vec<&'f Gap>> {
    let mut by_rule: BTreeMap<&str, Vec<&Gap>> = BTreeMap::new();
    for gap in facts.snapshot.gaps.iter().filter(|gap| gap.end.is_none_or(|end| end > facts.now)) {
        by_rule.entry(&gap.rule).or_default().push(gap);
    }
    for gaps in by_rule.values_mut() {
        gaps.sort_by_key(|gap| gap.start);
    }
    by_rule
}

/// A stretch without anyone, in words.
pub(super) fn stretch(facts: &Facts<'_>, gap: &Gap) -> Markup {
    let now = facts.now;
    html! {
        @if gap.start <= now { "since " } @else { "from " }
        (time(now, gap.start)) " (" (distance(now, gap.start)) ") "
        @match (gap.end, facts.snapshot.looked_until) {
            (Some(end), _) => { "until " (time(now, end)) }
            (None, Some(until)) => { "without an end in sight (looked until " (time(now, until)) ")" }
            (None, None) => { "without an end in sight" }
        }
    }
}

/// The section "To be mended".
pub(super) fn findings(facts: &Facts<'_>, query: &PageQuery) -> Markup {
    let entries = entries(facts, &query.search().to_lowercase());
    let part = query.findings(&entries, AT_ONCE);
    let snapshot = &facts.snapshot;
    let beyond = snapshot.beyond.skipped + snapshot.beyond.findings;
    let blind = snapshot.sources.iter().any(|status| status.error.is_some()) || !snapshot.unknown.is_empty();
    html! {
        section #findings aria-labelledby="findings-title" {
            div.section-head { h2 #findings-title { "To be mended" } p { (count(entries.len() + beyond, "finding")) } }
            @if entries.is_empty() {
                p.empty {
                    @if !query.search().is_empty() { "Nothing is known to be amiss with anybody or anything of this name." }
                    @else if snapshot.looked_until.is_none() { "Nobody has looked yet; the first pass will." }
                    @else if blind { "Nothing is known to be amiss, but not everything could be seen." }
                    @else { "Somebody is on call for every rule until the horizon, everybody has an account, and every resource was found." }
                }
            }
            ul.cards.findings { @for entry in part.items { (card(&entry.item(facts), &facts.names)) } }
            (pages(query, &part, "findings", "findings", entries.len()))
            @if beyond > 0 {
                p.after {
                    "And " (beyond) " more that this page does not keep. " code { "oncall-grants check" }
                    " tells all of them, as does the report of " code { "POST /sync" } "."
                }
            }
        }
    }
}

/// What is known to be wrong with this person or resource; nothing if nothing is.
pub(super) fn about(facts: &Facts<'_>, email: Option<&str>, resource: Option<&str>) -> Option<Markup> {
    let is_this = |skipped: &&Skipped| match &skipped.subject {
        Subject::Email(address) | Subject::Other(address) => {
            email.is_some_and(|email| address.eq_ignore_ascii_case(email))
        }
        Subject::Resource(name) => resource.is_some_and(|resource| name == resource),
        Subject::User(_) | Subject::Filter(_) => false,
    };
    let items: Vec<Item> =
        facts.snapshot.skipped.iter().filter(is_this).map(|skipped| left_out(facts, skipped)).collect();
    let told = html! {
        section { h2 { "To be mended" } ul.cards.findings { @for item in &items { (card(item, &facts.names)) } } }
    };
    (!items.is_empty()).then_some(told)
}

fn card(item: &Item, names: &Names) -> Markup {
    html! {
        li class={ "card " (item.urgency.0.tone()) } {
            h3 { (chip(item.urgency.0.tone(), &item.word)) " " (names.tell(&item.about)) }
            div { (item.what) }
            @if !item.remedy.is_empty() { p { strong { "What mends it: " } (item.remedy) "." } }
            @if !item.rules.is_empty() { p.quiet { "Rules: " (item.rules) } }
        }
    }
}

/// All that is to be mended, the most urgent first. `search`, in lower case, keeps what has this text in its name.
fn entries<'f>(facts: &'f Facts<'_>, search: &str) -> Vec<Entry<'f>> {
    let snapshot = &facts.snapshot;
    let mut gaps = gaps(facts);
    let nobody =
        facts.rules.iter().filter_map(|rule| Some(Entry::Nobody(rule, gaps.remove(rule.name.as_str())?)));
    let mut entries: Vec<Entry<'_>> = nobody.collect();
    entries.extend(snapshot.skipped.iter().map(Entry::LeftOut));
    entries.extend(snapshot.findings.iter().map(Entry::OfRule));
    entries.retain(|entry| entry.is_named(search, &facts.names));
    entries.sort_by_cached_key(|entry| (entry.urgency(facts.now), entry.about()));
    entries
}

impl Entry<'_> {
    fn urgency(&self, now: DateTime<Utc>) -> (Urgency, Option<DateTime<Utc>>) {
        match self {
            Self::Nobody(_, gaps) => {
                let first = gaps.first().map(|gap| gap.start);
                (first.map_or(Urgency::Some, |start| Urgency::of(now, start)), first)
            }
            Self::LeftOut(skipped) => urgency_of(now, skipped),
            Self::OfRule(known) => (severity_of(&known.finding).0, None),
        }
    }

    fn about(&self) -> String {
        match self {
            Self::Nobody(rule, _) => format!("Nobody on call for {}", rule.name),
            Self::LeftOut(skipped) => skipped.subject.to_string(),
            Self::OfRule(known) => known.finding.subject.clone(),
        }
    }

    fn is_named(&self, text: &str, names: &Names) -> bool {
        let within = |name: &str| name.to_lowercase().contains(text);
        within(&names.tell(&self.about()))
            || match self {
                Self::Nobody(rule, _) => rule.resources.iter().any(|resource| within(&resource.to_string())),
                Self::LeftOut(skipped) => skipped.rules.iter().any(|rule| within(rule)),
                Self::OfRule(known) => within(&known.rule),
            }
    }

    fn item(&self, facts: &Facts<'_>) -> Item {
        match self {
            Self::Nobody(rule, gaps) => nobody(facts, rule, gaps, self.about()),
            Self::LeftOut(skipped) => left_out(facts, skipped),
            Self::OfRule(known) => of_rule(facts, known),
        }
    }
}

fn nobody(facts: &Facts<'_>, rule: &Rule, gaps: &[&Gap], about: String) -> Item {
    let now = facts.now;
    let first = gaps.first().map_or(now, |gap| gap.start);
    let urgency = Urgency::of(now, first);
    // The snapshot has the first ones only.
    let counted = facts.snapshot.rules.get(&rule.name).map_or(0, |counts| counts.gaps);
    let more = counted.max(gaps.len()) - gaps.len().min(STRETCHES);
    let what = html! {
        p { "Nobody is on call for " (facts.names.tell(&few(rule.sources(), NAMED))) ", so nobody gets " (few(&rule.resources, NAMED)) ":" }
        ul {
            @for gap in gaps.iter().take(STRETCHES) { li { (stretch(facts, gap)) } }
            @if more > 0 { li { "and " (count(more, "more time")) } }
        }
        @if facts.has_unknown_source(rule) { p.quiet { "It could not be checked the last time." } }
    };
    Item {
        urgency: (urgency, Some(first)),
        word: if urgency == Urgency::Now { "now".to_owned() } else { distance(now, first) },
        about,
        what,
        remedy: FILL.to_owned(),
        rules: String::new(),
    }
}

fn urgency_of(now: DateTime<Utc>, skipped: &Skipped) -> (Urgency, Option<DateTime<Utc>>) {
    let first = skipped.first_shift;
    if is_meant(skipped.reason) {
        return (Urgency::Some, first);
    }
    (first.map_or(Urgency::Now, |at| Urgency::of(now, at)), first)
}

/// A rule about incidents says itself that such people get nothing.
fn is_meant(reason: SkipReason) -> bool {
    matches!(reason, SkipReason::NotEligible | SkipReason::TooManyPeople)
}

fn severity_of(finding: &Finding) -> (Urgency, &'static str) {
    match finding.severity {
        Severity::Problem => (Urgency::Now, "problem"),
        Severity::Warning => (Urgency::Soon, "warning"),
        Severity::Note => (Urgency::Some, "note"),
    }
}

fn left_out(facts: &Facts<'_>, skipped: &Skipped) -> Item {
    let now = facts.now;
    let Skipped { subject, name: _, reason, rules, first_shift } = skipped;
    let about =
        |rule: &&Rule| matches!(rule.people, PeopleSelector::Incidents(_)) && rules.contains(&rule.name);
    let is_in_incident = !rules.is_empty() && facts.rules.iter().filter(about).count() == rules.len();
    let (word, when) = match first_shift {
        Some(at) if is_in_incident && *at <= now => {
            ("in an incident".to_owned(), html! { ", in an incident since " (time(now, *at)) })
        }
        Some(at) if *at <= now => ("on call now".to_owned(), html! { ", on call since " (time(now, *at)) }),
        Some(at) => (distance(now, *at), html! { ", on call from " (time(now, *at)) }),
        None if is_meant(*reason) => ("left out".to_owned(), html! {}),
        None => ("problem".to_owned(), html! {}),
    };
    Item {
        urgency: urgency_of(now, skipped),
        word,
        about: subject.to_string(),
        what: html! { p { (reason) (when) } },
        remedy: reason.remedy().to_owned(),
        rules: few(rules, NAMED),
    }
}

fn of_rule(facts: &Facts<'_>, RuleFinding { rule, finding }: &RuleFinding) -> Item {
    let Finding { severity: _, kind: _, subject, message, remedy, stretches: _ } = finding;
    let (urgency, word) = severity_of(finding);
    Item {
        urgency: (urgency, None),
        word: word.to_owned(),
        about: subject.clone(),
        what: html! { p { (facts.names.tell(message)) } },
        remedy: remedy.clone(),
        rules: rule.clone(),
    }
}

/// What of this belongs at the top of the page.
pub(super) fn notices(facts: &Facts<'_>) -> Vec<Notice> {
    let mut notices = Vec::new();
    let gaps = gaps(facts);
    let first = |urgency: Urgency| {
        let of =
            |(rule, gaps): (&&str, &Vec<&Gap>)| gaps.first().map(|gap| ((*rule).to_owned(), (*gap).clone()));
        let mut found: Vec<(String, Gap)> = gaps
            .iter()
            .filter_map(of)
            .filter(|(_, gap)| Urgency::of(facts.now, gap.start) == urgency)
            .collect();
        found.sort_by_key(|(_, gap)| gap.start);
        found
    };
    for urgency in [Urgency::Now, Urgency::Soon, Urgency::Some] {
        notices.extend(gap_notice(facts, urgency, &first(urgency)));
    }
    notices.extend(left_out_notice(facts));
    notices
}

fn gap_notice(facts: &Facts<'_>, urgency: Urgency, gaps: &[(String, Gap)]) -> Option<Notice> {
    /// The rules that are named.
    const NAMED: usize = 3;
    let (rule, first) = gaps.first()?;
    let whom = if gaps.len() == 1 { rule.clone() } else { count(gaps.len(), "rule") };
    let title = match urgency {
        Urgency::Now => format!("Nobody is on call now for {whom}"),
        Urgency::Soon | Urgency::Some => {
            format!("Nobody will be on call for {whom}, first {}", distance(facts.now, first.start))
        }
    };
    let text = html! {
        @for (rule, gap) in gaps.iter().take(NAMED) {
            (rule) " " (stretch(facts, gap)) ". "
        }
        @if gaps.len() > NAMED { "And " (gaps.len() - NAMED) " more. " }
        "Fill the schedule in PagerDuty, unless that is meant. " a href="#findings" { "All gaps" } "."
    };
    // It may be meant: what is red every night is soon seen by nobody.
    let tone = if urgency == Urgency::Now { Tone::Warn } else { Tone::Info };
    Some(Notice { tone, title, text })
}

fn left_out_notice(facts: &Facts<'_>) -> Option<Notice> {
    let snapshot = &facts.snapshot;
    let serious =
        |known: &&RuleFinding| matches!(known.finding.severity, Severity::Problem | Severity::Warning);
    let beyond = snapshot.beyond.skipped + snapshot.beyond.findings;
    let skipped: Vec<&Skipped> = snapshot.skipped.iter().filter(|it| !is_meant(it.reason)).collect();
    let number = skipped.len() + snapshot.findings.iter().filter(serious).count() + beyond;
    if number == 0 {
        return None;
    }
    let urgencies = skipped.iter().map(|it| urgency_of(facts.now, it).0);
    let tone = urgencies
        .min()
        .map_or(Tone::Warn, |worst| if worst == Urgency::Now { Tone::Bad } else { Tone::Warn });
    let on_call_now = |skipped: &&&Skipped| skipped.first_shift.is_some_and(|at| at <= facts.now);
    let without = skipped.iter().filter(on_call_now).count();
    Some(Notice {
        tone,
        title: format!("{} to be mended", count(number, "finding")),
        text: html! {
            @match without {
                0 => {}
                1 => { "1 of them is about somebody who is on call, or in an incident, without access now. " }
                _ => { (without) " of them are about people who are on call, or in an incident, without access now. " }
            }
            a href="#findings" { "See what is wrong, and what mends it" } "."
        },
    })
}
