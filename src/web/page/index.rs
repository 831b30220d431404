//! `GET /`, with its style sheet and script.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::html;

use super::{
    access::Shown,
    changes, chart,
    facts::Facts,
    findings, history, incidents,
    layout::{self, Place},
    query::PageQuery,
    summary, sync, tables,
    timeline::Span,
};
use crate::web::{
    answers::{AdminErrors, QueryErrors},
    error::AppError,
    state::AppState,
};

/// The addresses of style sheet and script change with their text, so a browser may keep both.
const KEEP: &str = "private, max-age=31536000, immutable";

/// The status page
#[utoipa::path(
    get, path = "/", operation_id = "statusPage", tag = "page", params(PageQuery),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The page", content_type = "text/html", body = String), QueryErrors),
)]
pub(crate) async fn index(
    State(state): State<Arc<AppState>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, AppError> {
    let Query(query) = query.map_err(|rejection| AppError::BadRequest(rejection.body_text()))?;
    let facts = Facts::gather(&state).await?;
    let span = Span::around(facts.now, query.length());
    let shown = Shown::gather(&state.store, &facts, &span, &query).await?;
    let main = html! {
        (summary::summary(&facts))
        (chart::access(&facts, &span, &query, &shown))
        (tables::grants(&facts, &shown))
        (incidents::incidents(&facts))
        (changes::changes(&facts, &query, &shown.changes))
        (findings::findings(&facts, &query))
        (tables::rules(&facts, &query))
        (history::passes(&facts, &query))
        (history::events(&facts))
        (tables::upstreams(&facts))
        (sync::offer(&facts))
    };
    Ok(layout::page(StatusCode::OK, "On-call access", Place::Top, &main))
}

/// The page's style sheet
#[utoipa::path(
    get, path = "/assets/page.css", operation_id = "pageStyle", tag = "page",
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The style sheet", content_type = "text/css", body = String), AdminErrors),
)]
pub(crate) async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, KEEP)];
    (headers, layout::STYLE)
}

/// The page's script
#[utoipa::path(
    get, path = "/assets/page.js", operation_id = "pageScript", tag = "page",
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The script", content_type = "text/javascript", body = String), AdminErrors),
)]
pub(crate) async fn script() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, KEEP)];
    (headers, layout::SCRIPT)
}
