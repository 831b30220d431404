//! What happened: the last passes with their reports, and the last webhooks with what each led to.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{
    facts::{Facts, Pass},
    layout::{Tone, chip, count, distance, time},
    query::PageQuery,
};
use crate::{reconcile::report::snapshot::Stretch, store::DeliveryRow};

/// The rows of a list in a report that are shown; `/api/audit` has the rest.
const LONGEST: usize = 50;
/// The lines of events that are shown; equal neighbours share one.
const EVENT_LINES: usize = 20;

/// The last passes that did or found something.
pub(super) fn passes(facts: &Facts<'_>, query: &PageQuery) -> Markup {
    let now = facts.now;
    html! {
        section #passes aria-labelledby="passes-title" {
            div.section-head {
                h2 #passes-title { "Last passes" }
                p { "Routine passes that found nothing to do are left out" }
            }
            @if facts.passes.is_empty() { p.empty { "No pass has done or found anything yet." } }
            @for pass in &facts.passes {
                details.pass #{ "pass-" (pass.id) } open[query.opens(&pass.id)] {
                    summary {
                        span.when { (time(now, pass.started_at)) }
                        (result(pass))
                        span { (pass.trigger) }
                        span.sums { (sums(pass)) }
                    }
                    (report(now, pass))
                }
            }
        }
    }
}

fn result(pass: &Pass) -> Markup {
    let tone = match pass.result() {
        "complete" => Tone::Good,
        "held" => Tone::Warn,
        _ => Tone::Bad,
    };
    chip(tone, pass.result())
}

fn sums(pass: &Pass) -> String {
    let mut parts = Vec::new();
    for (number, word) in [
        (pass.created.len(), "granted"),
        (pass.revoked.len(), "revoked"),
        (pass.unchanged, "unchanged"),
        (pass.held.len(), "held"),
        (pass.deferred.len(), "deferred"),
        (pass.skipped.len(), "skipped"),
        (pass.unknown.len(), "unknown"),
        (pass.failed.len(), "failed"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") }
}

fn report(now: DateTime<Utc>, pass: &Pass) -> Markup {
    let took = (pass.finished_at - pass.started_at).num_milliseconds();
    html! {
        div.report {
            p.quiet {
                (count(pass.oncalls, "on-call")) " seen in " (took) " ms, " (distance(now, pass.started_at)) " · pass "
                code { (pass.id) }
            }
            (stretches(now, "Granted", &pass.created))
            (stretches(now, "Revoked", &pass.revoked))
            (stretches(now, "Held", &pass.held))
            (stretches(now, "Deferred", &pass.deferred))
            (entries("Skipped", &pass.skipped))
            (entries("Unknown", &pass.unknown))
            @if !pass.failed.is_empty() {
                h3 { "Failed" }
                ul { @for it in pass.failed.iter().take(LONGEST) {
                    li { (it.action) " " (it.grant.email) " on " (it.grant.resource) ": " (it.error) }
                } }
            }
        }
    }
}

/// A list of grants, if there is something in it.
pub(super) fn stretches(now: DateTime<Utc>, title: &str, stretches: &[Stretch]) -> Markup {
    html! {
        @if !stretches.is_empty() {
            h3 { (title) }
            ul {
                @for it in stretches.iter().take(LONGEST) {
                    li { (it.email) " on " (it.resource) ", " (time(now, it.start)) " to " (time(now, it.end)) }
                }
                @if stretches.len() > LONGEST { li { "and " (stretches.len() - LONGEST) " more" } }
            }
        }
    }
}

fn entries(title: &str, entries: &[Map<String, Value>]) -> Markup {
    html! {
        @if !entries.is_empty() {
            h3 { (title) }
            ul {
                @for entry in entries.iter().take(LONGEST) {
                    li { (entry.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect::<Vec<_>>().join(", ")) }
                }
                @if entries.len() > LONGEST { li { "and " (entries.len() - LONGEST) " more" } }
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" and "),
        other => other.to_string(),
    }
}

/// The last webhooks.
pub(super) fn events(facts: &Facts<'_>) -> Markup {
    let now = facts.now;
    let alike = |a: &DeliveryRow, b: &DeliveryRow| {
        (&a.event_type, &a.status, &a.schedules, &a.pass_id)
            == (&b.event_type, &b.status, &b.schedules, &b.pass_id)
    };
    html! {
        section #events aria-labelledby="events-title" {
            div.section-head { h2 #events-title { "Last events" } p { "Newest first; equal neighbours share a line" } }
            @if facts.events.is_empty() { p.empty { "No webhook has arrived yet." } }
            @else {
                div.scroll role="region" aria-label="Events" tabindex="0" {
                    table {
                        thead { tr {
                            th scope="col" { "Received" } th scope="col" { "Event" } th scope="col" { "Status" }
                            th scope="col" { "Looks at" } th scope="col" { "Led to" }
                        } }
                        tbody {
                            @for events in facts.events.chunk_by(alike).take(EVENT_LINES) {
                                (event_row(now, facts, events))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn event_row(now: DateTime<Utc>, facts: &Facts<'_>, events: &[DeliveryRow]) -> Markup {
    let Some(newest) = events.first() else { return html! {} };
    let tone = match newest.status.as_str() {
        "accepted" => Tone::Good,
        _ => Tone::Quiet,
    };
    html! {
        tr {
            th scope="row" { (time(now, newest.received_at)) }
            td {
                (newest.event_type.as_deref().unwrap_or("unknown type"))
                @if events.len() > 1 { " " span.times { "× " (events.len()) } }
            }
            td { (chip(tone, &newest.status)) }
            td { @if newest.schedules.iter().any(|id| id == "*") { "everything" } @else { (newest.schedules.join(", ")) } }
            td { @match &newest.pass_id {
                Some(id) => {
                    @match facts.passes.iter().find(|pass| pass.id == *id) {
                        Some(pass) => { a href={ "/?pass=" (id) "#pass-" (id) } { (sums(pass)) } }
                        None => { "an earlier pass" }
                    }
                }
                None => { @if newest.status == "accepted" { (chip(Tone::Warn, "waiting")) } }
            } }
        }
    }
}
