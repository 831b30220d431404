//! The first thing on the page: whether all is well, and if not, what is wrong and what to do about it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    endpoints,
    facts::{Facts, answers},
    findings, incidents,
    layout::{Tone, count, distance, fixed_time, time},
    notice::Notice,
    webhooks,
};
use crate::metrics::HealthView;

/// The things of a kind that a notice names.
const NAMED: usize = 3;

/// The state of everything in one sentence, and a notice for each thing that is not as it should be.
pub(super) fn summary(facts: &Facts<'_>) -> Markup {
    let now = facts.now;
    let notices = notices(facts);
    let blind = facts.snapshot.sources.iter().any(|status| status.error.is_some());
    let people = match facts.in_force.people {
        0 => "Nobody has access now".to_owned(),
        1 => "1 person has access now".to_owned(),
        number => format!("{number} people have access now"),
    };
    html! {
        section.summary aria-label="Summary" {
            h1.headline { (people) }
            p {
                @match facts.snapshot.next_change.filter(|at| *at > now) {
                    _ if blind => { "What changes next is not known. " }
                    Some(at) => { "Next change by itself " (distance(now, at)) ", at " (time(now, at)) ". " }
                    None => { "Nothing is about to change by itself. " }
                }
                @match facts.snapshot.full_at {
                    Some(at) if blind => { "The last full pass, " (distance(now, at)) ", could not see everything." }
                    Some(at) => { "Everything was last looked at " (distance(now, at)) "." }
                    None => { "Nothing was looked at yet." }
                }
            }
            (incidents::count_of(facts))
            p.quiet #as-of { "As of " (time(now, now)) span.print-only { (fixed_time(now)) ", store " (facts.log.store_id) } }
            @if notices.is_empty() {
                div.notice.good { h2 { "All is well" } p { "Everything was seen, somebody is on call for every rule, and everybody on call has what the rules give." } }
            }
            @for notice in notices { (notice.render()) }
        }
    }
}

fn notices(facts: &Facts<'_>) -> Vec<Notice> {
    let mut notices = Vec::new();
    notices.extend(upstream(facts.now, "PagerDuty", &facts.pagerduty));
    notices.extend(upstream(facts.now, "strongDM", &facts.strongdm));
    let snapshot = &facts.snapshot;
    if snapshot.full_at.is_none() {
        notices.push(Notice {
            tone: Tone::Info,
            title: "The first pass has not ended yet".to_owned(),
            text: html! { "This page shows what the store knows until then." },
        });
    }
    if !snapshot.held.is_empty() {
        notices.push(Notice {
            tone: Tone::Warn,
            title: format!("{} held", count(snapshot.held.len() + snapshot.beyond.held, "revocation")),
            text: html! {
                "More grants would go within a minute than " code { "max_revocations" } " allows. Check the rules and PagerDuty; "
                "if it is right, " a href="#sync" { "preview a sync" } " and confirm."
            },
        });
    }
    let unseen = snapshot.sources.iter().filter(|status| status.error.is_some());
    let unseen: Vec<String> =
        unseen.map(|status| status.source.to_string()).chain(snapshot.unknown.iter().cloned()).collect();
    let number = unseen.len() + snapshot.beyond.unknown;
    if number > 0 {
        notices.push(Notice {
            tone: Tone::Bad,
            title: format!("{} could not be observed", count(number, "thing")),
            text: html! {
                (facts.names.tell(&unseen.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ")))
                @if number > NAMED { "; and " (number - NAMED) " more" }
                ". What depends on it keeps its grants until they end. What is gone for good must be taken out of its rule. " a href="#rules" { "The rules" } " say more."
            },
        });
    }
    notices.extend(findings::notices(facts));
    notices.extend(webhooks::notices(facts));
    notices.extend(endpoints::notices(facts));
    notices.extend(shortcomings(facts));
    notices.sort_by_key(|notice| notice.tone);
    notices
}

fn shortcomings(facts: &Facts<'_>) -> Vec<Notice> {
    let (now, snapshot) = (facts.now, &facts.snapshot);
    let mut notices = Vec::new();
    let failed = snapshot.failed.len() + snapshot.beyond.failed;
    if failed > 0 {
        notices.push(Notice {
            tone: Tone::Bad,
            title: format!("{} failed", count(failed, "write")),
            text: html! {
                (facts.names.tell(&snapshot.failed.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ")))
                @if failed > NAMED { "; and " (failed - NAMED) " more" }
                ". It is tried again."
            },
        });
    }
    let is_deferred = |access: &(&str, &str)| {
        snapshot
            .deferred
            .iter()
            .any(|it| (it.email.as_str(), it.resource.as_str()) == *access && it.window.contains(now))
    };
    let missing = snapshot.missing_at(now).map(|wanted| (wanted.email.as_str(), wanted.resource.as_str()));
    let missing: BTreeSet<(&str, &str)> = missing.filter(|access| !is_deferred(access)).collect();
    let missing = missing.len() + snapshot.beyond.missing;
    if missing > 0 && snapshot.full_at.is_some() {
        notices.push(Notice {
            tone: Tone::Warn,
            title: format!("{} without a grant of ours", count(missing, "lane")),
            text: html! { "Somebody is on call now and got no grant from here; the link of " a href="#access" { "the lane" } " says why." },
        });
    }
    if !snapshot.deferred.is_empty() {
        notices.push(Notice {
            tone: Tone::Info,
            title: format!("{} deferred", count(snapshot.deferred.len() + snapshot.beyond.deferred, "window")),
            text: html! { "strongDM refuses a second grant for the same account and resource; these wait until the one in their way ends." },
        });
    }
    notices
}

fn upstream(now: DateTime<Utc>, name: &str, health: &HealthView) -> Option<Notice> {
    let error = health.last_error.as_ref().filter(|_| answers(health) == Some(false))?;
    Some(Notice {
        tone: Tone::Bad,
        title: format!("{name} does not answer as it should"),
        text: html! {
            (error.message) " (" (distance(now, error.at)) "). "
            @match health.last_success { Some(at) => { "Its last answer came " (distance(now, at)) ". " } None => { "It has not answered since the start. " } }
            "Grants stay until they end; nothing is revoked meanwhile."
        },
    })
}
