//! How requests fail: one type, one JSON shape. Internals are logged, never returned.

use axum::{
    Json,
    extract::rejection::QueryRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{reconcile::on_demand::SyncError, store::Error};

/// Why a request is not answered as asked. The text tells the caller what to do.
#[derive(Debug)]
pub(super) enum AppError {
    /// 400: the request is malformed.
    BadRequest(String),
    /// 401: no valid signature.
    BadSignature,
    /// 401: no valid admin token.
    NotAdmin,
    /// 403: another site made a browser send this.
    CrossSite,
    /// 404: it does not exist.
    NotFound(String),
    /// 404: no rule names the schedule.
    UnknownSchedule(String),
    /// 405: the route exists, but not for this method; it is for those named here.
    MethodNotAllowed(String),
    /// 413: the body is larger than allowed.
    TooLarge(usize),
    /// 503: come again in some seconds.
    Unavailable(String),
    /// 500: our fault; the cause is in the log.
    Internal,
}

/// When a sender should come again: a store that is busy or being restarted is back within seconds.
const RETRY_AFTER: &str = "5";

impl AppError {
    /// Logs the cause and hides it from the caller.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("a request failed: {error}");
        Self::Internal
    }
}

/// Names the methods of a route to whoever used another one. Only outside of the routes their `Allow` is known.
pub(super) async fn name_methods(response: Response) -> Response {
    let allow = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok());
    let Some(methods) = allow.filter(|_| response.status() == StatusCode::METHOD_NOT_ALLOWED) else {
        return response;
    };
    let told = AppError::MethodNotAllowed(methods.to_owned()).into_response();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, told.into_body())
}

/// Gives the bare refusals of layers the shape of all errors.
pub(super) async fn in_words(response: Response) -> Response {
    match response.status() {
        _ if response.headers().contains_key(header::CONTENT_TYPE) => response,
        StatusCode::FORBIDDEN => AppError::CrossSite.into_response(),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            AppError::Unavailable("answering took too long".to_owned()).into_response()
        }
        _ => response,
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::BadRequest(message) => (StatusCode::BAD_REQUEST, "bad_request", message),
            Self::BadSignature => (
                StatusCode::UNAUTHORIZED,
                "bad_signature",
                "no signature in X-PagerDuty-Signature was made with one of the configured webhook secrets"
                    .to_owned(),
            ),
            Self::NotAdmin => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send the admin token: Authorization: Bearer <admin_token>".to_owned(),
            ),
            Self::CrossSite => {
                let message =
                    "requests from other sites are refused; send it from here or with curl".to_owned();
                (StatusCode::FORBIDDEN, "cross_site", message)
            }
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
            Self::Internal => {
                let message = "this is a defect or the store failed; the log says more".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
            }
        };
        let mut response = (status, Json(json!({ "error": code, "message": message }))).into_response();
        let headers = response.headers_mut();
        if code == "unauthorized" {
            let ask = HeaderValue::from_static(r#"Basic realm="oncall-grants", charset="UTF-8""#);
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            headers.append(header::WWW_AUTHENTICATE, ask);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

/// For whoever finds the store gone.
const NO_STORE: &str = "the store cannot be reached now";

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

/// A query that cannot be read, in the words of the API; `parameters` are all there are, with what each must be.
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
