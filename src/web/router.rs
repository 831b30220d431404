//! Every route and every layer on one screen.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, csrf::CsrfLayer, set_header::SetResponseHeaderLayer, timeout::TimeoutLayer,
};
use tracing::Instrument;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    api::{explain, health, listings, sync, trigger},
    auth,
    error::{self, AppError},
    openapi::{self, Document},
    page,
    state::AppState,
    webhook::receive,
};

/// A route that asks the store alone answers within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// An explanation asks PagerDuty and strongDM, and a call to either may take 30 s. Both may stall.
const EXPLAIN_WITHIN: Duration = Duration::from_mins(1);

/// Routes with their description, which `/openapi.json` is made of.
type Routes = OpenApiRouter<Arc<AppState>>;

/// The whole HTTP side.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let admin = actions()
        .merge(listings().layer(within(ANSWER_WITHIN, StatusCode::SERVICE_UNAVAILABLE)))
        .merge(explanations().layer(within(EXPLAIN_WITHIN, StatusCode::GATEWAY_TIMEOUT)))
        // Browsers send Basic credentials along with requests that other sites cause.
        .layer(CsrfLayer::new())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), auth::require_admin));
    let triggers = triggers()
        .layer(within(ANSWER_WITHIN, StatusCode::SERVICE_UNAVAILABLE))
        .layer(CsrfLayer::new())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), auth::require_trigger));
    let open = open().layer(within(ANSWER_WITHIN, StatusCode::SERVICE_UNAVAILABLE));
    let (routes, _) = described(admin.merge(triggers).merge(open));
    layered(Router::from(routes.with_state(state)))
}

/// Wraps every route in what all have in common, outermost first. It is one stack, since each layer by itself would cost
/// each request a box.
pub fn layered(routes: Router) -> Router {
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(trace))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(header::CACHE_CONTROL, "no-store"))
        .layer(CatchPanicLayer::custom(|_| AppError::internal(&"a handler panicked").into_response()))
        .layer(middleware::map_response(error::describe_bare_refusal));
    let routes = routes
        .fallback(async || AppError::NotFound("no such route".to_owned()))
        .method_not_allowed_fallback(async || AppError::MethodNotAllowed(String::new()))
        .layer(layers);
    let around = ServiceBuilder::new()
        .layer(middleware::map_response(error::name_methods))
        .layer(middleware::map_request(trim_webhook_path));
    Router::new().fallback_service(routes).layer(around)
}

/// Takes the slash from the end of the webhook route: PagerDuty sends to what somebody typed as the URL.
async fn trim_webhook_path(mut request: Request) -> Request {
    if request.uri().path() == "/webhooks/pagerduty/" {
        *request.uri_mut() = Uri::from_static("/webhooks/pagerduty");
    }
    request
}

/// What an operator does. A pass takes as long as it takes.
fn actions() -> Routes {
    Routes::new()
        .routes(routes!(sync::sync))
        .routes(routes!(page::sync::preview))
        .routes(routes!(page::sync::confirm))
}

/// What an operator looks at.
fn listings() -> Routes {
    Routes::new()
        .routes(routes!(listings::grants))
        .routes(routes!(listings::audit))
        .routes(routes!(listings::events))
        .routes(routes!(page::index::index))
        .routes(routes!(page::why::why))
        .routes(routes!(page::index::style))
        .routes(routes!(page::index::script))
}

/// What an operator asks that PagerDuty and strongDM must answer.
fn explanations() -> Routes {
    Routes::new().routes(routes!(explain::explain))
}

/// What a sender may do that can make us look, and nothing else.
fn triggers() -> Routes {
    Routes::new().routes(routes!(trigger::trigger))
}

/// What needs no token.
fn open() -> Routes {
    Routes::new()
        .routes(routes!(receive::receive))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

/// Adds the route that describes `routes` and itself, and returns what it answers.
fn described(routes: Routes) -> (Routes, Document) {
    let own = OpenApiRouter::new().routes(routes!(openapi::document));
    let all = routes.get_openapi().clone().merge_from(own.get_openapi().clone());
    let document = Document::of(all);
    (routes.merge(own.with_state(document.clone())), document)
}

fn within(limit: Duration, late: StatusCode) -> TimeoutLayer {
    TimeoutLayer::with_status_code(late, limit)
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

#[cfg(test)]
mod tests;
