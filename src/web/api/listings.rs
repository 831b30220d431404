//! Listings for operators: our grants, the audit, the deliveries.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    clock,
    model::{Email, Grant},
    store::{AuditRow, DeliveryRow, GrantQuery, Page},
    web::{
        error::{AppError, query_refused},
        openapi::QueryErrors,
        router::App,
    },
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct WhichGrants {
    /// Only those in force now, whatever `ended` says: what has ended is not in force.
    #[serde(default)]
    #[param(required = false)]
    active: bool,
    /// Past ones as well.
    #[serde(default)]
    #[param(required = false)]
    ended: bool,
    /// Only this person's, by the whole address, without regard to case.
    #[param(nullable = false, pattern = "^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$", example = "ana@example.com")]
    email: Option<String>,
    /// Only this resource's, by exact name.
    #[param(example = "prod-postgres")]
    resource: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Paging {
    /// How many entries.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(nullable = false, minimum = 1, example = 42)]
    before: Option<i64>,
}

/// The parameters of paging, with what each must be.
const PAGING: [(&str, &str); 2] =
    [("limit", "a whole number from 1 to 500"), ("before", "the \"next\" of the page before")];
/// The same of the list of grants.
const WHICH_GRANTS: [(&str, &str); 4] = [
    ("active", "true or false"),
    ("ended", "true or false"),
    ("email", "a whole e-mail address"),
    ("resource", "the name of a resource"),
];

/// The limit and the cursor of a listing.
fn paging(query: Asked<Paging>) -> Result<(u32, Option<i64>), AppError> {
    let Query(Paging { limit, before }) = query.map_err(|rejection| query_refused(&rejection, &PAGING))?;
    let limit = limit.unwrap_or(100);
    let right = [(1..=500).contains(&limit), before.is_none_or(|before| before > 0)];
    match PAGING.into_iter().zip(right).find(|(_, right)| !right) {
        Some(((name, must), _)) => Err(AppError::BadRequest(format!("{name} must be {must}"))),
        None => Ok((limit, before)),
    }
}

type Asked<T> = Result<Query<T>, QueryRejection>;

/// An address as it is stored; nobody has what is none, and an empty list would look like an answer.
fn whole(text: &str) -> Result<String, AppError> {
    let email: Result<Email, _> = text.trim().parse();
    email
        .map(|email| email.to_string())
        .map_err(|error| AppError::BadRequest(format!("email {text:?}: {error}")))
}

/// Grants of this service, current and coming
#[utoipa::path(
    get, path = "/api/grants", operation_id = "listGrants", tag = "operator", params(WhichGrants),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Vec<Grant>), QueryErrors),
)]
pub(in crate::web) async fn grants(
    State(app): State<Arc<App>>,
    query: Asked<WhichGrants>,
) -> Result<Json<Vec<Grant>>, AppError> {
    let Query(which) = query.map_err(|rejection| query_refused(&rejection, &WHICH_GRANTS))?;
    let WhichGrants { active, ended, email, resource } = which;
    let email = email.map(|text| whole(&text)).transpose()?;
    let which = GrantQuery { active, ended, email, resource };
    Ok(Json(app.store.grants(clock::now(), &which).await?))
}

/// What was decided and done, newest first
#[utoipa::path(
    get, path = "/api/audit", operation_id = "listAudit", tag = "operator", params(Paging),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Page<AuditRow>), QueryErrors),
)]
pub(in crate::web) async fn audit(
    State(app): State<Arc<App>>,
    query: Asked<Paging>,
) -> Result<Json<Page<AuditRow>>, AppError> {
    let (limit, before) = paging(query)?;
    Ok(Json(app.store.audit_page(limit, before).await?))
}

/// Deliveries and what each led to, newest first
#[utoipa::path(
    get, path = "/api/events", operation_id = "listEvents", tag = "operator", params(Paging),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Page<DeliveryRow>), QueryErrors),
)]
pub(in crate::web) async fn events(
    State(app): State<Arc<App>>,
    query: Asked<Paging>,
) -> Result<Json<Page<DeliveryRow>>, AppError> {
    let (limit, before) = paging(query)?;
    Ok(Json(app.store.delivery_page(limit, before).await?))
}
