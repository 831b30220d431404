//! What somebody should mend, the most urgent first, each with what mends it: stretches for which a rule has nobody,
//! people without an account, names and filters that find nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, count, distance, time},
    notice::Notice,
};
use crate::{
    model::{Finding, Severity, Skipped, Subject},
    reconcile::report::{
        preflight::FILL,
        snapshot::{Gap, RuleFinding},
    },
};

/// A gap that begins within this time is somebody's business today.
const SOON: TimeDelta = TimeDelta::hours(24);
/// The stretches of one rule that are told; the timeline shows the others.
const STRETCHES: usize = 4;
/// The findings that are shown at once; the rest is a click away.
const AT_ONCE: usize = 25;

/// Something to be mended.
struct Item {
    /// The worst and the earliest come first.
    urgency: (Urgency, Option<DateTime<Utc>>),
    /// When it bites, or how bad it is.
    word: String,
    about: String,
    what: Markup,
    remedy: String,
    rules: Vec<String>,
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
pub(super) fn findings(facts: &Facts<'_>) -> Markup {
    let items = items(facts);
    let snapshot = &facts.snapshot;
    let blind = snapshot.sources.iter().any(|status| status.error.is_some()) || !snapshot.unknown.is_empty();
    html! {
        section #findings aria-labelledby="findings-title" {
            div.section-head { h2 #findings-title { "To be mended" } p { (count(items.len(), "finding")) } }
            @if items.is_empty() {
                p.empty {
                    @if snapshot.looked_until.is_none() { "Nobody has looked yet; the first pass will." }
                    @else if blind { "Nothing is known to be amiss, but not everything could be seen." }
                    @else { "Somebody is on call for every rule until the horizon, everybody has an account, and every resource was found." }
                }
            }
            ul.cards.findings { @for item in items.iter().take(AT_ONCE) { (card(item)) } }
            @if items.len() > AT_ONCE {
                details.more #more-findings {
                    summary { (items.len() - AT_ONCE) " more findings" }
                    ul.cards.findings { @for item in items.iter().skip(AT_ONCE) { (card(item)) } }
                }
            }
        }
    }
}

/// What is known to be wrong with this person or resource; nothing if nothing is.
pub(super) fn about(facts: &Facts<'_>, email: &str, resource: &str) -> Option<Markup> {
    let is_this = |skipped: &&Skipped| match &skipped.subject {
        Subject::Email(address) | Subject::Other(address) => address.eq_ignore_ascii_case(email),
        Subject::Resource(name) => name == resource,
        Subject::User(_) | Subject::Filter(_) => false,
    };
    let items: Vec<Item> =
        facts.snapshot.skipped.iter().filter(is_this).map(|skipped| left_out(facts.now, skipped)).collect();
    let told = html! {
        h2 { "To be mended" }
        ul.cards.findings { @for item in &items { (card(item)) } }
    };
    (!items.is_empty()).then_some(told)
}

fn card(item: &Item) -> Markup {
    html! {
        li class={ "card " (item.urgency.0.tone()) } {
            h3 { (chip(item.urgency.0.tone(), &item.word)) " " (item.about) }
            div { (item.what) }
            @if !item.remedy.is_empty() { p { strong { "What mends it: " } (item.remedy) "." } }
            @if !item.rules.is_empty() { p.quiet { "Rules: " (item.rules.join(", ")) } }
        }
    }
}

fn items(facts: &Facts<'_>) -> Vec<Item> {
    let snapshot = &facts.snapshot;
    let mut items: Vec<Item> =
        gaps(facts).into_iter().filter_map(|(rule, gaps)| nobody(facts, rule, &gaps)).collect();
    items.extend(snapshot.skipped.iter().map(|skipped| left_out(facts.now, skipped)));
    items.extend(snapshot.findings.iter().map(of_rule));
    items.sort_by(|one, two| (one.urgency, &one.about).cmp(&(two.urgency, &two.about)));
    items
}

fn nobody(facts: &Facts<'_>, rule: &str, gaps: &[&Gap]) -> Option<Item> {
    let (now, first) = (facts.now, gaps.first()?);
    let urgency = Urgency::of(now, first.start);
    let gives = facts.rules.iter().find(|one| one.name == rule)?;
    let resources: Vec<String> = gives.resources.iter().map(ToString::to_string).collect();
    let sources: Vec<String> = gives.sources().iter().map(ToString::to_string).collect();
    let uncertain = facts.has_unknown_source(gives);
    let what = html! {
        p { "Nobody is on call for " (sources.join(", ")) ", so nobody gets " (resources.join(", ")) ":" }
        ul {
            @for gap in gaps.iter().take(STRETCHES) { li { (stretch(facts, gap)) } }
            @if gaps.len() > STRETCHES { li { "and " (count(gaps.len() - STRETCHES, "more stretch")) } }
        }
        @if uncertain { p.quiet { "It could not be checked the last time." } }
    };
    Some(Item {
        urgency: (urgency, Some(first.start)),
        word: if urgency == Urgency::Now { "now".to_owned() } else { distance(now, first.start) },
        about: format!("Nobody on call for {rule}"),
        what,
        remedy: FILL.to_owned(),
        rules: Vec::new(),
    })
}

fn left_out(now: DateTime<Utc>, skipped: &Skipped) -> Item {
    let Skipped { subject, reason, rules, first_shift } = skipped;
    let urgency = first_shift.map_or(Urgency::Now, |at| Urgency::of(now, at));
    let (word, when) = match first_shift {
        Some(at) if *at <= now => ("on call now".to_owned(), html! { ", on call since " (time(now, *at)) }),
        Some(at) => (distance(now, *at), html! { ", on call from " (time(now, *at)) }),
        None => ("problem".to_owned(), html! {}),
    };
    Item {
        urgency: (urgency, *first_shift),
        word,
        about: subject.to_string(),
        what: html! { p { (reason) (when) } },
        remedy: reason.remedy().to_owned(),
        rules: rules.iter().cloned().collect(),
    }
}

fn of_rule(RuleFinding { rule, finding }: &RuleFinding) -> Item {
    let Finding { severity, kind: _, subject, message, remedy, stretches: _ } = finding;
    let (urgency, word) = match severity {
        Severity::Problem => (Urgency::Now, "problem"),
        Severity::Warning => (Urgency::Soon, "warning"),
        Severity::Note => (Urgency::Some, "note"),
    };
    Item {
        urgency: (urgency, None),
        word: word.to_owned(),
        about: subject.clone(),
        what: html! { p { (message) } },
        remedy: remedy.clone(),
        rules: vec![rule.clone()],
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
    let number = snapshot.skipped.len() + snapshot.findings.iter().filter(serious).count();
    if number == 0 {
        return None;
    }
    let urgencies = snapshot.skipped.iter().map(|it| left_out(facts.now, it).urgency.0);
    let tone = urgencies
        .min()
        .map_or(Tone::Warn, |worst| if worst == Urgency::Now { Tone::Bad } else { Tone::Warn });
    let on_call_now = |skipped: &&Skipped| skipped.first_shift.is_some_and(|at| at <= facts.now);
    let without = snapshot.skipped.iter().filter(on_call_now).count();
    Some(Notice {
        tone,
        title: format!("{} to be mended", count(number, "finding")),
        text: html! {
            @match without {
                0 => {}
                1 => { "1 of them is about somebody who is on call now without access. " }
                _ => { (without) " of them are about people who are on call now without access. " }
            }
            a href="#findings" { "See what is wrong, and what mends it" } "."
        },
    })
}
