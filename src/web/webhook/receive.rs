//! Takes a signed webhook in: stores it, which wakes the reconciler, and answers. No upstream is asked before.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::signed::{Signed, record};
use crate::{
    store::{Accepted, Delivery},
    web::{answers::ErrorBody, error::AppError, state::AppState},
};

/// We promise an answer within a second; a delivery that is not on disk by then is better sent again.
const STORE_WITHIN: Duration = Duration::from_millis(800);

/// What became of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
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
        (status = 401, description = "No signature was made with one of the secrets", body = ErrorBody),
        (status = 405, description = "The route exists, but not for this method", body = ErrorBody),
        (status = 413, description = "The body is larger than 512 KiB", body = ErrorBody),
        (status = 503, description = "It cannot be stored now, or no secret is configured", body = ErrorBody,
            headers(("retry-after" = u32, description = "Seconds"))),
    ),
)]
pub(crate) async fn receive(
    State(state): State<Arc<AppState>>,
    webhook: Signed,
) -> Result<(StatusCode, Json<Receipt>), AppError> {
    let (began, secret, event_id) = (webhook.began, webhook.secret, webhook.event.id.clone());
    let marks = state.reconciler.marks_for(&webhook.event.hint);
    let stored = store(&state, webhook.into_delivery(marks)).await;
    record(&state.metrics, began, stored.as_ref().copied(), Some(secret));
    Ok((StatusCode::ACCEPTED, Json(Receipt { status: stored?.as_str(), event_id })))
}

/// Makes the delivery durable.
async fn store(state: &AppState, delivery: Delivery) -> Result<Accepted, AppError> {
    match timeout(STORE_WITHIN, state.store.accept(delivery)).await {
        Ok(Ok(accepted)) => Ok(accepted),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot store a webhook");
            Err(AppError::Unavailable("the event cannot be stored now".to_owned()))
        }
        Err(_) => Err(AppError::Unavailable("storing the event takes too long".to_owned())),
    }
}
