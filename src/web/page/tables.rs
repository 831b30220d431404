//! The page's tables and cards: grants, rules, upstreams.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    access::Shown,
    chart::lane_state,
    endpoints,
    facts::{Facts, answers},
    findings,
    layout::{Tone, chip, count, distance, few, time},
    limits,
    paging::pages,
    person,
    query::PageQuery,
    timeline::LaneState,
    webhooks,
};
use crate::{
    metrics::HealthView,
    model::{Grant, IncidentSelector, Names, PeopleSelector, Rule, Source, Upstream, instant::span},
    reconcile::report::snapshot::{Gap, RuleCounts, SourceStatus},
    store::SeenGrant,
};

/// The rows of the timeline as a table.
const ROWS: usize = 60;
/// The rules that are shown at once.
const RULES: usize = 25;
/// The schedules, resources or rules that a cell names.
const NAMED: usize = 4;

/// The timeline as a table, for whoever cannot or does not want to see it.
pub(super) fn grants(facts: &Facts<'_>, shown: &Shown) -> Markup {
    let now = facts.now;
    let is_shown = |waiting: &&Grant| {
        let lanes = shown.lanes.get(&waiting.resource).into_iter().flatten();
        let mut lacking = shown.lacking.iter().map(|(access, _)| (&access.resource, &access.email));
        lanes.into_iter().any(|(email, _)| email == waiting.email.as_str())
            || lacking
                .any(|(resource, email)| *resource == waiting.resource && email == waiting.email.as_str())
    };
    html! {
        details.as-table #grants-table {
            summary { "The same as a table" }
            div.scroll role="region" aria-label="Grants" tabindex="0" {
                table {
                    caption.sr { "Grants of this service that are in view, and windows that wait" }
                    thead { tr {
                        th scope="col" { "Person" } th scope="col" { "Resource" } th scope="col" { "State" }
                        th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Rules" } th scope="col" { "Why" }
                    } }
                    tbody {
                        @for SeenGrant { entry, of: _ } in shown.grants.iter().take(ROWS) {
                            @let grant = &entry.own.grant;
                            @let state = if facts.held.contains(&entry.own.row) { (Tone::Warn, "held") }
                                else if grant.window.start() <= now { (Tone::Good, "access") } else { (Tone::Info, "to come") };
                            (grant_row(facts, grant, state))
                        }
                        @for waiting in facts.snapshot.deferred.iter().filter(is_shown).take(ROWS / 2) {
                            (grant_row(facts, waiting, (Tone::Warn, "deferred")))
                        }
                    }
                }
            }
            @if shown.grants.len() > ROWS { p.after { "And " (count(shown.grants.len() - ROWS, "more grant")) "." } }
            @for (access, lane) in shown.lacking.iter().filter(|(_, lane)| lane.state(now) == LaneState::Missing).take(ROWS / 2) {
                p { (person::person(&facts.names, &access.email)) " on " (access.resource) ": " (lane_state(now, lane.state(now))) }
            }
        }
    }
}

fn grant_row(facts: &Facts<'_>, grant: &Grant, (tone, word): (Tone, &str)) -> Markup {
    let now = facts.now;
    html! {
        tr {
            th scope="row" { (person::linked(&facts.names, grant.email.as_str())) } td { (grant.resource) (grant.kubernetes_groups) } td { (chip(tone, word)) }
            td { (time(now, grant.window.start())) } td { (time(now, grant.window.end())) } td { (few(&grant.rules, NAMED)) }
            td { (why(grant.email.as_str(), &grant.resource)) }
        }
    }
}

fn why(email: &str, resource: &str) -> Markup {
    html! {
        a href=(person::why(email, resource)) {
            "why" span.sr { " has " (email) " access to " (resource) }
        }
    }
}

/// A rule and how it stands.
struct RuleView<'f> {
    rule: &'f Rule,
    seen: Option<DateTime<Utc>>,
    /// The sources that did not answer the last time.
    unknown: Vec<&'f SourceStatus>,
    counts: RuleCounts,
    /// The first stretch without anyone.
    gap: Option<&'f Gap>,
    tone: Tone,
    word: &'static str,
}

/// The rules and how well each is observed, the worst first.
pub(super) fn rules(facts: &Facts<'_>, query: &PageQuery) -> Markup {
    let (sources, gaps) = (facts.sources(), findings::gaps(facts));
    let search = query.search().to_lowercase();
    let mut views: Vec<RuleView<'_>> = facts
        .rules
        .iter()
        .filter(|rule| is_named(rule, &search, &facts.names))
        .map(|rule| {
            view(facts, rule, &sources, gaps.get(rule.name.as_str()).and_then(|gaps| gaps.first().copied()))
        })
        .collect();
    views.sort_by_key(|view| view.tone);
    let part = query.rules(&views, RULES);
    html! {
        section #rules aria-labelledby="rules-title" {
            div.section-head {
                h2 #rules-title { "Rules" }
                p {
                    (count(views.len(), "rule"))
                    @if views.len() < facts.rules.len() { " of " (facts.rules.len()) ": those with this text in their names" }
                }
            }
            @if views.is_empty() { p.empty { "No rule, schedule or resource of a rule has this text in its name." } }
            @else {
                div.scroll role="region" aria-label="Rules" tabindex="0" {
                    table {
                        caption.sr { "Rules, what they look at, and how well that is seen; the worst first" }
                        thead { tr {
                            th scope="col" { "Rule" } th scope="col" { "Health" } th scope="col" { "Looks at" }
                            th scope="col" { "Gives" } th scope="col" { "Last seen" }
                            th.num scope="col" { "Unknown" } th.num scope="col" { "Held" }
                            th.num scope="col" { "Deferred" } th.num scope="col" { "Skipped" }
                        } }
                        tbody { @for view in part.items { (rule_row(facts, view)) } }
                    }
                }
            }
            (pages(query, &part, "rules", "rules", views.len()))
        }
    }
}

/// Whether the text, in lower case, stands in a name of the rule, of what it looks at or of what it gives.
fn is_named(rule: &Rule, text: &str, names: &Names) -> bool {
    let within = |name: &str| name.to_lowercase().contains(text);
    within(&rule.name)
        || rule.resources.iter().any(|resource| within(&resource.to_string()))
        || rule.sources().iter().any(|source| within(&names.tell(&source.to_string())))
}

fn view<'f>(
    facts: &'f Facts<'_>,
    rule: &'f Rule,
    sources: &BTreeMap<&Source, &'f SourceStatus>,
    gap: Option<&'f Gap>,
) -> RuleView<'f> {
    let statuses: Vec<&SourceStatus> =
        rule.sources().iter().filter_map(|source| sources.get(source).copied()).collect();
    let unknown: Vec<&SourceStatus> =
        statuses.iter().copied().filter(|status| status.error.is_some()).collect();
    let counts = facts.snapshot.rules.get(&rule.name).copied().unwrap_or_default();
    let (tone, word) =
        match (statuses.is_empty(), unknown.is_empty(), counts.held, counts.skipped, counts.deferred) {
            (true, ..) => (Tone::Quiet, "not seen yet"),
            (_, false, ..) => (Tone::Bad, "unknown"),
            _ if gap.is_some_and(|gap| gap.holds(facts.now)) => (Tone::Bad, "nobody on call"),
            (.., 1.., _, _) => (Tone::Warn, "held"),
            (.., 1.., _) => (Tone::Warn, "to be mended"),
            (.., 1..) => (Tone::Info, "deferred"),
            _ if gap.is_some() => (Tone::Info, "gap ahead"),
            _ => (Tone::Good, "well"),
        };
    let seen = statuses.iter().map(|status| status.seen_at).min().flatten();
    RuleView { rule, seen, unknown, counts, gap, tone, word }
}

fn rule_row(facts: &Facts<'_>, view: &RuleView<'_>) -> Markup {
    let now = facts.now;
    let RuleView { rule, seen, unknown, counts, gap, tone, word } = view;
    html! {
        tr {
            th scope="row" { (rule.name) }
            td { (chip(*tone, word))
                @for status in unknown.iter().take(NAMED) { p.error { (facts.names.tell(&format!("{}: {}", status.source, status.error.as_deref().unwrap_or_default()))) } }
                @if unknown.len() > NAMED { p.error { "and " (unknown.len() - NAMED) " more" } }
                @if let Some(gap) = gap {
                    p.quiet { "nobody " @if gap.holds(now) { "since " (time(now, gap.start)) } @else { (distance(now, gap.start)) } }
                }
            }
            td { (looks_at(rule, &facts.names)) }
            td { (few(&rule.resources, NAMED)) (rule.kubernetes_groups) }
            td { @match seen { Some(at) => { (time(now, *at)) br; span.quiet { (distance(now, *at)) } } None => { "never" } } }
            @for number in [unknown.len(), counts.held, counts.deferred, counts.skipped] { td.num { (number) } }
        }
    }
}

fn looks_at(rule: &Rule, names: &Names) -> Markup {
    let ids = few(rule.sources().iter().map(|source| names.id_text(source)), NAMED);
    html! {
        @match &rule.people {
            PeopleSelector::Schedules(_) => { "schedules " (ids) }
            PeopleSelector::Policies { ids: _, levels, include_always_on_call } => {
                "policies " (ids)
                @if !levels.is_empty() { " at level " (few(levels, NAMED)) }
                @if *include_always_on_call { ", also those always on call" }
            }
            PeopleSelector::Incidents(IncidentSelector { urgencies, priorities, roles, eligible, max_duration, max_people, .. }) => {
                "incidents of services " (ids)
                ", urgency " (few(urgencies.iter().map(|urgency| urgency.as_str()), NAMED))
                @if !priorities.is_empty() { ", priority " (few(priorities, NAMED)) }
                ": each " (few(roles.iter().map(|role| role.as_str()), NAMED))
                @if !eligible.is_empty() { ", by hand only of " (names.tell(&few(eligible, NAMED))) }
                @if *max_people == 1 { ", at most 1 person, " } @else { ", at most " (max_people) " people, " }
                (span(*max_duration)) " each"
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
                (upstream(facts, Upstream::PagerDuty, &facts.pagerduty))
                (upstream(facts, Upstream::StrongDm, &facts.strongdm))
                (webhooks::card(facts))
                (endpoints::cards(facts))
            }
        }
    }
}

fn upstream(facts: &Facts<'_>, upstream: Upstream, health: &HealthView) -> Markup {
    let now = facts.now;
    let (tone, word) = match answers(health) {
        None => (Tone::Quiet, "not asked yet"),
        Some(true) => (Tone::Good, "answers"),
        Some(false) => (Tone::Bad, "fails"),
    };
    html! {
        li.card {
            h3 { (upstream.name()) " " (chip(tone, word)) }
            p { "Last answer: " @match health.last_success {
                Some(at) => { (time(now, at)) " (" (distance(now, at)) ")" } None => { "none yet" }
            } }
            @if let Some(error) = &health.last_error {
                p.quiet { "Last error " (distance(now, error.at)) ": " (error.message) }
            }
            (limits::of(facts, upstream))
        }
    }
}
