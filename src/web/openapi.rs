//! `GET /openapi.json`: the description of the API, made from the routes and the types that they use.

use axum::{extract::State, http::header, response::IntoResponse};
use bytes::Bytes;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        RefOr, Required, Server,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// What the routes do not say of themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "oncall-grants",
        description = "Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.",
    ),
    tags(
        (name = "webhook", description = "For PagerDuty, and for others who know of changes"),
        (name = "operator", description = "For whoever runs the service"),
        (name = "page", description = "The status page, for browsers"),
        (name = "health", description = "For machines that watch"),
    ),
    modifiers(&Schemes),
)]
struct Description;

/// The description as JSON.
#[derive(Clone, Debug)]
pub(super) struct Document(pub(super) Bytes);

impl Document {
    /// Describes these routes, which others find below `prefix`.
    pub(super) fn of(routes: utoipa::openapi::OpenApi, prefix: &str) -> Self {
        let mut document = Description::openapi();
        document.servers = (!prefix.is_empty()).then(|| vec![Server::new(prefix)]);
        document.merge(routes);
        // The macros cannot say that a body may be left out without also allowing null.
        for path in ["/sync", "/trigger", "/ui/sync"] {
            let operation = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
            if let Some(RefOr::T(body)) = operation.and_then(|operation| operation.request_body.as_mut()) {
                body.required = Some(Required::False);
            }
        }
        Self(document.to_json().expect("plain data always serialises").into())
    }
}

/// This description
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describe", tag = "health",
    responses((status = 200, description = "The description of all routes", body = serde_json::Value)),
)]
pub(super) async fn document(State(Document(json)): State<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], json)
}

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let scheme = |scheme, words: &str| {
            SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(words)).build())
        };
        let bearer = scheme(HttpAuthScheme::Bearer, "The admin token");
        let basic = scheme(HttpAuthScheme::Basic, "Any user name, and the admin token as password");
        let trigger = scheme(HttpAuthScheme::Bearer, "One of the trigger tokens, or the admin token");
        components.add_security_scheme("bearer", bearer);
        components.add_security_scheme("trigger", trigger);
        components.add_security_scheme("basic", basic);
    }
}
