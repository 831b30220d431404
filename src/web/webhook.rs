//! `POST /webhooks/pagerduty`: verify, store, wake the reconciler, answer.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::{error::AppError, openapi::ErrorBody, router::App};
use crate::{
    clock,
    metrics::ByResult,
    pagerduty::{Event, Hint, signature},
    reconcile::scope::{Mark, concerned},
    store::{Accepted, Delivery},
};

/// PagerDuty drops events above 256 KiB itself.
const LARGEST_BODY: usize = 512 * 1024;
/// We promise an answer within a second; a delivery that is not on disk by then is better sent again.
const STORE_WITHIN: Duration = Duration::from_millis(800);

/// Refused signatures are logged at most this often: anybody can cause them.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Counts refused signatures between two log lines.
#[derive(Debug, Default)]
pub(super) struct RefusedSignatures(Mutex<(Option<Instant>, u64)>);

impl RefusedSignatures {
    fn note(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        if state.0.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            tracing::warn!(
                webhooks.refused = state.1,
                "refused {} webhooks whose signature was made with none of the configured secrets; after three in a \
                 row PagerDuty switches the subscription off for a day",
                state.1,
            );
            *state = (Some(Instant::now()), 0);
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// `accepted`, `duplicate` (an `event.id` seen before) or `ignored` (nothing to refresh).
    #[schema(example = "accepted")]
    status: &'static str,
    /// The `event.id`, if there is one.
    event_id: Option<String>,
}

/// Takes an event in
///
/// Whatever a signed body contains, it is answered 2xx once it is durable: three 4xx in a row would make PagerDuty
/// switch the subscription off.
#[utoipa::path(
    post, path = "/webhooks/pagerduty", operation_id = "takeEvent", tag = "webhook",
    params(("X-PagerDuty-Signature" = String, Header, description = "`v1=` and the HMAC-SHA-256 of the body in hexadecimal, or several, separated by commas")),
    request_body(content = serde_json::Value, description = "A v3 webhook of PagerDuty", content_type = "application/json"),
    responses(
        (status = 202, description = "It is durable", body = Taken),
        (status = 400, description = "The body broke off", body = ErrorBody),
        (status = 401, description = "No signature was made with one of the secrets", body = ErrorBody),
        (status = 405, description = "The route exists, but not for this method", body = ErrorBody),
        (status = 413, description = "The body is larger than 512 KiB", body = ErrorBody),
        (status = 503, description = "It cannot be stored now, or no secret is configured", body = ErrorBody,
            headers(("retry-after" = u32, description = "Seconds"))),
    ),
)]
pub(super) async fn receive(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Taken>), AppError> {
    let began = Instant::now();
    let outcome = accept(&app, &headers, body).await;
    let result = match &outcome {
        Ok((accepted, _)) => accepted.as_str(),
        Err(AppError::BadSignature) => "bad_signature",
        Err(AppError::TooLarge(_)) => "too_large",
        Err(AppError::Unavailable(_)) => "unavailable",
        Err(_) => "error",
    };
    app.metrics.webhooks.get_or_create(&ByResult { result }).inc();
    app.metrics.webhook_seconds.observe(began.elapsed().as_secs_f64());
    let (accepted, event_id) = outcome?;
    Ok((StatusCode::ACCEPTED, Json(Taken { status: accepted.as_str(), event_id })))
}

async fn accept(app: &App, headers: &HeaderMap, body: Body) -> Result<(Accepted, Option<String>), AppError> {
    if app.webhook_secrets.is_empty() {
        return Err(AppError::Unavailable(
            "no webhook secret is configured; set pagerduty.webhook_secrets".to_owned(),
        ));
    }
    if app.is_stopping() {
        return Err(AppError::Unavailable("the service is stopping".to_owned()));
    }
    let held = app.bodies.read(body, LARGEST_BODY).await?;
    let body = &held.bytes;
    let signatures = headers.get_all("x-pagerduty-signature").iter().map(axum::http::HeaderValue::as_bytes);
    if signature::verify(&app.webhook_secrets, signatures, body).is_none() {
        app.refused_signatures.note();
        return Err(AppError::BadSignature);
    }
    let event = Event::read(body);
    let event_id = event.id.clone();
    let delivery = delivery(app, headers, event, body);
    let stored = timeout(STORE_WITHIN, app.store.accept(delivery)).await;
    let accepted = match stored {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot store a webhook");
            return Err(AppError::Unavailable("the event cannot be stored now".to_owned()));
        }
        Err(_) => return Err(AppError::Unavailable("storing the event takes too long".to_owned())),
    };
    Ok((accepted, event_id))
}

fn delivery(app: &App, headers: &HeaderMap, event: Event, body: &[u8]) -> Delivery {
    let Event { id, event_type, hint } = event;
    let marks = match hint {
        Hint::Nothing => BTreeSet::new(),
        Hint::Everything => BTreeSet::from([Mark::Everything]),
        Hint::About { schedules, policies } => {
            concerned(&app.reconciler.settings().rules, &app.reconciler.links(), &schedules, &policies)
        }
    };
    Delivery {
        key: id
            .as_ref()
            .map_or_else(|| format!("sha256:{}", hex::encode(Sha256::digest(body))), |id| format!("id:{id}")),
        received_at: clock::now(),
        event_id: id,
        event_type,
        webhook_id: unsigned(headers, "x-webhook-id"),
        subscription: unsigned(headers, "x-webhook-subscription"),
        marks,
    }
}

/// A header that anybody can set: kept for people to read, bounded, never trusted.
fn unsigned(headers: &HeaderMap, name: &str) -> Option<String> {
    const LONGEST: usize = 128;
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.chars().take(LONGEST).collect())
}
