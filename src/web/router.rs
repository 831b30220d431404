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
};
use secrecy::SecretString;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, csrf::CsrfLayer, set_header::SetResponseHeaderLayer, timeout::TimeoutLayer,
};
use tracing::Instrument;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    api::{explain, health, listings, sync},
    auth,
    body::BodyBudget,
    error::{self, AppError},
    openapi, page,
    webhook::{self, RefusedSignatures, secrets::WebhookSecrets},
};
use crate::{
    metrics::Metrics, reconcile::Reconciler, store::SharedStore, subscription::Watch,
    telemetry::throttle::LogThrottle,
};

/// No route but those that run a pass has a reason to take longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Routes with their description, which `/openapi.json` is made of.
pub(super) type Routes = OpenApiRouter<Arc<App>>;

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
    pub(super) without_event: LogThrottle,
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
            without_event: LogThrottle::default(),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// The whole HTTP side.
pub fn router(app: Arc<App>) -> Router {
    let admin = actions()
        .merge(listings().layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_WITHIN)))
        // Browsers send Basic credentials along with requests that other sites cause.
        .layer(CsrfLayer::new())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), auth::require_admin));
    let open = open().layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_WITHIN));
    layered(Router::from(admin.merge(open)).with_state(app))
}

/// What every route is wrapped in. One stack, outermost first: each layer by itself would cost each request a box.
pub fn layered(routes: Router) -> Router {
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(trace))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(header::CACHE_CONTROL, "no-store"))
        .layer(CatchPanicLayer::custom(|_| AppError::internal(&"a handler panicked").into_response()))
        .layer(middleware::map_response(error::in_words));
    let routes = routes
        .fallback(async || AppError::NotFound("no such route".to_owned()))
        .method_not_allowed_fallback(async || AppError::MethodNotAllowed(String::new()))
        .layer(layers);
    Router::new().fallback_service(routes).layer(middleware::map_response(error::name_methods))
}

/// What an operator does; a pass takes its time.
pub(super) fn actions() -> Routes {
    Routes::new().routes(routes!(sync::sync)).routes(routes!(page::preview)).routes(routes!(page::confirm))
}

/// What an operator looks at.
pub(super) fn listings() -> Routes {
    Routes::new()
        .routes(routes!(listings::grants))
        .routes(routes!(listings::audit))
        .routes(routes!(listings::events))
        .routes(routes!(explain::explain))
        .routes(routes!(page::index))
        .routes(routes!(page::why))
        .routes(routes!(page::style))
        .routes(routes!(page::script))
}

/// What needs no admin token.
pub(super) fn open() -> Routes {
    Routes::new()
        .routes(routes!(webhook::receive))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi::document))
}

fn always(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// A span and a line per request; neither carries the query, which may name people, nor any header.
async fn trace(request: Request, next: Next) -> Response {
    let span = tracing::debug_span!(
        "request",
        http.method = %request.method(),
        http.route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str),
    );
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
