//! `POST /sync`: a pass on request, answered with its report.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    model::ScheduleId,
    reconcile::{PassRequest, Scope, report::PassReport},
    web::{
        answers::{ErrorBody, PassRequestErrors},
        body::{Limits, OPERATOR_WITHIN},
        error::AppError,
        state::AppState,
    },
};

/// A request names some schedules; nothing sensible comes near this.
const BODY: Limits = Limits { size: 64 * 1024, time: OPERATOR_WITHIN };

/// What a pass is asked to do.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, expecting = "a JSON object")]
pub(crate) struct SyncRequest {
    /// Only these schedules and what shares a resource with them; none means everything.
    #[schema(example = json!([]))]
    schedules: Vec<ScheduleId>,
    /// Only plan.
    dry_run: bool,
    /// Confirm what the guard holds now. It goes, also if up to as many more came due meanwhile.
    /// Where nothing is held, this allows nothing.
    allow_mass_revocation: bool,
}

/// Runs a pass, or shares the next one with requests that ask for the same
#[utoipa::path(
    post, path = "/sync", operation_id = "sync", tag = "operator",
    security(("bearer" = []), ("basic" = [])),
    request_body(content = SyncRequest, description = "What to look at; may be left out", content_type = "application/json"),
    responses(
        (status = 200, description = "Done", body = PassReport),
        (status = 404, description = "A schedule that no rule names", body = ErrorBody),
        (status = 409, description = "Revocations are held", body = PassReport),
        (status = 502, description = "Something upstream failed or stayed unknown", body = PassReport),
        PassRequestErrors,
    ),
)]
pub(crate) async fn sync(State(state): State<Arc<AppState>>, body: Body) -> Result<Response, AppError> {
    if state.is_stopping() {
        return Err(AppError::Unavailable("the service is stopping".to_owned()));
    }
    let request = read(&state.bodies.read(body, BODY).await?.bytes)?;
    let SyncRequest { schedules, dry_run, allow_mass_revocation } = request;
    let rules = &state.reconciler.settings().rules;
    let scope =
        Scope::of_schedules(rules, schedules).map_err(|id| AppError::UnknownSchedule(id.to_string()))?;
    let request = PassRequest { scope, dry_run, guard: allow_mass_revocation.into() };
    let report = state.reconciler.sync(request).await?;
    Ok((status(&report), Json(&*report)).into_response())
}

fn read(body: &[u8]) -> Result<SyncRequest, AppError> {
    const ALLOWED: &str =
        "allowed are schedules (a list of IDs), dry_run and allow_mass_revocation (true or false)";
    match body.trim_ascii_start().first() {
        None => Ok(SyncRequest::default()),
        // Without names, a list could switch the guard off by its order alone.
        Some(b'[') => Err(AppError::BadRequest(format!("the body must be a JSON object; {ALLOWED}"))),
        Some(_) => {
            serde_json::from_slice(body).map_err(|error| AppError::BadRequest(format!("{error}; {ALLOWED}")))
        }
    }
}

/// What is unknown comes first: held revocations must not be confirmed before everything was seen.
fn status(report: &PassReport) -> StatusCode {
    if !report.is_complete() {
        StatusCode::BAD_GATEWAY
    } else if !report.held.is_empty() {
        StatusCode::CONFLICT
    } else {
        StatusCode::OK
    }
}
