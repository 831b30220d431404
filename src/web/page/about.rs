//! The pages about one person and about one resource: who reaches what, until when and why.

use axum::{http::StatusCode, response::Response};
use maud::{Markup, html};

use super::{
    access::Shown,
    chart,
    facts::Facts,
    findings, history,
    layout::{self, Place, count, query_string, tools},
    person::person as called,
    tables,
    timeline::Span,
};
use crate::{
    model::FOREVER,
    store::{Access, View},
    web::{error::AppError, state::AppState},
};

/// The newest entries of the audit that are searched.
pub(super) const AUDIT: u32 = 500;
/// The lanes of one page. More are found by searching.
const LANES: u32 = 50;

/// Everything that a person can reach, now or later.
pub(super) async fn person(state: &AppState, facts: &Facts<'_>, email: &str) -> Result<Response, AppError> {
    let view = View { people: vec![email.to_lowercase()], ..View::between(facts.now, FOREVER) };
    let accesses = state.store.accesses(&view, LANES, None).await?;
    let total = state.store.count_accesses(&view).await?.accesses;
    let span = Span::around(facts.now, facts.horizon);
    let shown =
        Shown::of(&state.store, facts, &span, &accesses, |access| access.email.eq_ignore_ascii_case(email));
    let shown = shown.await?;
    let audit = state.store.audit_page(AUDIT, None).await?.items;
    let asked = query_string(&[("email", email)]);
    let main = html! {
        section.summary {
            p.back { a href="./" { "← Everything" } }
            h1 { (called(&facts.names, email)) }
            (state_of(facts, &shown, |now| format!("Access to {} now", count(now, "resource"))))
            (tools())
        }
        @if let Some(faults) = findings::about(facts, Some(email), None) { (faults) }
        section #access aria-labelledby="access-title" {
            h2 #access-title { "Access" }
            (chart::patterns())
            (chart::lacking(&span, &facts.names, &shown.lacking))
            @if !shown.lanes.is_empty() { (chart::of_person(&span, &facts.names, &shown.lanes)) }
            (more(total, email))
        }
        (tables::grants(facts, &shown))
        (history::done(facts, &audit, |other, _| other.eq_ignore_ascii_case(email)))
        p { a href={ "api/explain?" (asked) } { "Ask PagerDuty and strongDM now" } ": what is wanted, what is missing, and what would mend it, for machines." }
    };
    Ok(layout::page(StatusCode::OK, &facts.names.person_text(email), Place::Top, &main))
}

/// Everybody who can reach a resource, now or later.
pub(super) async fn resource(
    state: &AppState,
    facts: &Facts<'_>,
    resource: &str,
) -> Result<Response, AppError> {
    // An address is never empty: this is the place before the first.
    let before = Access { resource: resource.to_owned(), email: String::new() };
    let view = View::between(facts.now, FOREVER);
    let mut accesses = state.store.accesses(&view, LANES + 1, Some(&before)).await?;
    accesses.retain(|access| access.resource == resource);
    let found = accesses.len();
    accesses.truncate(usize::try_from(LANES).unwrap_or(usize::MAX));
    let span = Span::around(facts.now, facts.horizon);
    let shown =
        Shown::of(&state.store, facts, &span, &accesses, |access| access.resource == resource).await?;
    let audit = state.store.audit_page(AUDIT, None).await?.items;
    let main = html! {
        section.summary {
            p.back { a href="./" { "← Everything" } }
            h1 { (resource) }
            (state_of(facts, &shown, |now| match now {
                1 => "1 person has access now".to_owned(),
                _ => format!("{now} people have access now"),
            }))
            (tools())
        }
        @if let Some(faults) = findings::about(facts, None, Some(resource)) { (faults) }
        section #access aria-labelledby="access-title" {
            h2 #access-title { "Access" }
            (chart::patterns())
            (chart::lacking(&span, &facts.names, &shown.lacking))
            @for (resource, people) in &shown.lanes { (chart::group(&span, &facts.names, resource, people)) }
            (more(found, resource))
        }
        (tables::grants(facts, &shown))
        (history::done(facts, &audit, |_, other| other == resource))
    };
    Ok(layout::page(StatusCode::OK, resource, Place::Top, &main))
}

/// How many lanes have access now, in the page's words.
fn state_of(facts: &Facts<'_>, shown: &Shown, words: impl Fn(usize) -> String) -> Markup {
    let lanes = shown.lanes.values().flatten();
    let now = lanes.filter(|(_, lane)| lane.has_access(facts.now)).count();
    html! {
        p.lead {
            @if now > 0 { (words(now)) "." }
            @else if shown.lanes.is_empty() { "No grant of ours, now or to come." }
            @else { "No access now; what comes is below." }
        }
    }
}

/// The way to those that the page has no room for.
fn more(total: usize, search: &str) -> Markup {
    html! {
        @if total > usize::try_from(LANES).unwrap_or(usize::MAX) {
            p.after { "These are the first " (LANES) ". " a href={ "./?" (query_string(&[("q", search), ("show", "all")])) } { "All of them" } "." }
        }
    }
}
