//! What happened: the last passes with their reports, and the last webhooks with what each led to.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, count, distance, time},
    query::PageQuery,
};
use crate::{
    model::Grant,
    reconcile::report::{Failure, PassReport},
    store::DeliveryRow,
};

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
                details.pass #{ "pass-" (pass.pass_id) } open[query.opens(&pass.pass_id)] {
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

fn result(pass: &PassReport) -> Markup {
    let (tone, word) = if !pass.failed.is_empty() {
        (Tone::Bad, "failed")
    } else if !pass.unknown.is_empty() {
        (Tone::Bad, "incomplete")
    } else if !pass.held.is_empty() {
        (Tone::Warn, "held")
    } else {
        (Tone::Good, "complete")
    };
    chip(tone, word)
}

fn sums(pass: &PassReport) -> String {
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

fn report(now: DateTime<Utc>, pass: &PassReport) -> Markup {
    let took = (pass.finished_at - pass.started_at).num_milliseconds();
    html! {
        div.report {
            p.quiet {
                (count(pass.oncalls, "on-call")) " seen in " (took) " ms, " (distance(now, pass.started_at)) " · pass "
                code { (pass.pass_id) }
            }
            (grants(now, "Granted", &pass.created))
            (grants(now, "Revoked", &pass.revoked))
            (grants(now, "Held", &pass.held))
            (grants(now, "Deferred", &pass.deferred))
            (entries("Skipped", &pass.skipped))
            (entries("Unknown", &pass.unknown))
            @if !pass.failed.is_empty() {
                h3 { "Failed" }
                ul { @for Failure { action, grant, error } in pass.failed.iter().take(LONGEST) {
                    li { (action) " " (grant.email) " on " (grant.resource) ": " (error) }
                } }
            }
        }
    }
}

/// A list of grants, if there is something in it.
fn grants(now: DateTime<Utc>, title: &str, grants: &[Grant]) -> Markup {
    html! {
        @if !grants.is_empty() {
            h3 { (title) }
            ul {
                @for grant in grants.iter().take(LONGEST) {
                    li {
                        (grant.email) " on " (grant.resource) ", "
                        (time(now, grant.window.start())) " to " (time(now, grant.window.end()))
                    }
                }
                @if grants.len() > LONGEST { li { "and " (grants.len() - LONGEST) " more" } }
            }
        }
    }
}

fn entries<T: Display>(title: &str, entries: &[T]) -> Markup {
    html! {
        @if !entries.is_empty() {
            h3 { (title) }
            ul {
                @for entry in entries.iter().take(LONGEST) { li { (entry) } }
                @if entries.len() > LONGEST { li { "and " (entries.len() - LONGEST) " more" } }
            }
        }
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
                    @match facts.passes.iter().find(|pass| pass.pass_id == *id) {
                        Some(pass) => { a href={ "/?pass=" (id) "#pass-" (id) } { (sums(pass)) } }
                        None => { "an earlier pass" }
                    }
                }
                None => { @if newest.status == "accepted" { (chip(Tone::Warn, "waiting")) } }
            } }
        }
    }
}
