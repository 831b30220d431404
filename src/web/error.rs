//! The one error type of all handlers, and the JSON that it is answered with. Internals are logged, never returned.

use axum::{
    Json,
    extract::rejection::QueryRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::answers::ErrorBody;
use crate::{reconcile::on_demand::SyncError, store::Error};

/// Why a request failed. The text tells the caller what to do.
#[derive(Debug)]
pub(crate) enum AppError {
    /// 400: the request is malformed.
    BadRequest(String),
    /// 401: none of our secrets made the signature.
    BadSignature,
    /// 401: there is no signature at all.
    NoSignature,
    /// 401: no valid admin token.
    NotAdmin,
    /// 401: neither a trigger token nor the admin token.
    NotTrigger,
    /// 403: another site made a browser send this.
    CrossSite,
    /// 404: it does not exist.
    NotFound(String),
    /// 404: no rule names the schedule.
    UnknownSchedule(String),
    /// 405: the route does not take this method; it takes those named here.
    MethodNotAllowed(String),
    /// 413: the body is larger than allowed.
    TooLarge(usize),
    /// 503: come again in some seconds.
    Unavailable(String),
    /// 504: PagerDuty or strongDM did not answer within the time that the route has.
    UpstreamTimeout,
    /// 500: our fault; the cause is in the log.
    Internal,
}

/// The seconds after which a sender should come again: a busy or restarted store is back by then.
const RETRY_AFTER: &str = "5";

impl AppError {
    /// Logs the cause and hides it from the caller.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("a request failed: {error}");
        Self::Internal
    }
}

/// Puts the methods that a route takes into the text of a 405. Axum sets `Allow` only outside of the routes' layers.
pub(super) async fn name_methods(response: Response) -> Response {
    let allow = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok());
    let Some(methods) = allow.filter(|_| response.status() == StatusCode::METHOD_NOT_ALLOWED) else {
        return response;
    };
    let described = AppError::MethodNotAllowed(methods.to_owned()).into_response();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, described.into_body())
}

/// Gives a body to the refusals that layers answer without one.
pub(super) async fn describe_bare_refusal(response: Response) -> Response {
    match response.status() {
        _ if response.headers().contains_key(header::CONTENT_TYPE) => response,
        StatusCode::FORBIDDEN => AppError::CrossSite.into_response(),
        StatusCode::SERVICE_UNAVAILABLE => {
            AppError::Unavailable("answering took too long".to_owned()).into_response()
        }
        StatusCode::GATEWAY_TIMEOUT => AppError::UpstreamTimeout.into_response(),
        _ => response,
    }
}

impl AppError {
    /// The status, the code for programs, and the text for people.
    fn describe(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::BadRequest(message) => (StatusCode::BAD_REQUEST, "bad_request", message),
            Self::BadSignature => (
                StatusCode::UNAUTHORIZED,
                "bad_signature",
                "no signature in X-PagerDuty-Signature was made with one of the configured webhook secrets"
                    .to_owned(),
            ),
            Self::NoSignature => (
                StatusCode::UNAUTHORIZED,
                "bad_signature",
                "there is no X-PagerDuty-Signature header; if a proxy stands in front, let it pass that header"
                    .to_owned(),
            ),
            Self::NotAdmin => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send the admin token: Authorization: Bearer <admin_token>".to_owned(),
            ),
            Self::NotTrigger => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send one of the trigger tokens: Authorization: Bearer <trigger token>".to_owned(),
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "cross_site",
                "requests from other sites are refused; send it from here or with curl. If you did, a proxy hides the address \
                 that the browser shows: set it as server.public_url"
                    .to_owned(),
            ),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, "not_found", message),
            Self::UnknownSchedule(id) => (
                StatusCode::NOT_FOUND,
                "unknown_schedule",
                format!(
                    "no rule names the schedule {id:?}; name one of a rule, or none to look at everything"
                ),
            ),
            Self::MethodNotAllowed(methods) => {
                let methods = methods.replace(',', " or ");
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("use {methods} here"))
            }
            Self::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the body is larger than {} KiB", limit / 1024),
            ),
            Self::Unavailable(message) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", message),
            Self::UpstreamTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "PagerDuty or strongDM took too long to answer; /readyz has their last errors".to_owned(),
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "this is a defect or the store failed; the log says more".to_owned(),
            ),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        // Only an operator has a browser that could ask for the token.
        let (asks_for_token, by_password) =
            (matches!(self, Self::NotAdmin | Self::NotTrigger), matches!(self, Self::NotAdmin));
        let (status, error, message) = self.describe();
        let mut response = (status, Json(ErrorBody { error, message })).into_response();
        let headers = response.headers_mut();
        if asks_for_token {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if by_password {
            let basic = HeaderValue::from_static(r#"Basic realm="oncall-grants", charset="UTF-8""#);
            headers.append(header::WWW_AUTHENTICATE, basic);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

const NO_STORE: &str = "the store cannot be used now";

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        if error.may_pass() {
            tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
            return Self::Unavailable(NO_STORE.to_owned());
        }
        Self::internal(&error)
    }
}

impl From<SyncError> for AppError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::NoTurn => Self::Unavailable(error.to_string()),
            // Whoever ran the pass has logged the cause.
            SyncError::NoStore(_) => Self::Unavailable(NO_STORE.to_owned()),
            SyncError::Broken(_) => Self::internal(&error),
        }
    }
}

/// Says what is wrong with a query. `parameters` are all that the route has, with what each must be.
pub(super) fn query_refused(rejection: &QueryRejection, parameters: &[(&str, &str)]) -> AppError {
    let text = rejection.body_text();
    let about = |(name, must): &&(&str, &str)| -> Option<String> {
        let is_wrong = text.contains(&format!(": {name}: "));
        let is_twice = text.contains(&format!("duplicate field `{name}`"));
        match (is_wrong, is_twice) {
            (_, true) => Some(format!("{name} is given twice")),
            (true, false) => Some(format!("{name} must be {must}")),
            (false, false) => None,
        }
    };
    let unknown = || {
        let name = text.split("unknown field `").nth(1)?.split('`').next()?;
        Some(format!("there is no parameter {name:?}"))
    };
    let known: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    let wrong = parameters.iter().find_map(|parameter| about(&parameter));
    AppError::BadRequest(wrong.unwrap_or_else(|| {
        let what = unknown().unwrap_or_else(|| "the query cannot be read".to_owned());
        format!("{what}; there are {}", known.join(", "))
    }))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn what_a_layer_cuts_off_says_who_was_too_slow() {
        for (status, code) in [
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            (StatusCode::FORBIDDEN, "cross_site"),
        ] {
            let answer = describe_bare_refusal(status.into_response()).await;
            assert_eq!(answer.status(), status);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"], code);
        }
    }
}
