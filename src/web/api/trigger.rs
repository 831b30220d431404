//! `POST /trigger`: makes us look, for senders that cannot sign. Whatever the body says, it causes a look and nothing else,
//! and the answer tells nothing about access.

use std::{sync::Arc, time::Duration};

use axum::{Json, body::Body, extract::State, http::StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    clock,
    metrics::ByResult,
    store::Delivery,
    web::{answers::ErrorBody, body::Limits, error::AppError, state::AppState},
};

/// An ID or some fields of an incident; nothing sensible comes near this.
const BODY: Limits = Limits { size: 64 * 1024, time: Duration::from_secs(5) };

/// As for webhooks: what is not on disk by then is better sent again.
const STORE_WITHIN: Duration = Duration::from_millis(800);

/// The type under which it stands among the events.
const EVENT_TYPE: &str = "trigger";

/// That we shall look.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Triggered {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    status: &'static str,
}

/// Makes the service look
///
/// For senders that cannot sign. IDs of schedules and escalation policies that rules name narrow the look, wherever
/// they stand in the body; without any, everything is looked at. The rest of the body is ignored, whatever it is.
#[utoipa::path(
    post, path = "/trigger", operation_id = "trigger", tag = "webhook",
    security(("trigger" = [])),
    request_body(content = Option<serde_json::Value>, description = "JSON or anything else; may be left out", content_type = "application/json"),
    responses(
        (status = 202, description = "It is durable", body = Triggered),
        (status = 401, description = "Neither a trigger token nor the admin token", body = ErrorBody),
        (status = 403, description = "Another site made a browser send this", body = ErrorBody),
        (status = 405, description = "The route exists, but not for this method", body = ErrorBody),
        (status = 413, description = "The body is larger than 64 KiB", body = ErrorBody),
        (status = 503, description = "It cannot be stored now", body = ErrorBody,
            headers(("retry-after" = u32, description = "Seconds"))),
    ),
)]
pub(crate) async fn trigger(
    State(state): State<Arc<AppState>>,
    body: Body,
) -> Result<(StatusCode, Json<Triggered>), AppError> {
    let taken = take(&state, body).await;
    let result = match &taken {
        Ok(()) => "accepted",
        Err(AppError::TooLarge(_)) => "too_large",
        Err(_) => "unavailable",
    };
    state.metrics.triggers.get_or_create(&ByResult { result }).inc();
    taken.map(|()| (StatusCode::ACCEPTED, Json(Triggered { status: "accepted" })))
}

async fn take(state: &AppState, body: Body) -> Result<(), AppError> {
    if state.is_stopping() {
        return Err(AppError::Unavailable("the service is stopping".to_owned()));
    }
    let body = state.bodies.read(body, BODY).await?;
    let delivery = Delivery {
        // Each is one of its own: nothing in it tells whether it was sent before.
        key: format!("trigger:{}", Uuid::now_v7()),
        received_at: clock::now(),
        event_id: None,
        event_type: Some(EVENT_TYPE.to_owned()),
        webhook_id: None,
        subscription: None,
        marks: state.reconciler.marks_named_in(&body.bytes),
    };
    match timeout(STORE_WITHIN, state.store.accept(delivery)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot store a trigger");
            Err(AppError::Unavailable("it cannot be stored now".to_owned()))
        }
        Err(_) => Err(AppError::Unavailable("storing it takes too long".to_owned())),
    }
}
