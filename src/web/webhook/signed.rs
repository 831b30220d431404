//! The extractor of signed webhooks: reads the body within its limits, checks the HMAC over the raw bytes in constant
//! time, and parses the event in it. What is refused is counted and logged here, so that the handler sees none of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue},
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::refused::Sender;
use crate::{
    clock,
    metrics::{ByAnswer, ByCertainty, Metrics},
    model::Mark,
    pagerduty::{Event, signature},
    store::{Accepted, Delivery},
    web::{
        body::{Limits, drain},
        error::AppError,
        state::AppState,
    },
};

const SIGNATURE: &str = "x-pagerduty-signature";
/// PagerDuty drops events above 256 KiB itself, and sends them in one go. Until a body is complete, nobody knows who
/// signed it.
const BODY: Limits = Limits { size: 512 * 1024, time: Duration::from_secs(2) };

/// A webhook that one of our secrets signed.
pub(crate) struct Signed {
    pub(super) event: Event,
    /// The place of that secret among the configured ones, from 1.
    pub(super) secret: usize,
    /// When its headers had been read.
    pub(super) began: Instant,
    /// What repeated deliveries are told by: the event's ID, or a digest of the body where it has none.
    key: String,
    webhook_id: Option<String>,
    subscription: Option<String>,
}

impl FromRequest<Arc<AppState>> for Signed {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self, AppError> {
        let began = Instant::now();
        let signed = verify(request, state, began).await;
        if let Err(refusal) = &signed {
            record(&state.metrics, began, Err(refusal), None);
        }
        signed
    }
}

impl Signed {
    /// What is stored of it; `marks` say what it makes us look at.
    pub(super) fn into_delivery(self, marks: BTreeSet<Mark>) -> Delivery {
        let Self { event: Event { id, event_type, hint: _ }, key, webhook_id, subscription, .. } = self;
        Delivery { key, received_at: clock::now(), event_id: id, event_type, webhook_id, subscription, marks }
    }
}

/// Counts a webhook by how it is answered and by the secret that signed it, and measures how long that took.
pub(super) fn record(
    metrics: &Metrics,
    began: Instant,
    answer: Result<Accepted, &AppError>,
    secret: Option<usize>,
) {
    let result = match answer {
        Ok(accepted) => accepted.as_str(),
        Err(AppError::BadSignature | AppError::NoSignature) => "bad_signature",
        Err(AppError::TooLarge(_)) => "too_large",
        Err(AppError::Unavailable(_)) => "unavailable",
        Err(_) => "error",
    };
    let secret = secret.map_or_else(|| "none".to_owned(), |place| place.to_string());
    metrics.webhooks.get_or_create(&ByAnswer { result, secret }).inc();
    metrics.webhook_seconds.observe(began.elapsed().as_secs_f64());
}

async fn verify(request: Request, state: &AppState, began: Instant) -> Result<Signed, AppError> {
    let secrets = state.webhook_secrets.current().await;
    if secrets.is_empty() {
        state.refused_signatures.record_without_secret();
        let message = "no webhook secret is configured; set pagerduty.webhook_secrets";
        return Err(AppError::Unavailable(message.to_owned()));
    }
    if state.is_stopping() {
        return Err(AppError::Unavailable("the service is stopping".to_owned()));
    }
    let (parts, body) = request.into_parts();
    if !parts.headers.contains_key(SIGNATURE) {
        // It is not worth any memory.
        drain(body).await;
        state.refused_signatures.record_unsigned(claimed_subscription(&parts.headers).as_deref());
        return Err(AppError::NoSignature);
    }
    let body = state.bodies.read(body, BODY).await?;
    let signatures = parts.headers.get_all(SIGNATURE).iter().map(HeaderValue::as_bytes);
    let Some(index) = signature::verify(&secrets, signatures, &body.bytes) else {
        record_refused(state, &parts.headers);
        return Err(AppError::BadSignature);
    };
    let (event, secret) = (Event::read(&body.bytes), index + 1);
    let subscription = claimed_subscription(&parts.headers);
    if let Some(id) = subscription.as_deref().filter(|id| state.subscription.is_ours(id)) {
        state.refused_signatures.record_proof(id);
        state.reconciler.snapshots().record_right_secret(id);
    }
    let key = match &event.id {
        Some(id) => format!("id:{id}"),
        None => format!("sha256:{}", hex::encode(Sha256::digest(&body.bytes))),
    };
    if event.id.is_none() && event.event_type.is_none() {
        warn_without_event(state, secret);
    }
    Ok(Signed {
        event,
        secret,
        began,
        key,
        webhook_id: unsigned(&parts.headers, "x-webhook-id"),
        subscription,
    })
}

/// Counts and logs a bad signature. The header that names the subscription is not signed, but it is a hint at what is
/// wrong: our subscription with another secret, or somebody who knows its name. If we know that it has our secret, it is
/// the latter; else [`Certainty`](crate::model::Certainty) says what it takes to know.
fn record_refused(state: &AppState, headers: &HeaderMap) {
    let claimed = claimed_subscription(headers);
    let sender = match claimed.as_deref() {
        Some(id) if state.subscription.is_ours(id) && !state.refused_signatures.is_proven(id) => {
            let certainty = state.refused_signatures.certainty();
            state.metrics.wrong_secret.get_or_create(&ByCertainty { certainty: certainty.as_str() }).inc();
            state.reconciler.snapshots().record_wrong_secret(id, clock::now(), certainty);
            Sender::OurSubscription(id)
        }
        claimed => Sender::Stranger(claimed),
    };
    state.refused_signatures.record(sender);
}

/// Logs a signed body that is no event of PagerDuty; `secret` says who to look for.
fn warn_without_event(state: &AppState, secret: usize) {
    let Some(count) = state.signed_without_event.count() else { return };
    let had = match count {
        1 => "a signed webhook had".to_owned(),
        count => format!("{count} signed webhooks had"),
    };
    tracing::warn!(
        "{had} no event in it ({{\"event\": {{\"id\": ..., \"event_type\": ...}}}}), so everything was looked at; see \
         whatever signs with secret {secret}",
    );
}

/// The subscription that the sender says it is.
fn claimed_subscription(headers: &HeaderMap) -> Option<String> {
    unsigned(headers, "x-webhook-subscription")
}

/// A header that anybody can set: kept for people to read, bounded, never trusted.
fn unsigned(headers: &HeaderMap, name: &str) -> Option<String> {
    const LONGEST: usize = 128;
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.chars().take(LONGEST).collect())
}
