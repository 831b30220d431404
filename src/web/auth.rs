//! Lets only holders of the admin token use the operator's routes, and only holders of a trigger token make us look.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::header,
    middleware::Next,
    response::Response,
};

use super::{error::AppError, state::AppState};
use crate::metrics::ByResult;

/// Lets a request through if it carries the admin token.
pub(super) async fn require_admin(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, AppError> {
    if state.tokens.is_admin(request.headers()) {
        Ok(next.run(request).await)
    } else {
        record_refused(&state, &request, "admin token");
        Err(AppError::NotAdmin)
    }
}

/// Lets a request through if it carries a trigger token or the admin token.
pub(super) async fn require_trigger(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, AppError> {
    if state.tokens.may_trigger(request.headers()) {
        Ok(next.run(request).await)
    } else {
        record_refused(&state, &request, "trigger token");
        Err(AppError::NotTrigger)
    }
}

/// Counts a request without the token that it needs, and logs it if it has a wrong one: browsers ask without any first.
fn record_refused(state: &AppState, request: &Request, needed: &'static str) {
    let has_token = request.headers().contains_key(header::AUTHORIZATION);
    let result = if has_token { "wrong_token" } else { "no_token" };
    state.metrics.admin_refused.get_or_create(&ByResult { result }).inc();
    let count = if has_token { state.wrong_tokens.count() } else { None };
    let Some(count) = count else { return };
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let from = from.map(|ConnectInfo(address)| format!(" from {}", address.ip())).unwrap_or_default();
    let requests = if count == 1 { "request" } else { "requests" };
    tracing::warn!(
        requests.refused = count,
        "refused {count} {requests} with a wrong {needed}; the last came{from}, which may be a proxy, for {route}",
    );
}
