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
        error::{AppError, query_refused},
        openapi::QueryErrors,
        router::App,
    },
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Asked {
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

const PARAMETERS: [(&str, &str); 3] = [
    ("email", "an e-mail address"),
    ("resource", "the name or ID of a resource"),
    ("at", "an instant or a distance from now"),
];

/// Why somebody has, or lacks, access
///
/// Looks at both sides now, and writes nothing.
#[utoipa::path(
    get, path = "/api/explain", operation_id = "explain", tag = "operator",
    params(Asked),
    responses((status = 200, description = "The chain from rule to grant", body = Explanation), QueryErrors),
    security(("bearer" = []), ("basic" = [])),
)]
pub(in crate::web) async fn explain(
    State(app): State<Arc<App>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Explanation>, AppError> {
    let Query(asked) = query.map_err(|rejection| query_refused(&rejection, &PARAMETERS))?;
    let question = question(asked).map_err(AppError::BadRequest)?;
    Ok(Json(app.reconciler.explain(&question).await?))
}

fn question(asked: Asked) -> Result<Question, String> {
    let Asked { email, resource, at } = asked;
    let email = email.ok_or("email is missing; name the address in PagerDuty or strongDM")?;
    let email: Email = email.trim().parse().map_err(|error| format!("email: {error}"))?;
    let now = clock::now();
    let at = at.map_or(Ok(now), |at| instant(&at, now)).map_err(|error| format!("at: {error}"))?;
    Ok(Question { email, resource: resource.filter(|name| !name.is_empty()), at })
}
