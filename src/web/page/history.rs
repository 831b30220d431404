//! What happened: the last passes with their reports, and the last webhooks with what each led to.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, count, distance, few, time},
    person::person,
    query::PageQuery,
};
use crate::{
    model::{AuditAction, AuditOutcome, Grant, Recorded},
    reconcile::report::{Failure, PassReport},
    store::{AuditRow, DeliveryRow},
};

/// The rows of a list that are shown of a report, and of the one that the reader opened: all that is kept.
const BRIEF: usize = 3;
const LONGEST: usize = 50;
/// The schedules and policies of an event that are named.
const NAMED: usize = 4;
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
                    (report(facts, pass, query))
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
        (pass.created.len() + pass.left_out.created, "granted"),
        (pass.revoked.len() + pass.left_out.revoked, "revoked"),
        (pass.unchanged, "unchanged"),
        (pass.held.len() + pass.left_out.held, "held"),
        (pass.deferred.len() + pass.left_out.deferred, "deferred"),
        (pass.skipped.len() + pass.left_out.skipped, "skipped"),
        (pass.unknown.len() + pass.left_out.unknown, "unknown"),
        (pass.failed.len() + pass.left_out.failed, "failed"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") }
}

fn report(facts: &Facts<'_>, pass: &PassReport, query: &PageQuery) -> Markup {
    let (now, names) = (facts.now, &facts.names);
    let took = (pass.finished_at - pass.started_at).num_milliseconds();
    let is_open = query.opens(&pass.pass_id);
    let at_most = if is_open { LONGEST } else { BRIEF };
    let left_out = &pass.left_out;
    let lists = [
        list("Granted", &pass.created, left_out.created, at_most, |grant| access(facts, grant)),
        list("Revoked", &pass.revoked, left_out.revoked, at_most, |grant| access(facts, grant)),
        list("Held", &pass.held, left_out.held, at_most, |grant| access(facts, grant)),
        list("Deferred", &pass.deferred, left_out.deferred, at_most, |grant| access(facts, grant)),
        list(
            "Skipped",
            &pass.skipped,
            left_out.skipped,
            at_most,
            |skipped| html! { (skipped.clone().named(names)) },
        ),
        list(
            "Unknown",
            &pass.unknown,
            left_out.unknown,
            at_most,
            |unknown| html! { (names.tell(&unknown.to_string())) },
        ),
        list("Failed", &pass.failed, left_out.failed, at_most, |Failure { action, grant, error }| {
            html! { (action) " " (person(names, grant.email.as_str())) " on " (grant.resource) ": " (names.tell(&error.to_string())) }
        }),
    ];
    let is_cut = lists.iter().any(|list| list.is_cut);
    html! {
        div.report {
            p.quiet {
                (count(pass.oncalls, "on-call")) " seen in " (took) " ms, " (distance(now, pass.started_at)) " · pass "
                code { (pass.pass_id) }
            }
            @if !pass.calls.is_empty() { p.quiet { "Asked: " (pass.calls) } }
            @for list in &lists { (list.markup) }
            @if is_cut && !is_open {
                p { a href=(query.link("pass", &pass.pass_id, &format!("pass-{}", pass.pass_id))) { "More of this report" } }
            }
            @if is_cut && is_open { p.quiet { "What was done stands in " a href="api/audit" { "the audit" } " as a whole." } }
        }
    }
}

/// The part of a list that is shown.
struct List {
    markup: Markup,
    /// There is more.
    is_cut: bool,
}

/// A list, if there is something in it; `left_out` says how many entries it lacks.
fn list<T>(
    title: &str,
    entries: &[T],
    left_out: usize,
    at_most: usize,
    entry: impl Fn(&T) -> Markup,
) -> List {
    let more = entries.len().saturating_sub(at_most) + left_out;
    let markup = html! {
        @if !entries.is_empty() {
            h3 { (title) }
            ul {
                @for one in entries.iter().take(at_most) { li { (entry(one)) } }
                @if more > 0 { li { "and " (more) " more" } }
            }
        }
    };
    List { markup, is_cut: more > 0 }
}

fn access(facts: &Facts<'_>, grant: &Grant) -> Markup {
    let now = facts.now;
    html! {
        (person(&facts.names, grant.email.as_str())) " on " (grant.resource) ", "
        (time(now, grant.window.start())) " to " (time(now, grant.window.end()))
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
                        caption.sr { "Webhooks, the newest first, and the passes that they led to" }
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
            td { @if newest.schedules.iter().any(|id| id == "*") { "everything" } @else { (few(newest.schedules.iter().map(|id| facts.names.any_id_text(id)), NAMED)) } }
            td { @match &newest.pass_id {
                Some(id) => {
                    @match facts.passes.iter().find(|pass| pass.pass_id == *id) {
                        Some(pass) => { a href={ "./?pass=" (id) "#pass-" (id) } { (sums(pass)) } }
                        None => { "an earlier pass" }
                    }
                }
                None => { @if newest.status == "accepted" { (chip(Tone::Warn, "waiting")) } }
            } }
        }
    }
}

/// What was done, in a word that people use.
fn what(row: &AuditRow) -> String {
    match (&row.action, &row.outcome) {
        (Recorded::Known(AuditAction::Create), Recorded::Known(AuditOutcome::Done)) => "granted".to_owned(),
        (Recorded::Known(AuditAction::Revoke), Recorded::Known(AuditOutcome::Done)) => "revoked".to_owned(),
        (action, outcome) => format!("{action} {outcome}:"),
    }
}

/// What the audit tells of this person and resource; `is_this` says which are meant.
pub(super) fn done(facts: &Facts<'_>, audit: &[AuditRow], is_this: impl Fn(&str, &str) -> bool) -> Markup {
    /// The entries that are told.
    const LISTED: usize = 50;
    let now = facts.now;
    let of = |row: &AuditRow| serde_json::from_str::<Grant>(row.grant.get()).ok();
    let rows = audit.iter().filter_map(|row| Some((row, of(row)?)));
    let rows: Vec<_> =
        rows.filter(|(_, grant)| is_this(grant.email.as_str(), &grant.resource)).take(LISTED).collect();
    html! {
        section.done {
            h2 { "What was done" }
            @if rows.is_empty() { p.empty { "Nothing, in the newest " (audit.len()) " entries of the audit." } }
            ul { @for (row, grant) in rows { li {
                (time(now, row.at)) ": " (what(row)) " " (person(&facts.names, grant.email.as_str())) " on "
                (grant.resource) ", " (time(now, grant.window.start())) " to " (time(now, grant.window.end())) ", because " (facts.names.tell(&row.reason)) " (" (row.trigger) ")"
            } } }
        }
    }
}
