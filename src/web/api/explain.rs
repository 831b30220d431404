//! `GET /api/explain`: why somebody has, or lacks, access.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    clock,
    model::{Email, instant::instant},
    reconcile::explain::{Explanation, Question},
    web::{
        answers::{ErrorBody, QueryErrors},
        error::{AppError, query_refused},
        state::AppState,
    },
};

/// Whose access is explained, to what, and when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainQuery {
    /// The address in PagerDuty or strongDM
    #[param(
        required = true,
        nullable = false,
        pattern = "^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$",
        example = "alice@example.com"
    )]
    email: Option<String>,
    /// Only this resource, by exact name
    #[param(nullable = false)]
    resource: Option<String>,
    /// An instant (RFC 3339), or a distance from now such as `+2h` or `-30m`; now, if it is left out
    #[param(
        nullable = false,
        pattern = "^[+-][1-9][0-9]{0,2}[mh]$|^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
        example = "+2h"
    )]
    at: Option<String>,
}

/// The parameters, with what each must be.
const PARAMETERS: [(&str, &str); 3] = [
    ("email", "an e-mail address"),
    ("resource", "the name or ID of a resource"),
    ("at", "an instant or a distance from now"),
];

/// Why somebody has, or lacks, access
///
/// Asks PagerDuty and strongDM now, and writes nothing.
#[utoipa::path(
    get, path = "/api/explain", operation_id = "explain", tag = "operator",
    params(ExplainQuery),
    responses(
        (status = 200, description = "The chain from rule to grant", body = Explanation),
        (status = 504, description = "PagerDuty or strongDM took longer than 60 s to answer", body = ErrorBody),
        QueryErrors,
    ),
    security(("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn explain(
    State(state): State<Arc<AppState>>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Json<Explanation>, AppError> {
    let Query(query) = query.map_err(|rejection| query_refused(&rejection, &PARAMETERS))?;
    let question = question(query).map_err(AppError::BadRequest)?;
    Ok(Json(state.reconciler.explain(&question).await?))
}

fn question(query: ExplainQuery) -> Result<Question, String> {
    let ExplainQuery { email, resource, at } = query;
    let email = email.ok_or("email is missing; name the address in PagerDuty or strongDM")?;
    let email: Email = email.trim().parse().map_err(|error| format!("email: {error}"))?;
    let now = clock::now();
    let at = at.map_or(Ok(now), |at| instant(&at, now)).map_err(|error| format!("at: {error}"))?;
    Ok(Question { email, resource: resource.filter(|name| !name.is_empty()), at })
}
