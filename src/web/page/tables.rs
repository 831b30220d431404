//! The page's tables and cards: grants, rules, upstreams.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    chart::lane_state,
    facts::{Facts, answers},
    findings,
    layout::{Tone, chip, count, distance, query_string, time},
    timeline::{LaneState, Lanes},
    webhooks,
};
use crate::{
    metrics::HealthView,
    model::{Grant, OnCallSelector, Rule, Source},
    reconcile::report::snapshot::SourceStatus,
    store::LedgerEntry,
};

/// The timeline as a table, for whoever cannot or does not want to see it.
pub(super) fn grants(facts: &Facts<'_>, lanes: &Lanes) -> Markup {
    let now = facts.now;
    let shown = |entry: &&LedgerEntry| {
        let grant = &entry.own.grant;
        let of_resource = lanes.get(&grant.resource).into_iter().flatten();
        grant.id.is_some() && of_resource.into_iter().any(|(email, _)| email == grant.email.as_str())
    };
    let held = |grant: &Grant| facts.snapshot.held.iter().any(|held| held.id == grant.id);
    html! {
        details.as-table #grants-table {
            summary { "The same as a table" }
            div.scroll role="region" aria-label="Grants" tabindex="0" {
                table {
                    caption.sr { "Grants of this service, now and to come, and windows that wait" }
                    thead { tr {
                        th scope="col" { "Person" } th scope="col" { "Resource" } th scope="col" { "State" }
                        th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Rules" } th scope="col" { "Why" }
                    } }
                    tbody {
                        @for entry in facts.ledger.iter().filter(shown) {
                            @let grant = &entry.own.grant;
                            tr {
                                th scope="row" { (grant.email) } td { (grant.resource) }
                                td {
                                    @if held(grant) { (chip(Tone::Warn, "held")) }
                                    @else if grant.window.start() <= now { (chip(Tone::Good, "access")) }
                                    @else { (chip(Tone::Info, "to come")) }
                                }
                                td { (time(now, grant.window.start())) } td { (time(now, grant.window.end())) }
                                td { (grant.rules.join(", ")) }
                                td { (why(grant.email.as_str(), &grant.resource)) }
                            }
                        }
                        @for waiting in &facts.snapshot.deferred { (deferred(now, waiting)) }
                    }
                }
            }
            @let without = lanes.values().flatten().filter(|(_, lane)| lane.state(now) == LaneState::Missing);
            @for (email, lane) in without {
                p { (email) ": " (lane_state(now, lane.state(now))) }
            }
        }
    }
}

fn deferred(now: DateTime<Utc>, waiting: &Grant) -> Markup {
    html! {
        tr {
            th scope="row" { (waiting.email) } td { (waiting.resource) } td { (chip(Tone::Warn, "deferred")) }
            td { (time(now, waiting.window.start())) } td { (time(now, waiting.window.end())) } td { (waiting.rules.join(", ")) }
            td { (why(waiting.email.as_str(), &waiting.resource)) }
        }
    }
}

fn why(email: &str, resource: &str) -> Markup {
    html! {
        a href={ "/why?" (query_string(&[("email", email), ("resource", resource)])) } {
            "why" span.sr { " has " (email) " access to " (resource) }
        }
    }
}

/// The rules and how well each is observed.
pub(super) fn rules(facts: &Facts<'_>) -> Markup {
    html! {
        section #rules aria-labelledby="rules-title" {
            div.section-head { h2 #rules-title { "Rules" } p { (count(facts.rules.len(), "rule")) } }
            div.scroll role="region" aria-label="Rules" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "Rule" } th scope="col" { "Health" } th scope="col" { "Looks at" }
                        th scope="col" { "Gives" } th scope="col" { "Last seen" } th.num scope="col" { "Grants" }
                        th.num scope="col" { "Unknown" } th.num scope="col" { "Held" }
                        th.num scope="col" { "Deferred" } th.num scope="col" { "Skipped" }
                    } }
                    tbody { @for rule in facts.rules { (rule_row(facts, rule)) } }
                }
            }
        }
    }
}

fn rule_row(facts: &Facts<'_>, rule: &Rule) -> Markup {
    let now = facts.now;
    let sources = rule.sources();
    let statuses: Vec<&SourceStatus> =
        facts.snapshot.sources.iter().filter(|status| sources.contains(&status.source)).collect();
    let seen = statuses.iter().map(|status| status.seen_at).min().flatten();
    let unknown: Vec<&&SourceStatus> = statuses.iter().filter(|status| status.error.is_some()).collect();
    let named = |rules: &[String]| rules.contains(&rule.name);
    let held = facts.snapshot.held.iter().filter(|held| named(&held.rules)).count();
    let deferred = facts.snapshot.deferred.iter().filter(|waiting| named(&waiting.rules)).count();
    let skipped = facts.snapshot.skipped.iter().filter(|finding| finding.rules.contains(&rule.name)).count();
    let grants = facts.ledger.iter().filter(|entry| named(&entry.own.grant.rules)).count();
    let resources: Vec<String> = rule.resources.iter().map(ToString::to_string).collect();
    let gaps = findings::gaps(facts).remove(rule.name.as_str()).unwrap_or_default();
    let (tone, word) = match (statuses.is_empty(), unknown.is_empty(), held, skipped, deferred) {
        (true, ..) => (Tone::Quiet, "not seen yet"),
        (_, false, ..) => (Tone::Bad, "unknown"),
        _ if gaps.iter().any(|gap| gap.holds(now)) => (Tone::Bad, "nobody on call"),
        (.., 1.., _, _) => (Tone::Warn, "held"),
        (.., 1.., _) => (Tone::Warn, "to be mended"),
        (.., 1..) => (Tone::Info, "deferred"),
        _ if !gaps.is_empty() => (Tone::Info, "gap ahead"),
        _ => (Tone::Good, "well"),
    };
    html! {
        tr {
            th scope="row" { (rule.name) }
            td { (chip(tone, word)) @for status in unknown { p.error { (status.source) ": " (status.error.as_deref().unwrap_or_default()) } }
                @if let Some(gap) = gaps.first() {
                    p.quiet { "nobody " @if gap.holds(now) { "since " (time(now, gap.start)) } @else { (distance(now, gap.start)) } }
                }
            }
            td { (looks_at(rule)) }
            td { (resources.join(", ")) }
            td { @match seen { Some(at) => { (time(now, at)) br; span.quiet { (distance(now, at)) } } None => { "never" } } }
            @for number in [grants, statuses.iter().filter(|status| status.error.is_some()).count(), held, deferred, skipped] {
                td.num { (number) }
            }
        }
    }
}

fn looks_at(rule: &Rule) -> Markup {
    let ids = rule.sources().into_iter().map(|source| match source {
        Source::Schedule(id) => id.to_string(),
        Source::Policy(id) => id.to_string(),
    });
    let ids: Vec<String> = ids.collect();
    html! {
        @match &rule.on_calls {
            OnCallSelector::Schedules(_) => { "schedules " (ids.join(", ")) }
            OnCallSelector::Policies { ids: _, levels, include_always_on_call } => {
                "policies " (ids.join(", "))
                @if !levels.is_empty() {
                    " at level " (levels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
                }
                @if *include_always_on_call { ", also those always on call" }
            }
        }
    }
}

/// How PagerDuty and strongDM last answered this process, and whether webhooks arrive.
pub(super) fn upstreams(facts: &Facts<'_>) -> Markup {
    html! {
        section #upstreams aria-labelledby="upstreams-title" {
            div.section-head { h2 #upstreams-title { "Upstreams" } }
            ul.cards {
                (upstream(facts.now, "PagerDuty", &facts.pagerduty))
                (upstream(facts.now, "strongDM", &facts.strongdm))
                (webhooks::card(facts))
            }
        }
    }
}

fn upstream(now: DateTime<Utc>, name: &str, health: &HealthView) -> Markup {
    let (tone, word) = match answers(health) {
        None => (Tone::Quiet, "not asked yet"),
        Some(true) => (Tone::Good, "answers"),
        Some(false) => (Tone::Bad, "fails"),
    };
    html! {
        li.card {
            h3 { (name) " " (chip(tone, word)) }
            p { "Last answer: " @match health.last_success {
                Some(at) => { (time(now, at)) " (" (distance(now, at)) ")" } None => { "none yet" }
            } }
            @if let Some(error) = &health.last_error {
                p.quiet { "Last error " (distance(now, error.at)) ": " (error.message) }
            }
        }
    }
}
