//! For machines: whether the process lives, whether it can take webhooks, and its metrics.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde_json::json;
use tokio::time::timeout;

use super::router::App;
use crate::{clock, store::Backlog};

/// A store that takes longer than this to write nothing takes no webhooks in time either.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// `GET /healthz`.
pub(super) async fn alive() -> impl IntoResponse {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: whether webhooks can be taken. How the upstreams fare is told, but does not count: while they are
/// down, webhooks must still come here.
pub(super) async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let writable = matches!(timeout(STORE_WITHIN, app.store.check_writable()).await, Ok(Ok(())));
    let (code, status) = match (app.is_stopping(), writable) {
        (false, true) => (StatusCode::OK, "ready"),
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
    };
    let body = json!({
        "status": status,
        "store": { "writable": writable },
        "pagerduty": app.metrics.pagerduty.view(),
        "strongdm": app.metrics.strongdm.view(),
    });
    (code, Json(body))
}

/// `GET /metrics`. What waits is asked of the store: another replica, or an earlier process, may have taken it in.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let waiting = timeout(STORE_WITHIN, app.store.backlog()).await.ok().and_then(Result::ok);
    app.metrics.note_waiting(waiting.map(|Backlog { deliveries, since }| {
        let age = since.map_or(0.0, |since| (clock::now() - since).as_seconds_f64().max(0.0));
        (u32::try_from(deliveries).unwrap_or(u32::MAX).into(), age)
    }));
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], app.metrics.text())
}
