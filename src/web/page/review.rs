//! `GET /review`: everybody with access as a plain list, to print for an access review: who, what, until when, and why.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use maud::{Markup, html};

use super::{
    access::{BARS, NAMESAKES},
    facts::Facts,
    layout::{self, Place, count, few, fixed_time},
    person::linked,
    query::{PageQuery, Show, cursor},
    timeline::Span,
};
use crate::{
    store::{Access, AccessCounts, SeenGrant, View},
    web::{answers::QueryErrors, error::AppError, state::AppState},
};

/// The people and resources of one page.
const LISTED: usize = 250;
/// The rules that a line names.
const NAMED: usize = 4;

/// A list of those with access, to print
#[utoipa::path(
    get, path = "/review", operation_id = "review", tag = "page", params(PageQuery),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", content_type = "text/html", body = String), QueryErrors),
)]
pub(crate) async fn review(
    State(state): State<Arc<AppState>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, AppError> {
    let Query(query) = query.map_err(|rejection| AppError::BadRequest(rejection.body_text()))?;
    let facts = Facts::gather(&state).await?;
    let until = match query.show() {
        Some(Show::All) => Span::around(facts.now, query.length()).end,
        Some(Show::Now) | None => facts.now,
    };
    let search = query.search().to_owned();
    let people = facts.names.addresses_of(&search, NAMESAKES);
    let view = View { search, people, ..View::between(facts.now, until) };
    let limit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut accesses = state.store.accesses(&view, limit(LISTED + 1), query.after()).await?;
    let is_cut = accesses.len() > LISTED;
    accesses.truncate(LISTED);
    let grants = state.store.grants_of(&view, &accesses, limit(BARS)).await?;
    let total = state.store.count_accesses(&view).await?;
    let next = accesses.last().filter(|_| is_cut);
    let main = html! {
        (head(&facts, &query, total))
        (table(&facts, &grants))
        (others(&query, accesses.len(), total, next))
        p.quiet {
            "This list has the grants that this service made, and strongDM has. It has neither grants that somebody else made nor access "
            "through strongDM roles."
        }
    };
    Ok(layout::page(StatusCode::OK, "Access review", Place::Top, &main))
}

/// What the list is, of when, and of which store.
fn head(facts: &Facts<'_>, query: &PageQuery, total: AccessCounts) -> Markup {
    let is_all = query.show() == Some(Show::All);
    let other = query.query_with("show", if is_all { "now" } else { "all" });
    html! {
        section.summary {
            p.back { a href="./" { "← Everything" } }
            h1 { "Access review" }
            p.lead {
                (if total.people == 1 { "1 person has".to_owned() } else { format!("{} people have", total.people) })
                " access" @if is_all { " now or next" }
                ", by " (count(total.grants, "grant")) "."
                @if !query.search().is_empty() { " Only names with “" (query.search()) "” in them are listed." }
            }
            p {
                "As of " (fixed_time(facts.now)) " · store " code { (facts.log.store_id) } " · "
                (facts.log.size) " entries in the audit"
            }
            p.tools data-tools="print" {
                a href={ "review?" (other) } { @if is_all { "Those with access now alone" } @else { "Also those who get access next" } }
            }
        }
    }
}

fn table(facts: &Facts<'_>, grants: &[SeenGrant]) -> Markup {
    html! {
        div.scroll role="region" aria-label="Access" tabindex="0" {
            table.review {
                caption.sr { "Who has access to what, until when, and why" }
                thead { tr {
                    th scope="col" { "Person" } th scope="col" { "Resource" } th scope="col" { "From" } th scope="col" { "Until" }
                    th scope="col" { "Rule" } th scope="col" { "Why" }
                } }
                tbody {
                    @for SeenGrant { entry, of: _ } in grants {
                        @let grant = &entry.own.grant;
                        tr {
                            th scope="row" { (linked(&facts.names, grant.email.as_str())) }
                            td { (grant.resource) (grant.kubernetes_groups) }
                            td { (fixed_time(grant.window.start())) } td { (fixed_time(grant.window.end())) }
                            td { (few(&grant.rules, NAMED)) }
                            td {
                                @for cause in entry.own.causes.iter().take(1) { (facts.names.tell(&cause.reason())) }
                                @if entry.own.causes.len() > 1 { ", and " (count(entry.own.causes.len() - 1, "more cause")) }
                                @if facts.held.contains(&entry.own.row) { ". Held: no rule wants it any more" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How many there are, and where the list goes on.
fn others(query: &PageQuery, listed: usize, total: AccessCounts, next: Option<&Access>) -> Markup {
    html! {
        @if next.is_some() || query.after().is_some() {
            nav.pages aria-label="Pages of the review" {
                span { (listed) " of " (total.accesses) " pairs of a person and a resource" }
                @if query.after().is_some() { a href={ "review?" (query.query_with("after", "")) } { "First page" } }
                @if let Some(next) = next {
                    a rel="next" href={ "review?" (query.query_with("after", &cursor(next))) } { "Next page" }
                }
            }
        }
    }
}
