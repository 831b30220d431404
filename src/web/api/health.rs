//! For machines: whether the process lives, whether it can take webhooks, and its metrics.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::{clock, metrics::HealthView, store::Backlog, web::router::App};

/// A store that takes longer than this to write nothing takes no webhooks in time either.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether webhooks can be taken, and how the upstreams fare.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct Readiness {
    /// `ready`, `stopping` or `store_unavailable`.
    #[schema(example = "ready")]
    status: &'static str,
    store: StoreHealth,
    pagerduty: HealthView,
    strongdm: HealthView,
}

/// How the store fares.
#[derive(Debug, Serialize, ToSchema)]
struct StoreHealth {
    writable: bool,
}

/// Whether the process serves
#[utoipa::path(
    get, path = "/healthz", operation_id = "health", tag = "health",
    responses((status = 200, description = "It does", body = Alive)),
)]
pub(in crate::web) async fn alive() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether webhooks can be taken
///
/// How the upstreams fare is told, but does not count: while they are down, webhooks must still come here.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readiness", tag = "health",
    responses(
        (status = 200, description = "They can", body = Readiness),
        (status = 503, description = "They cannot: the store does not write, or the service is stopping", body = Readiness),
    ),
)]
pub(in crate::web) async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let writable = matches!(timeout(STORE_WITHIN, app.store.check_writable()).await, Ok(Ok(())));
    let (code, status) = match (app.is_stopping(), writable) {
        (false, true) => (StatusCode::OK, "ready"),
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
    };
    let body = Readiness {
        status,
        store: StoreHealth { writable },
        pagerduty: app.metrics.pagerduty.view(),
        strongdm: app.metrics.strongdm.view(),
    };
    (code, Json(body))
}

/// Counts and measures, for Prometheus
///
/// What waits is asked of the store: another replica, or an earlier process, may have taken it in.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "health",
    responses((status = 200, description = "The metrics", content_type = "application/openmetrics-text", body = String)),
)]
pub(in crate::web) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let waiting = timeout(STORE_WITHIN, app.store.backlog()).await.ok().and_then(Result::ok);
    app.metrics.note_waiting(waiting.map(|Backlog { deliveries, since }| {
        let age = since.map_or(0.0, |since| (clock::now() - since).as_seconds_f64().max(0.0));
        (u32::try_from(deliveries).unwrap_or(u32::MAX).into(), age)
    }));
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], app.metrics.text())
}
