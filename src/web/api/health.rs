//! Tells machines whether the process lives and whether it is ready to accept webhooks, and serves its metrics.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    clock,
    metrics::{Exposition, HealthView, LastError},
    store::Backlog,
    web::state::AppState,
};

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the service is ready to accept webhooks, and how the upstreams fare.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready`, `stopping` or `store_unavailable`.
    #[schema(example = "ready")]
    status: &'static str,
    store: StoreHealth,
    pagerduty: HealthView,
    strongdm: HealthView,
    tasks: TasksHealth,
}

/// How the background tasks fare: each that dies is begun again.
#[derive(Debug, Serialize, ToSchema)]
struct TasksHealth {
    /// Which died last, if any has since the start.
    last_error: Option<LastError>,
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
pub(crate) async fn alive() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether the service is ready to accept webhooks
///
/// The answer tells how the upstreams fare, but that does not count: while they are down, webhooks must still come here.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readiness", tag = "health",
    responses(
        (status = 200, description = "Ready to accept webhooks", body = Readiness),
        (status = 503, description = "Not ready: the store cannot be written, or the service is stopping", body = Readiness),
    ),
)]
pub(crate) async fn ready(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    let writable = state.store_check.health(&state.store).await.writable;
    let (code, status) = match (state.is_stopping(), writable) {
        (false, true) => (StatusCode::OK, "ready"),
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
    };
    let body = Readiness {
        status,
        store: StoreHealth { writable },
        pagerduty: state.metrics.pagerduty.view(),
        strongdm: state.metrics.strongdm.view(),
        tasks: TasksHealth { last_error: state.metrics.tasks.view().last_error },
    };
    (code, Json(body))
}

/// Counts and measures, for Prometheus
///
/// The store is asked for the deliveries that wait: another replica, or an earlier process, may have accepted them.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "health",
    params(("Accept" = Option<String>, Header, description = "text/plain for the older format of Prometheus")),
    responses((status = 200, description = "The metrics", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    ))),
)]
pub(crate) async fn metrics(State(state): State<Arc<AppState>>, headers: HeaderMap) -> impl IntoResponse {
    let backlog = state.store_check.health(&state.store).await.backlog;
    state.metrics.set_waiting(backlog.map(|Backlog { deliveries, since }| {
        let age = since.map_or(0.0, |since| (clock::now() - since).as_seconds_f64().max(0.0));
        (u32::try_from(deliveries).unwrap_or(u32::MAX).into(), age)
    }));
    let accept: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Exposition::wanted(&accept.join(","));
    ([(header::CONTENT_TYPE, format.content_type())], state.metrics.text(format))
}
