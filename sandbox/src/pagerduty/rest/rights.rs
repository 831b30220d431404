//! Who may make a request: the keys of the account, and the tokens of its OAuth app with their scopes.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use chrono::{DateTime, Utc};

use super::error::ApiError;
use crate::pagerduty::state::State;

/// Refuses a request whose key or token is not accepted (401), or may not do this (403).
pub(super) fn authorize(
    state: &State,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    let credential = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = credential.ok_or(ApiError::UNAUTHORIZED)?;
    let permitted = if let Some(key) = credential.strip_prefix("Token token=") {
        let known = state.settings.tokens.iter().find(|known| known.token == key);
        let known = known.ok_or(ApiError::UNAUTHORIZED)?;
        let forbidden = known.denied.iter().any(|denied| path.starts_with(denied));
        !forbidden && (method == Method::GET || !known.read_only)
    } else if let Some(token) = credential.strip_prefix("Bearer ") {
        let known = state.access_tokens.iter().find(|known| known.token == token && now < known.expires_at);
        let known = known.ok_or(ApiError::UNAUTHORIZED)?;
        known.has(&state.settings.oauth.account_scope())
            && scope(method, path).is_none_or(|scope| known.has(&scope))
    } else {
        return Err(ApiError::UNAUTHORIZED);
    };
    if permitted { Ok(()) } else { Err(ApiError::DENIED) }
}

/// The scope that a token needs; nothing for paths that do not exist.
///
/// The documentation names none for `/v3/schedules`; its guide tells of the same tokens as for `/schedules`.
fn scope(method: &Method, path: &str) -> Option<String> {
    let mut parts = path.trim_start_matches("/v3").split('/').skip(1);
    let resource = match (parts.next()?, parts.nth(1)) {
        ("schedules", Some("users")) => "users",
        (
            name @ ("oncalls"
            | "schedules"
            | "users"
            | "escalation_policies"
            | "services"
            | "teams"
            | "priorities"
            | "incidents"
            | "webhook_subscriptions"),
            _,
        ) => name,
        _ => return None,
    };
    let right = if method == Method::GET { "read" } else { "write" };
    Some(format!("{resource}.{right}"))
}
