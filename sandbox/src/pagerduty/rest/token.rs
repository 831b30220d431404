//! `POST /oauth/token` of the identity service, which here has the address of the REST API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::query::Query;
use crate::pagerduty::state::Shared;

/// The path, which needs no key.
pub(super) const PATH: &str = "/oauth/token";

type Refused = (StatusCode, Json<Value>);

/// Takes the form of `client_credentials`. The errors are those of RFC 6749; PagerDuty's are not documented.
pub(super) async fn issue(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, Refused> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(refused(StatusCode::BAD_REQUEST, "invalid_request"));
    }
    let form = Query::parse(&body);
    if form.one("grant_type") != Some("client_credentials") {
        return Err(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type"));
    }
    let now = shared.clock.now();
    let mut state = shared.lock();
    let app = &state.settings.oauth;
    let (id, secret) = (form.one("client_id"), form.one("client_secret"));
    if id != Some(&app.client_id) || secret != Some(&app.client_secret) {
        return Err(refused(StatusCode::UNAUTHORIZED, "invalid_client"));
    }
    let asked = form.one("scope").unwrap_or_default().split_whitespace().map(Into::into).collect();
    let token = app.issue(asked, now);
    let answer = json!({
        "access_token": token.token,
        "scope": token.scopes.join(" "),
        "token_type": "bearer",
        "expires_in": app.lifetime_secs,
    });
    state.access_tokens.push(token);
    Ok(Json(answer))
}

fn refused(status: StatusCode, error: &str) -> Refused {
    (status, Json(json!({"error": error})))
}
