//! The description of the API, made from the handlers and the types that they use.

use std::sync::LazyLock;

use axum::{http::header, response::IntoResponse};
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        RefOr, Required,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::router::{actions, listings, open};

/// How errors are answered on every route.
#[derive(Debug, ToSchema)]
#[schema(as = Error)]
#[expect(dead_code, reason = "describes what error.rs writes")]
pub(crate) struct ErrorBody {
    /// A code for programs.
    #[schema(example = "bad_request")]
    error: String,
    /// What to do about it, for people.
    #[schema(example = "limit must be a whole number from 1 to 500")]
    message: String,
}

macro_rules! answers {
    ($(#[$doc:meta])* $name:ident { $($variant:ident($status:literal, $words:literal)),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[allow(dead_code, clippy::enum_variant_names, reason = "describes answers")]
        pub(crate) enum $name {
            $(
                #[doc = $words]
                #[response(status = $status, description = $words)]
                $variant(#[to_schema] ErrorBody),
            )+
        }
    };
}

answers!(
    /// What every operator's route may answer.
    Admin {
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        Internal(500, "A defect, or the store failed; the log says more"),
    }
);
answers!(
    /// An operator's route that reads a query and the store.
    QueryErrors {
        BadRequest(400, "The query is malformed"),
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        Internal(500, "A defect, or the store failed; the log says more"),
        Unavailable(503, "The store cannot be reached now; come again"),
        TooSlow(504, "It took too long"),
    }
);
answers!(
    /// An operator's route that runs a pass.
    Acting {
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        Internal(500, "A defect, or the store failed; the log says more"),
        Unavailable(503, "The store cannot be reached now, or the service is stopping; come again"),
    }
);
answers!(
    /// An operator's route that reads a body and runs a pass.
    Reading {
        BadRequest(400, "The body is malformed"),
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        TooLarge(413, "The body is too large"),
        Internal(500, "A defect, or the store failed; the log says more"),
        Unavailable(503, "The store cannot be reached now, the service is stopping, or too many bodies at once; come again"),
    }
);

/// What is not said at the routes themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "oncall-grants",
        description = "Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.",
    ),
    tags(
        (name = "webhook", description = "For PagerDuty"),
        (name = "operator", description = "For whoever runs the service"),
        (name = "page", description = "The status page, for browsers"),
        (name = "health", description = "For machines that watch"),
    ),
    modifiers(&Schemes),
)]
struct Description;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Description::openapi();
    document.merge(actions().merge(listings()).merge(open()).into_openapi());
    // The macros cannot say that a body may be left out without also allowing null.
    for path in ["/sync", "/ui/sync"] {
        let operation = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
        if let Some(RefOr::T(body)) = operation.and_then(|operation| operation.request_body.as_mut()) {
            body.required = Some(Required::False);
        }
    }
    document.to_json().expect("plain data always serialises")
});

/// This description
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describe", tag = "health",
    responses((status = 200, description = "The description of all routes", body = serde_json::Value)),
)]
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
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
        components.add_security_scheme("bearer", bearer);
        components.add_security_scheme("basic", basic);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// What others rely on.
    const PROMISED: [&str; 9] = [
        "/webhooks/pagerduty",
        "/sync",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/grants",
        "/api/audit",
        "/api/events",
        "/",
    ];

    #[test]
    fn every_route_is_described() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        assert!(document["openapi"].as_str().is_some_and(|version| version >= "3.1"));
        let paths = document["paths"].as_object().unwrap();
        for path in PROMISED {
            assert!(paths.contains_key(path), "{path} is not described");
        }
        // Routes enter the router together with their description, and in no other way.
        let router = include_str!("router.rs");
        assert_eq!(router.matches(".route(").count(), 0, "a route is added without its description");
        assert_eq!(router.matches("routes!(").count(), paths.len());
    }

    /// The answers of a route that are JSON.
    fn json_answers(operation: &Value) -> impl Iterator<Item = &Value> {
        let answers = operation["responses"].as_object().into_iter().flat_map(|answers| answers.values());
        answers.filter_map(|answer| answer["content"].get("application/json"))
    }

    #[test]
    fn every_answer_has_a_shape_and_every_shape_is_there() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        let mut described = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for answer in json_answers(operation) {
                    let shape = answer["schema"].as_object().unwrap();
                    // The description of descriptions is elsewhere.
                    let free = path == "/openapi.json";
                    assert!(
                        free || ["$ref", "type"].iter().any(|key| shape.contains_key(*key)),
                        "{method} {path}"
                    );
                    described += 1;
                }
            }
        }
        assert!(described > 20);
        for (at, _) in DOCUMENT.match_indices("#/components/schemas/") {
            let name = DOCUMENT[at..].split(['"', '/']).nth(3).unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name} is not described");
        }
    }

    #[test]
    fn every_operation_has_a_name_and_its_errors() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} is used twice");
                assert!(
                    operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
                    "{method} {path}"
                );
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.keys().any(|status| status.starts_with(['2', '3'])), "{method} {path}");
                let for_admins = operation["security"].as_array().is_some_and(|schemes| schemes.len() == 2);
                assert_eq!(for_admins, answers.contains_key("403"), "{method} {path}");
                assert!(!for_admins || answers.contains_key("401"), "{method} {path}");
            }
        }
    }
}
