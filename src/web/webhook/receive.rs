//! `POST /webhooks/pagerduty`: verify, store, wake the reconciler, answer.

pub(in crate::web) mod secrets;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::{error::AppError, openapi::ErrorBody, router::App};
use crate::{
    clock,
    metrics::ByAnswer,
    model::Mark,
    pagerduty::{Event, Hint, signature},
    reconcile::scope::concerned,
    store::{Accepted, Delivery},
    telemetry::throttle::LogThrottle,
};

/// PagerDuty drops events above 256 KiB itself.
const LARGEST_BODY: usize = 512 * 1024;
/// We promise an answer within a second; a delivery that is not on disk by then is better sent again.
const STORE_WITHIN: Duration = Duration::from_millis(800);

/// Refused signatures are logged at most this often: anybody can cause them.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Signed bodies without an event are logged at most this often: a broken automation sends them again and again.
const LOG_BROKEN_EVERY: Duration = Duration::from_mins(5);

/// Counts refused signatures between two log lines.
#[derive(Debug, Default)]
pub(in crate::web) struct RefusedSignatures {
    ours: LogThrottle,
    others: LogThrottle,
    without_secret: LogThrottle,
}

impl RefusedSignatures {
    /// Counts one that nobody could have signed.
    fn note_without_secret(&self) {
        let Some(count) = self.without_secret.note(LOG_EVERY) else { return };
        tracing::warn!(
            webhooks.refused = count,
            "answered a webhook 503, for no webhook secret is configured; set pagerduty.webhook_secrets or its file (if the \
             secret is lost: oncall-grants webhook rotate)",
        );
    }

    /// Counts one; `said` is the subscription that it names, `ours` the same if it is our own. Forged ones do not keep
    /// that from being logged.
    fn note(&self, ours: Option<&str>, said: Option<&str>) {
        let state = if ours.is_some() { &self.ours } else { &self.others };
        let Some(count) = state.note(LOG_EVERY) else { return };
        if let Some(id) = ours {
            tracing::error!(
                webhooks.refused = count,
                "our webhook subscription {id} signs with a secret that is not configured; add it to \
                 pagerduty.webhook_secrets (if it is lost: oncall-grants webhook rotate), before PagerDuty switches the \
                 subscription off after three refusals in a row",
            );
        } else {
            let webhooks = if count == 1 { "webhook" } else { "webhooks" };
            let said =
                said.map(|id| format!("; the last one names the subscription {id:?}")).unwrap_or_default();
            tracing::warn!(
                webhooks.refused = count,
                "refused {count} {webhooks} whose signature was made with none of the configured secrets{said}; if PagerDuty \
                 sent it, its secret is missing in pagerduty.webhook_secrets, and after three in a row PagerDuty switches \
                 the subscription off for a day",
            );
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct Receipt {
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
        (status = 202, description = "It is durable", body = Receipt),
        (status = 400, description = "The body broke off", body = ErrorBody),
        (status = 401, description = "No signature was made with one of the secrets", body = ErrorBody),
        (status = 405, description = "The route exists, but not for this method", body = ErrorBody),
        (status = 413, description = "The body is larger than 512 KiB", body = ErrorBody),
        (status = 503, description = "It cannot be stored now, or no secret is configured", body = ErrorBody,
            headers(("retry-after" = u32, description = "Seconds"))),
    ),
)]
pub(in crate::web) async fn receive(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Receipt>), AppError> {
    let began = Instant::now();
    let mut signer = None;
    let outcome = accept(&app, &headers, body, &mut signer).await;
    let result = match &outcome {
        Ok((accepted, _)) => accepted.as_str(),
        Err(AppError::BadSignature) => "bad_signature",
        Err(AppError::TooLarge(_)) => "too_large",
        Err(AppError::Unavailable(_)) => "unavailable",
        Err(_) => "error",
    };
    let secret = signer.map_or_else(|| "none".to_owned(), |index| (index + 1).to_string());
    app.metrics.webhooks.get_or_create(&ByAnswer { result, secret }).inc();
    app.metrics.webhook_seconds.observe(began.elapsed().as_secs_f64());
    let (accepted, event_id) = outcome?;
    Ok((StatusCode::ACCEPTED, Json(Receipt { status: accepted.as_str(), event_id })))
}

/// Notes in `signer` which secret fits as soon as that is known, whatever happens afterwards.
async fn accept(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    signer: &mut Option<usize>,
) -> Result<(Accepted, Option<String>), AppError> {
    let secrets = app.webhook_secrets.current();
    if secrets.is_empty() {
        app.refused_signatures.note_without_secret();
        return Err(AppError::Unavailable(
            "no webhook secret is configured; set pagerduty.webhook_secrets".to_owned(),
        ));
    }
    if app.is_stopping() {
        return Err(AppError::Unavailable("the service is stopping".to_owned()));
    }
    let held = app.bodies.read(body, LARGEST_BODY).await?;
    let body = &held.bytes;
    let signatures = headers.get_all("x-pagerduty-signature").iter().map(HeaderValue::as_bytes);
    *signer = signature::verify(&secrets, signatures, body);
    if signer.is_none() {
        refuse(app, headers);
        return Err(AppError::BadSignature);
    }
    let event = Event::read(body);
    if event.id.is_none()
        && event.event_type.is_none()
        && let Some(count) = app.without_event.note(LOG_BROKEN_EVERY)
    {
        let had = if count == 1 {
            "a signed webhook had".to_owned()
        } else {
            format!("{count} signed webhooks had")
        };
        tracing::warn!(
            "{had} no event in it ({{\"event\": {{\"id\": ..., \"event_type\": ...}}}}), so everything was looked at; see \
             whatever signs with secret {}",
            signer.map_or(0, |index| index + 1),
        );
    }
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

/// Notes a webhook whose signature is bad. Where it says that it comes from is not signed, but it is a hint at what is
/// wrong: our subscription with another secret is more likely than somebody who knows its name.
fn refuse(app: &App, headers: &HeaderMap) {
    let said = unsigned(headers, "x-webhook-subscription");
    let ours = said.as_deref().filter(|id| app.watch.is_ours(id));
    if let Some(id) = ours {
        app.metrics.wrong_secret.inc();
        app.reconciler.note_wrong_secret(id, clock::now());
    }
    app.refused_signatures.note(ours, said.as_deref());
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
