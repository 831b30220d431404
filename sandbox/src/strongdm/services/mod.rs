//! The gRPC API. This file puts the services together; each file below has one of them.

mod accounts;
mod api;
mod grants;
mod history;
mod resources;
mod roles;

use std::sync::Arc;

use axum::Router;
use tonic::service::Routes;

use super::state::Shared;
use super::v1;
use api::Api;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let api = Api(Arc::clone(shared));
    Routes::new(v1::accounts_server::AccountsServer::new(api.clone()))
        .add_service(v1::resources_server::ResourcesServer::new(api.clone()))
        .add_service(v1::roles_server::RolesServer::new(api.clone()))
        .add_service(v1::account_grants_server::AccountGrantsServer::new(api.clone()))
        .add_service(v1::account_grants_history_server::AccountGrantsHistoryServer::new(api))
        .into_axum_router()
}
