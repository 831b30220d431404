//! What every call passes before its service: the log, the faults, the signature, the permission, the rate limit.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::DATE;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tonic::{Code, Status};

use super::call::{Call, facts};
use super::rate_limit::{self, Bucket};
use super::settings::{ApiKey, Settings};
use super::state::Shared;
use super::{signature, status};
use crate::budget::Left;
use crate::clock::real_now;
use crate::faults::{Action, answer};
use crate::server::Connection;

/// gRPC's default limit for one message.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let connection = parts.extensions.get::<Connection>().cloned();
    let connection = connection.expect("the server puts the connection into every request");
    let method = parts.uri.path().trim_start_matches("/v1.").replace('/', ".");
    let Ok(frame) = axum::body::to_bytes(body, MAX_MESSAGE).await else {
        return Status::resource_exhausted("the message is too large").into_http();
    };
    let now = shared.clock.now();
    let message = unframed(&frame);
    let facts = message.map(|message| facts(&method, message)).unwrap_or_default();
    let readable = facts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let flight = shared.log.enter(Call {
        method: method.clone(),
        at: now,
        connection: connection.number,
        user_agent: text(&parts.headers, "x-sdm-user-agent").unwrap_or_default().into(),
        facts,
        code: None,
    });
    let injection = shared.faults.inject(&method, &readable);
    let mut response = match injection.before.run().await {
        Some(action) => end(action, &connection, now, Response::default()).await,
        None => match admit(&shared, &method, &parts.headers, message) {
            Ok(left) => {
                parts.extensions.insert(left);
                next.run(Request::from_parts(parts, Body::from(frame.clone()))).await
            }
            Err(refusal) => refusal.into_http(),
        },
    };
    if let Some(action) = injection.after.run().await {
        response = end(action, &connection, now, response).await;
    }
    tell_clock(&shared, now, &mut response);
    let code =
        response.headers().get("grpc-status").map_or(0, |code| Code::from_bytes(code.as_bytes()).into());
    flight.update(|call| call.code = Some(code));
    response
}

/// Tells a wrong time, if the settings say so; otherwise the server tells the right one.
fn tell_clock(shared: &Shared, now: DateTime<Utc>, response: &mut Response) {
    let ahead = TimeDelta::seconds(shared.lock().settings.clock_ahead_secs);
    let date = (now + ahead).format("%a, %d %b %Y %T GMT").to_string();
    if let (false, Ok(date)) = (ahead.is_zero(), HeaderValue::from_str(&date)) {
        response.headers_mut().insert(DATE, date);
    }
}

/// Ends a call as a fault says. Only here does a gRPC status get strongDM's details.
async fn end(action: Action, connection: &Connection, now: DateTime<Utc>, answer: Response) -> Response {
    match action {
        Action::Grpc { message, reset_in_secs: Some(secs), .. } => {
            status::injected_rate_limit(&message, now + TimeDelta::seconds(secs)).into_http()
        }
        action => answer::end(action, connection, answer).await,
    }
}

/// The message without its five bytes of frame; nothing if it is compressed or not exactly one.
fn unframed(frame: &Bytes) -> Option<&[u8]> {
    let (head, message) = frame.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    (head[0] == 0 && usize::try_from(length).ok()? == message.len()).then_some(message)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

/// Checks the key, the signature, the permission and the rate limit.
fn admit(shared: &Shared, method: &str, headers: &HeaderMap, message: Option<&[u8]>) -> Result<Left, Status> {
    let now = shared.clock.now();
    let mut state = shared.lock();
    let key = authenticated(&state.settings, now, method, headers, message)
        .map_err(|error| state.refuse(Code::Unauthenticated, &error))?;
    let Some((permission, bucket)) = needs(method) else {
        // The router does not know the method either, and answers so.
        return Ok(state.reads.clone().take(now, u32::MAX));
    };
    if !key.permissions.contains(permission) {
        return Err(state.refuse(Code::PermissionDenied, "permission denied"));
    }
    let Settings { read_budget, write_budget, explain_rate_limit, .. } = state.settings;
    let left = match bucket {
        Bucket::Reads => state.reads.take(now, read_budget),
        Bucket::Writes => state.writes.take(now, write_budget),
    };
    if !left.exceeded {
        return Ok(left);
    }
    let message = "Sorry! You've made too many requests, try again";
    Err(if explain_rate_limit {
        status::rate_limited(message, &rate_limit::metadata(left, bucket))
    } else {
        Status::resource_exhausted(message)
    })
}

/// The key that signed the request.
fn authenticated<'a>(
    settings: &'a Settings,
    now: DateTime<Utc>,
    method: &str,
    headers: &HeaderMap,
    message: Option<&[u8]>,
) -> Result<&'a ApiKey, String> {
    let key = text(headers, "x-sdm-authentication");
    let key = settings.keys.iter().find(|known| Some(known.access_key.as_str()) == key);
    let key = key.ok_or("cannot find auth GUID")?;
    for name in ["x-sdm-api-version", "x-sdm-user-agent"] {
        text(headers, name).ok_or_else(|| format!("{name} is missing"))?;
    }
    let message = message.ok_or("the message cannot be read")?;
    let today = if settings.date_follows_clock { now } else { real_now() }.date_naive();
    let around = i64::from(settings.accept_neighbour_days);
    let signed = text(headers, "x-sdm-signature");
    let fits = |days: i64| {
        let date = today + TimeDelta::days(days);
        signed.is_some() && signature::sign(&key.secret_key, date, method, message).as_deref() == signed
    };
    if (-around..=around).any(fits) { Ok(key) } else { Err("invalid signature".into()) }
}

/// The permission that a method needs, and the rate limit that it counts against.
fn needs(method: &str) -> Option<(&'static str, Bucket)> {
    Some(match method {
        "Accounts.Get" | "Accounts.List" => ("user:list", Bucket::Reads),
        "Resources.Get" | "Resources.List" => ("datasource:list", Bucket::Reads),
        "AccountGrants.Get" | "AccountGrants.List" => ("grant:read", Bucket::Reads),
        "AccountGrants.Create" | "AccountGrants.Delete" => ("grant:write", Bucket::Writes),
        "AccountGrantsHistory.List" => ("audit:accountgrants", Bucket::Reads),
        "Roles.List" => ("role:list", Bucket::Reads),
        _ => return None,
    })
}
