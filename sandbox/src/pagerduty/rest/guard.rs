//! What every request passes before its handler: the log, the faults, the key or token, the rate limit.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use super::error::ApiError;
use super::query::Query;
use super::rights::authorize;
use super::token;
use crate::budget::Left;
use crate::faults::answer;
use crate::pagerduty::request::{Request as Logged, loggable};
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
        path,
        query: query.clone(),
        at: now,
        connection: connection.number,
        headers: loggable(request.headers()),
        status: None,
    });
    let injection = shared.faults.inject(&call, &query);
    let mut response = match injection.before.run().await {
        Some(action) => answer::end(action, &connection, Response::default()).await,
        None => serve(&shared, request, next).await,
    };
    if let Some(action) = injection.after.run().await {
        response = answer::end(action, &connection, response).await;
    }
    flight.update(|logged| logged.status = Some(response.status().as_u16()));
    response
}

/// Runs the handler, if the key or token and the rate limit admit the request.
async fn serve(shared: &Shared, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    // The identity service knows its clients by the body, and its limits are not documented.
    if path == token::PATH {
        return next.run(request).await;
    }
    match admit(shared, &path, request.method(), request.headers()) {
        Ok(left) => with_rate_limit(next.run(request).await, left, shared.clock.now(), &path),
        Err(Refusal::Error(error)) => error.into_response(),
        Err(Refusal::RateLimited(left)) => {
            with_rate_limit(ApiError::RATE_LIMITED.into_response(), left, shared.clock.now(), &path)
        }
        Err(Refusal::Bare429) => StatusCode::TOO_MANY_REQUESTS.into_response(),
    }
}

/// Why a request is not admitted.
enum Refusal {
    Error(ApiError),
    RateLimited(Left),
    /// The rate limit too, without headers and body.
    Bare429,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

fn admit(shared: &Shared, path: &str, method: &Method, headers: &HeaderMap) -> Result<Left, Refusal> {
    let mut state = shared.lock();
    let now = shared.clock.now();
    authorize(&state, path, method, headers, now)?;
    let (budget, oncalls_budget) = (state.settings.budget, state.settings.oncalls_budget);
    let mut left = state.budget.take(now, budget);
    if path == "/oncalls" {
        let own = state.oncalls_budget.take(now, oncalls_budget);
        // The headers tell of the limit that is nearest to its end.
        if own.exceeded || own.remaining < left.remaining {
            left = own;
        }
    }
    if !left.exceeded {
        return Ok(left);
    }
    Err(if state.settings.explain_429 { Refusal::RateLimited(left) } else { Refusal::Bare429 })
}

/// Adds the headers that tell of the rate limit.
fn with_rate_limit(mut response: Response, left: Left, now: DateTime<Utc>, path: &str) -> Response {
    let reset = (left.reset_at - now).num_seconds().max(0) + 1;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("ratelimit-limit"), left.limit.into());
    headers.insert(HeaderName::from_static("ratelimit-remaining"), left.remaining.into());
    headers.insert(HeaderName::from_static("ratelimit-reset"), reset.into());
    if path == "/oncalls" {
        headers.insert(HeaderName::from_static("x-pd-operation-limit"), HeaderValue::from_static("true"));
    }
    response
}
