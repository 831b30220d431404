//! Listings for operators: our grants, the audit, the deliveries.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;

use super::{error::AppError, router::App};
use crate::{
    clock,
    model::Grant,
    store::{AuditRow, DeliveryRow, GrantQuery, Page},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichGrants {
    #[serde(default)]
    active: bool,
    #[serde(default)]
    ended: bool,
    email: Option<String>,
    resource: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    limit: Option<u32>,
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

/// `GET /api/grants`.
pub(super) async fn grants(
    State(app): State<Arc<App>>,
    query: Asked<WhichGrants>,
) -> Result<Json<Vec<Grant>>, AppError> {
    let WhichGrants { active, ended, email, resource } = asked(query)?;
    let which = GrantQuery { active, ended, email, resource };
    Ok(Json(app.store.grants(clock::now(), &which).await?))
}

/// `GET /api/audit`.
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    query: Asked<Paging>,
) -> Result<Json<Page<AuditRow>>, AppError> {
    let paging = asked(query)?;
    Ok(Json(app.store.audit_page(paging.limit()?, paging.before).await?))
}

/// `GET /api/events`.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    query: Asked<Paging>,
) -> Result<Json<Page<DeliveryRow>>, AppError> {
    let paging = asked(query)?;
    Ok(Json(app.store.delivery_page(paging.limit()?, paging.before).await?))
}
