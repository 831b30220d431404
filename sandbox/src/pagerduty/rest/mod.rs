//! The REST API. This file has the routes; each file below has the handlers of one part.

mod directory;
mod error;
mod guard;
mod incidents;
mod oncalls;
mod overrides;
mod page;
mod query;
mod rights;
mod schedules;
mod subscriptions;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};

use super::state::Shared;
use error::ApiError;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/oncalls", get(oncalls::list))
        .route("/schedules", get(schedules::list))
        .route("/schedules/{id}", get(schedules::get))
        .route("/schedules/{id}/users", get(schedules::users))
        .route("/schedules/{id}/overrides", get(overrides::list).post(overrides::create))
        .route("/schedules/{id}/overrides/{override_id}", delete(overrides::remove))
        .route("/v3/schedules", get(schedules::list_v3))
        .route("/v3/schedules/{id}", get(schedules::get_v3))
        .route("/escalation_policies", get(directory::policies))
        .route("/escalation_policies/{id}", get(directory::policy))
        .route("/users", get(directory::users))
        .route("/users/{id}", get(directory::user))
        .route("/services", get(directory::services))
        .route("/services/{id}", get(directory::service))
        .route("/teams/{id}", get(directory::team))
        .route("/teams/{id}/members", get(directory::members))
        .route("/priorities", get(directory::priorities))
        .route("/incidents", get(incidents::list))
        .route("/incidents/{id}", get(incidents::get))
        .route("/webhook_subscriptions", get(subscriptions::list).post(subscriptions::create))
        .route(
            "/webhook_subscriptions/{id}",
            get(subscriptions::get).put(subscriptions::update).delete(subscriptions::remove),
        )
        .route("/webhook_subscriptions/{id}/enable", post(subscriptions::enable))
        .route("/webhook_subscriptions/{id}/ping", post(subscriptions::ping))
        .route(token::PATH, post(token::issue))
        .fallback(|| async { ApiError::NOT_FOUND })
        .layer(from_fn_with_state(Arc::clone(shared), guard::guard))
        .with_state(Arc::clone(shared))
}
