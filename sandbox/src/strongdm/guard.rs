//! What every call passes before its service sees it: the log, the faults, the signature, the rights, the budget.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use chrono::TimeDelta;
use prost::Message;
use tonic::{Code, Status};

use super::state::{Shared, rate_limit, time};
use super::{Call, signature, status, v1};
use crate::budget::Left;
use crate::faults::answer;
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
    let verdict = shared.faults.judge(&method, &readable);
    let mut response = match verdict.before.pass().await {
        Some(action) => answer::end(action, &connection, now, Response::default()).await,
        None => match admit(&shared, &method, &parts.headers, message) {
            Ok(left) => {
                parts.extensions.insert(left);
                next.run(Request::from_parts(parts, Body::from(frame.clone()))).await
            }
            Err(refusal) => refusal.into_http(),
        },
    };
    if let Some(action) = verdict.after.pass().await {
        response = answer::end(action, &connection, now, response).await;
    }
    let code =
        response.headers().get("grpc-status").map_or(0, |code| Code::from_bytes(code.as_bytes()).into());
    flight.note(|call| call.code = Some(code));
    response
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

fn admit(shared: &Shared, method: &str, headers: &HeaderMap, message: Option<&[u8]>) -> Result<Left, Status> {
    let mut inner = shared.lock();
    let refuse = |message| Err(inner.refuse(Code::Unauthenticated, message));
    let key = text(headers, "x-sdm-authentication");
    let Some(key) = inner.settings.keys.iter().find(|known| Some(known.access_key.as_str()) == key) else {
        return refuse("cannot find auth GUID");
    };
    for name in ["x-sdm-api-version", "x-sdm-user-agent"] {
        if text(headers, name).is_none() {
            return refuse(&format!("{name} is missing"));
        }
    }
    let Some(message) = message else { return refuse("the message cannot be read") };
    let today = if inner.settings.date_follows_clock { shared.clock.now() } else { crate::clock::real_now() }
        .date_naive();
    let around = i64::from(inner.settings.accept_neighbour_days);
    let signed = text(headers, "x-sdm-signature");
    let fits = |days: i64| {
        let date = today + TimeDelta::days(days);
        signed.is_some() && signature::sign(&key.secret_key, date, method, message).as_deref() == signed
    };
    if !(-around..=around).any(fits) {
        return refuse("invalid signature");
    }
    let Some((needed, writes)) = needs(method) else {
        // Whatever has no right to its name is left to the router, which does not know it.
        return Ok(inner.reads.clone().take(shared.clock.now(), u32::MAX));
    };
    if !key.permissions.contains(needed) {
        return Err(inner.refuse(Code::PermissionDenied, "permission denied"));
    }
    let (now, settings) = (shared.clock.now(), inner.settings.clone());
    let (left, bucket) = if writes {
        (inner.writes.take(now, settings.write_budget), "writes")
    } else {
        (inner.reads.take(now, settings.read_budget), "reads")
    };
    if left.exceeded {
        let details = settings.explain_rate_limit.then(|| rate_limit(left, bucket));
        return Err(status::rate_limited("Sorry! You've made too many requests, try again", details));
    }
    Ok(left)
}

/// The permission that a method needs, and whether it writes.
fn needs(method: &str) -> Option<(&'static str, bool)> {
    Some(match method {
        "Accounts.Get" | "Accounts.List" => ("user:list", false),
        "Resources.Get" | "Resources.List" => ("datasource:list", false),
        "AccountGrants.Get" | "AccountGrants.List" => ("grant:read", false),
        "AccountGrants.Create" | "AccountGrants.Delete" => ("grant:write", true),
        "AccountGrantsHistory.List" => ("audit:accountgrants", false),
        "Roles.List" => ("role:list", false),
        _ => return None,
    })
}

/// What a request says, for the log and for matching faults.
fn facts(method: &str, message: &[u8]) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            facts.insert(name.to_owned(), value);
        }
    };
    if method.ends_with(".List") {
        // All list requests have the same two fields.
        let request = v1::AccountListRequest::decode(message).unwrap_or_default();
        let meta = request.meta.unwrap_or_default();
        add("filter", request.filter);
        add("cursor", meta.cursor);
        add("limit", if meta.limit == 0 { String::new() } else { meta.limit.to_string() });
    } else if method == "AccountGrants.Create" {
        let request = v1::AccountGrantCreateRequest::decode(message).unwrap_or_default();
        let grant = request.account_grant.unwrap_or_default();
        let shown =
            |stamp| time(stamp, true).ok().flatten().map(|time| time.to_rfc3339()).unwrap_or_default();
        add("start_from", shown(grant.start_from.as_ref()));
        add("valid_until", shown(grant.valid_until.as_ref()));
        add("account_id", grant.account_id);
        add("resource_id", grant.resource_id);
        add("access_rule", grant.access_rule);
    } else {
        add("id", v1::AccountGetRequest::decode(message).unwrap_or_default().id);
    }
    facts
}
