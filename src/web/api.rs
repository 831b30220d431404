//! Listings for operators: our grants, the audit, the deliveries.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{error::AppError, openapi::Asking, router::App};
use crate::{
    clock,
    model::Grant,
    store::{AuditRow, DeliveryRow, GrantQuery, Page},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichGrants {
    /// Only those in force now.
    #[serde(default)]
    #[param(required = false)]
    active: bool,
    /// Past ones as well.
    #[serde(default)]
    #[param(required = false)]
    ended: bool,
    /// Only this person's, without regard to case.
    #[param(example = "ana@example.com")]
    email: Option<String>,
    /// Only this resource's, by exact name.
    #[param(example = "prod-postgres")]
    resource: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// How many entries.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(example = 42)]
    before: Option<i64>,
}

impl Paging {
    fn limit(&self) -> Result<u32, AppError> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=500 => Ok(limit),
            _ => Err(AppError::BadRequest("limit must lie between 1 and 500".to_owned())),
        }
    }
}

type Asked<T> = Result<Query<T>, QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, AppError> {
    query.map(|Query(asked)| asked).map_err(|rejection| AppError::BadRequest(rejection.body_text()))
}

/// Grants of this service, current and coming
#[utoipa::path(
    get, path = "/api/grants", operation_id = "listGrants", tag = "operator", params(WhichGrants),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Vec<Grant>), Asking),
)]
pub(super) async fn grants(
    State(app): State<Arc<App>>,
    query: Asked<WhichGrants>,
) -> Result<Json<Vec<Grant>>, AppError> {
    let WhichGrants { active, ended, email, resource } = asked(query)?;
    let which = GrantQuery { active, ended, email, resource };
    Ok(Json(app.store.grants(clock::now(), &which).await?))
}

/// What was decided and done, newest first
#[utoipa::path(
    get, path = "/api/audit", operation_id = "listAudit", tag = "operator", params(Paging),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Page<AuditRow>), Asking),
)]
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    query: Asked<Paging>,
) -> Result<Json<Page<AuditRow>>, AppError> {
    let paging = asked(query)?;
    Ok(Json(app.store.audit_page(paging.limit()?, paging.before).await?))
}

/// Deliveries and what each led to, newest first
#[utoipa::path(
    get, path = "/api/events", operation_id = "listEvents", tag = "operator", params(Paging),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Page<DeliveryRow>), Asking),
)]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    query: Asked<Paging>,
) -> Result<Json<Page<DeliveryRow>>, AppError> {
    let paging = asked(query)?;
    Ok(Json(app.store.delivery_page(paging.limit()?, paging.before).await?))
}
