//! Why somebody has, or lacks, access to something: the causes of each grant, and what was done about it.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    about,
    chart::lane_state,
    facts::Facts,
    findings, history,
    layout::{self, Place, Tone, chip, count, distance, query_string, time, tools},
    person::{person, person_page, resource_page},
    timeline::{Span, lanes},
};
use crate::{
    model::{Cause, FOREVER, Grant, IncidentCause, Source, UserId},
    reconcile::plan::Wanted,
    store::{Access, LedgerEntry, View},
    web::{answers::QueryErrors, error::AppError, state::AppState},
};

/// The windows of a kind that are told.
const LISTED: usize = 50;
/// The grants that are shown, and the causes of each.
const GRANTS: u32 = 20;
const CAUSES: usize = 10;

/// Whom and what the question is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhyQuery {
    /// The person's address in strongDM, without regard to case. Without it, the page is about everybody on the resource.
    #[param(nullable = false, example = "ana@example.com")]
    email: Option<String>,
    /// The exact name of the resource. Without it, the page is about everything that the person can reach.
    #[param(nullable = false, example = "prod-postgres")]
    resource: Option<String>,
}

/// Why somebody has access
#[utoipa::path(
    get, path = "/why", operation_id = "why", tag = "page", params(WhyQuery),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The causes", content_type = "text/html", body = String),
        (status = 303, description = "Neither is named: to the status page", headers(("location" = String))), QueryErrors),
)]
pub(crate) async fn why(
    State(state): State<Arc<AppState>>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Result<Response, AppError> {
    let Query(query) = query.map_err(|rejection| AppError::BadRequest(rejection.body_text()))?;
    let facts = Facts::gather(&state).await?;
    match (&query.email, &query.resource) {
        (Some(email), Some(resource)) => pair(&state, &facts, email, resource).await,
        (Some(email), None) => about::person(&state, &facts, email).await,
        (None, Some(resource)) => about::resource(&state, &facts, resource).await,
        // About everybody and everything is the status page.
        (None, None) => Ok(Redirect::to("./").into_response()),
    }
}

/// Why this person has access to this resource, or lacks it.
async fn pair(
    state: &AppState,
    facts: &Facts<'_>,
    email: &str,
    resource: &str,
) -> Result<Response, AppError> {
    let span = Span::around(facts.now, facts.horizon);
    let this = [Access { resource: resource.to_owned(), email: email.to_lowercase() }];
    let view = View::between(facts.now, FOREVER);
    let grants = state.store.grants_of(&view, &this, GRANTS).await?;
    let lanes = lanes(&span, &this, &grants, facts.known());
    let lane = lanes.values().flatten().next().filter(|(_, lane)| lane.has_something());
    let audit = state.store.audit_page(about::AUDIT, None).await?.items;
    let is_this = |other: &str, name: &str| other.eq_ignore_ascii_case(email) && name == resource;
    let more = grants.first().map_or(0, |seen| seen.of.saturating_sub(grants.len()));
    let names = &facts.names;
    let faults = findings::about(facts, Some(email), Some(resource));
    let main = html! {
        section.summary {
            p.back { a href="./" { "← Everything" } }
            h1 { a href=(person_page(email)) { (person(names, email)) } " on " a href=(resource_page(resource)) { (resource) } }
            p.lead {
                @match lane {
                    Some((_, lane)) => { (lane_state(facts.now, lane.state(facts.now))) }
                    None if faults.is_some() => { (chip(Tone::Bad, "no access")) " No grant of ours, now or to come; what stands in the way is to be mended." }
                    None => { (chip(Tone::Quiet, "no access")) " No grant of ours, now or to come." }
                }
            }
            (tools())
        }
        @if let Some(faults) = &faults { (faults) }
        section.grants {
            h2 { "Grants" }
            @if grants.is_empty() { p.empty { "None." } }
            @for seen in &grants { (grant(facts, &seen.entry)) }
            @if more > 0 { p.after { "And " (count(more, "later grant")) "." } }
        }
        (deferred_and_missing(facts, is_this))
        (history::done(facts, &audit, is_this))
        p { a href={ "api/explain?" (query_string(&[("email", email), ("resource", resource)])) } { "Ask PagerDuty and strongDM now" } ": what is wanted, what is missing, and what would mend it, for machines." }
    };
    Ok(layout::page(
        StatusCode::OK,
        &format!("{} on {resource}", names.person_text(email)),
        Place::Top,
        &main,
    ))
}

fn grant(facts: &Facts<'_>, entry: &LedgerEntry) -> Markup {
    let (now, grant) = (facts.now, &entry.own.grant);
    let held = facts.held.contains(&entry.own.row);
    html! {
        article.card {
            h3 {
                (time(now, grant.window.start())) " to " (time(now, grant.window.end())) " "
                @if held { (chip(Tone::Warn, "held")) }
                @else if grant.window.contains(now) { (chip(Tone::Good, "access")) }
                @else { (chip(Tone::Info, "to come")) }
            }
            @if held { p { "No rule wants it any more, but its revocation is held until somebody confirms it." } }
            ol.causes {
                @for cause in entry.own.causes.iter().take(CAUSES) { li { (chain(facts, cause)) } }
                @if entry.own.causes.len() > CAUSES { li { "and " (count(entry.own.causes.len() - CAUSES, "more cause")) } }
            }
            p.quiet {
                "Decided " (distance(now, entry.intended_at)) " (" (time(now, entry.intended_at)) ")"
                @if let Some(id) = &grant.id { " · strongDM " code { (id) } }
            }
        }
    }
}

/// From the rule to the shift, and when that was last seen to be so.
fn chain(facts: &Facts<'_>, cause: &Cause) -> Markup {
    let Cause { rule, source, user, address: _, through, policy: _, level, shift_start, shift_end, incident } =
        cause;
    let names = &facts.names;
    let status = facts.snapshot.sources.iter().find(|status| status.source == *source);
    html! {
        "Rule " strong { (rule) } " → " (names.tell(&source.to_string()))
        @if let Source::Policy(_) = source {
            @if let Some(level) = level { ", level " (level) }
            @if let Some(schedule) = through { " → " (names.tell(&format!("schedule {schedule}"))) }
        }
        @if let Some(incident) = incident { (part(facts, incident, user, *shift_start)) }
        @else {
            " → " (names.tell(&format!("user {user}"))) " is on call"
            @match (shift_start, shift_end) {
                (Some(start), Some(end)) => { " from " (time(facts.now, *start)) " to " (time(facts.now, *end)) }
                (Some(start), None) => { " from " (time(facts.now, *start)) ", without an end" }
                _ => { " always" }
            }
        }
        @if let Some(status) = status {
            @match (&status.error, status.seen_at) {
                (Some(error), _) => { ". " (chip(Tone::Warn, "unknown")) " It could not be checked the last time: " (error) }
                (None, Some(at)) => { ". Last checked " (distance(facts.now, at)) "." }
                (None, None) => { "." }
            }
        }
    }
}

/// The part in an incident that is the cause.
fn part(facts: &Facts<'_>, cause: &IncidentCause, user: &UserId, since: Option<DateTime<Utc>>) -> Markup {
    let IncidentCause { about, role } = cause;
    let open = facts.snapshot.incidents.iter().find(|open| open.about.id == about.id);
    let number = about.number.map_or_else(|| about.id.to_string(), |number| number.to_string());
    html! {
        " → incident "
        @match &about.html_url { Some(url) => { a href=(url) rel="noreferrer" { (number) } } None => { (number) } }
        @if let Some(open) = open.filter(|open| !open.title.is_empty()) { ", “" (open.title) "”" }
        " → " (facts.names.tell(&format!("user {user}"))) " is " (role.as_str())
        @if let Some(since) = since { " since " (time(facts.now, since)) }
    }
}

fn deferred_and_missing(facts: &Facts<'_>, is_this: impl Fn(&str, &str) -> bool) -> Markup {
    let waiting = facts.snapshot.deferred.iter();
    let waiting: Vec<&Grant> =
        waiting.filter(|waiting| is_this(waiting.email.as_str(), &waiting.resource)).take(LISTED).collect();
    let missing = facts.snapshot.missing_at(facts.now);
    let missing: Vec<&Wanted> =
        missing.filter(|wanted| is_this(wanted.email.as_str(), &wanted.resource)).take(LISTED).collect();
    html! {
        @if !waiting.is_empty() {
            section { h2 { "Deferred" } ul { @for it in waiting {
                li { (time(facts.now, it.window.start())) " to " (time(facts.now, it.window.end())) ": waits until the grant in its way ends." }
            } } }
        }
        @if !missing.is_empty() {
            section { h2 { "Wanted, without a grant of ours" } ul { @for wanted in missing {
                li {
                    "Rule " strong { (wanted.rule) } " through " (facts.names.tell(&wanted.source.to_string())) ", from " (time(facts.now, wanted.start))
                    @match wanted.end { Some(end) => { " to " (time(facts.now, end)) } None => { ", without an end" } }
                }
            } } }
        }
    }
}
