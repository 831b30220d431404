//! The error bodies of the REST API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::pagerduty::settings::{Ability, Settings};

/// `{"error": {"message", "code", "errors"?}}` with a status.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: u16,
    message: &'static str,
    errors: Vec<String>,
}

impl ApiError {
    const fn new(status: StatusCode, code: u16, message: &'static str) -> Self {
        Self { status, code, message, errors: Vec::new() }
    }

    pub(crate) fn invalid(error: impl Into<String>) -> Self {
        let error = error.into();
        Self { errors: vec![error], ..Self::new(StatusCode::BAD_REQUEST, 2001, "Invalid Input Provided") }
    }

    /// A layer-based schedule was asked for at `/v3/schedules`.
    pub(crate) const LAYER_BASED: Self = Self::new(
        StatusCode::BAD_REQUEST,
        2001,
        "This is a layer-based schedule. Use the v2 Schedules API to access it.",
    );
    /// A shift-based schedule was asked for at `/schedules`.
    pub(crate) const SHIFT_BASED: Self = Self::new(
        StatusCode::BAD_REQUEST,
        2001,
        "This is a shift-based schedule. Use the v3 Schedules API to access it.",
    );
    pub(crate) const UNAUTHORIZED: Self = Self::new(StatusCode::UNAUTHORIZED, 2006, "Unauthorized");
    pub(crate) const DENIED: Self = Self::new(StatusCode::FORBIDDEN, 2010, "Access Denied");
    pub(crate) const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, 2100, "Not Found");
    pub(crate) const RATE_LIMITED: Self =
        Self::new(StatusCode::TOO_MANY_REQUESTS, 2020, "Rate Limit Exceeded");

    /// The account lacks the ability that the request needs.
    fn missing_ability(status: StatusCode) -> Self {
        let errors = vec!["Account does not have the required ability".into()];
        Self { errors, ..Self::new(status, 2014, "Payment Required") }
    }

    pub(crate) fn product_limit() -> Self {
        let errors = vec!["Webhook subscription limit exceeded for the selected scope.".into()];
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, 2019, "Product Limit Reached") }
    }
}

/// Refuses what needs an ability that the account lacks.
pub(crate) fn needs(settings: &Settings, ability: Ability) -> Result<(), ApiError> {
    if !settings.lacks.contains(&ability) {
        return Ok(());
    }
    let status = StatusCode::from_u16(settings.missing_ability_status);
    Err(ApiError::missing_ability(status.unwrap_or(StatusCode::PAYMENT_REQUIRED)))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"message": self.message, "code": self.code});
        if !self.errors.is_empty() {
            error["errors"] = json!(self.errors);
        }
        (self.status, Json(json!({"error": error}))).into_response()
    }
}
