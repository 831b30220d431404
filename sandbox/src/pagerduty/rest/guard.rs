//! What every REST request passes: the log, the faults, the key, the budget.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use super::error::ApiError;
use super::query::Query;
use crate::budget::Left;
use crate::faults::answer;
use crate::pagerduty::Request as Logged;
use crate::pagerduty::state::Shared;
use crate::server::Connection;

pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let query = Query::parse(request.uri().query().unwrap_or_default()).readable();
    let connection = request.extensions().get::<Connection>().cloned();
    let connection = connection.expect("the server puts the connection into every request");
    let now = shared.clock.now();
    let call = format!("{} {path}", request.method());
    let flight = shared.log.enter(Logged {
        method: request.method().to_string(),
        path: path.clone(),
        query: query.clone(),
        at: now,
        connection: connection.number,
        headers: loggable(request.headers()),
        status: None,
    });
    let verdict = shared.faults.judge(&call, &query);
    let mut response = match verdict.before.pass().await {
        Some(action) => answer::end(action, &connection, now, Response::default()).await,
        None => match admit(&shared, &path, request.method(), request.headers()) {
            Ok(left) => {
                let mut response = next.run(request).await;
                explain(&mut response, left, now, &path);
                response
            }
            Err(refusal) => {
                let mut response = refusal.error.map_or_else(
                    || StatusCode::TOO_MANY_REQUESTS.into_response(),
                    IntoResponse::into_response,
                );
                if let Some(left) = refusal.left {
                    explain(&mut response, left, now, &path);
                }
                response
            }
        },
    };
    if let Some(action) = verdict.after.pass().await {
        response = answer::end(action, &connection, now, response).await;
    }
    flight.note(|logged| logged.status = Some(response.status().as_u16()));
    response
}

/// Why a request is not let in: without an error, a bare 429.
struct Refusal {
    error: Option<ApiError>,
    left: Option<Left>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error: Some(error), left: None }
    }
}

fn admit(shared: &Shared, path: &str, method: &Method, headers: &HeaderMap) -> Result<Left, Refusal> {
    let mut inner = shared.lock();
    let key = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = key.and_then(|value| value.strip_prefix("Token token="));
    let known = inner.settings.tokens.iter().find(|known| Some(known.token.as_str()) == key);
    let Some(known) = known else { return Err(ApiError::UNAUTHORIZED.into()) };
    let writes = method != Method::GET;
    if (known.read_only && writes) || known.denied.iter().any(|denied| path.starts_with(denied)) {
        return Err(ApiError::DENIED.into());
    }
    let now = shared.clock.now();
    let (budget, oncalls_budget) = (inner.settings.budget, inner.settings.oncalls_budget);
    let mut left = inner.budget.take(now, budget);
    if path == "/oncalls" {
        let own = inner.oncalls_budget.take(now, oncalls_budget);
        // The headers tell of the limit that is nearest to its end.
        if own.exceeded || own.remaining < left.remaining {
            left = own;
        }
    }
    if !left.exceeded {
        return Ok(left);
    }
    let explained = inner.settings.explain_429;
    Err(Refusal { error: explained.then_some(ApiError::RATE_LIMITED), left: explained.then_some(left) })
}

fn explain(response: &mut Response, left: Left, now: DateTime<Utc>, path: &str) {
    let reset = (left.reset_at - now).num_seconds().max(0) + 1;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("ratelimit-limit"), left.limit.into());
    headers.insert(HeaderName::from_static("ratelimit-remaining"), left.remaining.into());
    headers.insert(HeaderName::from_static("ratelimit-reset"), reset.into());
    if path == "/oncalls" {
        headers.insert(HeaderName::from_static("x-pd-operation-limit"), HeaderValue::from_static("true"));
    }
}

/// All headers but the key.
fn loggable(headers: &HeaderMap) -> std::collections::BTreeMap<String, String> {
    let shown = headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
    shown.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}
