//! How requests fail: one type, one JSON shape. Internals are logged, never returned.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::store::Error;

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
    /// 405: the route exists, but not for this method.
    MethodNotAllowed,
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
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use another method".to_owned())
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

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy | Error::NotWritten | Error::Slow | Error::Unreachable(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::Unavailable("the store cannot be reached now".to_owned())
            }
            Error::Database(_) | Error::Corrupt { .. } => Self::internal(&error),
        }
    }
}
