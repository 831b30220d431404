//! Every route and every layer on one screen.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, csrf::CsrfLayer, set_header::SetResponseHeaderLayer, timeout::TimeoutLayer,
};
use tracing::Instrument;
use url::Url;
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

/// The whole HTTP side, of a service that others reach at `public_url`, if that is known.
pub(crate) fn router(state: Arc<AppState>, public_url: Option<&Url>) -> Router {
    let csrf = guard_against_other_sites(public_url);
    let prefix = state.prefix.clone();
    let admin = actions()
        .merge(listings().layer(within(ANSWER_WITHIN, StatusCode::SERVICE_UNAVAILABLE)))
        .merge(explanations().layer(within(EXPLAIN_WITHIN, StatusCode::GATEWAY_TIMEOUT)))
        // Browsers send Basic credentials along with requests that other sites cause.
        .layer(csrf.clone())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), auth::require_admin));
    let triggers = triggers()
        .layer(within(ANSWER_WITHIN, StatusCode::SERVICE_UNAVAILABLE))
        .layer(csrf)
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), auth::require_trigger));
    let open = open().layer(within(ANSWER_WITHIN, StatusCode::SERVICE_UNAVAILABLE));
    let (routes, _) = described(admin.merge(triggers).merge(open), &prefix);
    below(prefix, layered(Router::from(routes.with_state(state))))
}

/// Refuses what another site makes a browser send. A proxy may hide by which name the browser knows us, so `public_url`
/// counts as well.
fn guard_against_other_sites(public_url: Option<&Url>) -> CsrfLayer {
    let trusted = public_url
        .and_then(|url| CsrfLayer::new().add_trusted_origin(url.origin().ascii_serialization()).ok());
    trusted.unwrap_or_default()
}

/// The same routes below this path as well: some proxies take the path off that they put before ours, others pass it on.
fn below(prefix: String, routes: Router) -> Router {
    if prefix.is_empty() {
        return routes;
    }
    let strip = middleware::from_fn(move |request: Request, next: Next| {
        let request = without_prefix(&prefix, request);
        async move {
            match request {
                Ok(request) => next.run(request).await,
                // Relative links need the slash.
                Err(last) => Redirect::temporary(&format!("{last}/")).into_response(),
            }
        }
    });
    Router::new().fallback_service(routes).layer(strip)
}

/// Takes the prefix from the request's path, if it has it; fails with the prefix's last part if it has nothing else.
fn without_prefix(prefix: &str, mut request: Request) -> Result<Request, String> {
    let Some(rest) = request.uri().path().strip_prefix(prefix) else { return Ok(request) };
    if rest.is_empty() && request.method() == Method::GET {
        return Err(prefix.rsplit('/').next().unwrap_or_default().to_owned());
    }
    let rest = if rest.is_empty() { "/" } else { rest };
    if !rest.starts_with('/') {
        return Ok(request);
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(uri) = format!("{rest}{query}").parse() {
        *request.uri_mut() = uri;
    }
    Ok(request)
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
        .routes(routes!(listings::checkpoint))
        .routes(routes!(listings::events))
        .routes(routes!(page::index::index))
        .routes(routes!(page::why::why))
        .routes(routes!(page::review::review))
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

/// Adds the route that describes `routes`, which others find below `prefix`, and itself, and returns what it answers.
fn described(routes: Routes, prefix: &str) -> (Routes, Document) {
    let own = OpenApiRouter::new().routes(routes!(openapi::document));
    let all = routes.get_openapi().clone().merge_from(own.get_openapi().clone());
    let document = Document::of(all, prefix);
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
