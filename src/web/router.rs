//! Every route and every layer on one screen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::SecretString;
use tower_http::{
    catch_panic::CatchPanicLayer, csrf::CsrfLayer, set_header::SetResponseHeaderLayer, timeout::TimeoutLayer,
};
use tracing::Instrument;

use super::{
    api, auth,
    body::BodyBudget,
    error::{self, AppError},
    explain, health,
    secrets::WebhookSecrets,
    sync, webhook,
    webhook::RefusedSignatures,
};
use crate::{metrics::Metrics, reconcile::Reconciler, store::SharedStore, subscription::Watch};

/// No route but `POST /sync` has a reason to take longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What handlers share.
#[derive(Debug)]
pub struct App {
    /// Where deliveries go and listings come from.
    pub store: SharedStore,
    /// Runs passes.
    pub reconciler: Arc<Reconciler>,
    /// Counts and measures.
    pub metrics: Arc<Metrics>,
    /// Any of these may have signed a webhook.
    pub webhook_secrets: WebhookSecrets,
    /// What is known of the subscription that delivers to us.
    pub watch: Arc<Watch>,
    /// What an operator must show.
    pub admin_token: SecretString,
    /// Set when the service is about to stop: the load balancer must look elsewhere.
    pub stopping: AtomicBool,
    pub(super) bodies: BodyBudget,
    pub(super) refused_signatures: RefusedSignatures,
}

impl App {
    /// What handlers share, in a service that has just started.
    pub fn new(
        store: SharedStore,
        reconciler: Arc<Reconciler>,
        metrics: Arc<Metrics>,
        webhook_secrets: impl Into<WebhookSecrets>,
        admin_token: SecretString,
    ) -> Self {
        Self {
            store,
            reconciler,
            metrics,
            webhook_secrets: webhook_secrets.into(),
            watch: Arc::default(),
            admin_token,
            stopping: AtomicBool::new(false),
            bodies: BodyBudget::default(),
            refused_signatures: RefusedSignatures::default(),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// The whole HTTP side.
pub fn router(app: Arc<App>) -> Router {
    let listings = Router::new()
        .route("/api/grants", get(api::grants))
        .route("/api/audit", get(api::audit))
        .route("/api/events", get(api::events))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_WITHIN));
    let admin = Router::new()
        .route("/sync", post(sync::sync))
        .route("/api/explain", get(explain::explain))
        .merge(listings)
        // Browsers send Basic credentials along with requests that other sites cause.
        .layer(CsrfLayer::new())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), auth::require_admin));
    let open = Router::new()
        .route("/webhooks/pagerduty", post(webhook::receive))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_WITHIN));
    Router::new()
        .merge(admin)
        .merge(open)
        .fallback(async || AppError::NotFound("no such route".to_owned()))
        .method_not_allowed_fallback(async || AppError::MethodNotAllowed)
        .layer(middleware::map_response(error::in_words))
        .layer(CatchPanicLayer::custom(|_| AppError::internal(&"a handler panicked").into_response()))
        .layer(always(header::CACHE_CONTROL, "no-store"))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(middleware::from_fn(trace))
        .with_state(app)
}

fn always(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// A span and a line per request; neither carries the query, which may name people, nor any header.
async fn trace(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::debug_span!("request", http.method = %request.method(), http.route = route);
    let began = Instant::now();
    async move {
        let response = next.run(request).await;
        let duration_ms = began.elapsed().as_millis();
        tracing::debug!(http.status = response.status().as_u16(), duration_ms, "answered");
        response
    }
    .instrument(span)
    .await
}
