//! The read-only services: accounts, resources, roles, the history of grants.

mod grants;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::budget::Left;
use crate::strongdm::state::{Shared, rate_limit};
use crate::strongdm::{account, resource, v1};

/// All services over the same state.
#[derive(Clone)]
pub(super) struct Api(pub(super) Arc<Shared>);

/// What the guard found out about the budget, for the answer.
pub(super) fn limit<T>(request: &Request<T>, bucket: &str) -> Option<v1::RateLimitMetadata> {
    request.extensions().get::<Left>().map(|left| rate_limit(*left, bucket))
}

#[tonic::async_trait]
impl v1::accounts_server::Accounts for Api {
    async fn get(
        &self,
        request: Request<v1::AccountGetRequest>,
    ) -> Result<Response<v1::AccountGetResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let inner = self.0.lock();
        let account = inner.account(&request.get_ref().id).ok_or_else(|| inner.missing())?;
        Ok(Response::new(v1::AccountGetResponse {
            meta: Some(v1::GetResponseMetadata {}),
            account: Some(account.clone()),
            rate_limit,
        }))
    }

    async fn list(
        &self,
        request: Request<v1::AccountListRequest>,
    ) -> Result<Response<v1::AccountListResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let request = request.into_inner();
        let inner = self.0.lock();
        let (filter, page) = inner.list(request.meta.as_ref(), &request.filter, &account::FIELDS)?;
        let empty = inner.settings.empty_value_matches_all;
        let rows = inner.accounts.iter().filter(|(_, account)| {
            filter.matches(empty, |field| account::values(account, field), &account::tags(account))
        });
        let (accounts, meta) = page.take(rows.map(|(number, account)| (*number, account.clone())));
        Ok(Response::new(v1::AccountListResponse { meta: Some(meta), accounts, rate_limit }))
    }
}

#[tonic::async_trait]
impl v1::resources_server::Resources for Api {
    async fn get(
        &self,
        request: Request<v1::ResourceGetRequest>,
    ) -> Result<Response<v1::ResourceGetResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let inner = self.0.lock();
        let resource = inner.resource(&request.get_ref().id).ok_or_else(|| inner.missing())?;
        Ok(Response::new(v1::ResourceGetResponse {
            meta: Some(v1::GetResponseMetadata {}),
            resource: Some(resource.message()),
            rate_limit,
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ResourceListRequest>,
    ) -> Result<Response<v1::ResourceListResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let request = request.into_inner();
        let inner = self.0.lock();
        let (filter, page) = inner.list(request.meta.as_ref(), &request.filter, &resource::FIELDS)?;
        let empty = inner.settings.empty_value_matches_all;
        let rows = inner
            .resources
            .iter()
            .filter(|(_, resource)| filter.matches(empty, |field| resource.values(field), &resource.tags()));
        let (resources, meta) = page.take(rows.map(|(number, resource)| (*number, resource.message())));
        Ok(Response::new(v1::ResourceListResponse { meta: Some(meta), resources, rate_limit }))
    }
}

#[tonic::async_trait]
impl v1::roles_server::Roles for Api {
    async fn list(
        &self,
        request: Request<v1::RoleListRequest>,
    ) -> Result<Response<v1::RoleListResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let request = request.into_inner();
        let inner = self.0.lock();
        let fields = ["id", "name", "managedby", "tags"];
        let (filter, page) = inner.list(request.meta.as_ref(), &request.filter, &fields)?;
        let empty = inner.settings.empty_value_matches_all;
        let rows = inner.roles.iter().filter(|(_, role)| {
            let values = |field: &str| match field {
                "id" => vec![role.id.clone()],
                "name" => vec![role.name.clone()],
                _ => vec![role.managed_by.clone()],
            };
            filter.matches(empty, values, &resource::pairs(role.tags.as_ref()))
        });
        let (roles, meta) = page.take(rows.map(|(number, role)| (*number, role.clone())));
        Ok(Response::new(v1::RoleListResponse { meta: Some(meta), roles, rate_limit }))
    }
}

#[tonic::async_trait]
impl v1::account_grants_history_server::AccountGrantsHistory for Api {
    async fn list(
        &self,
        request: Request<v1::AccountGrantHistoryListRequest>,
    ) -> Result<Response<v1::AccountGrantHistoryListResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let request = request.into_inner();
        let inner = self.0.lock();
        let fields = grants::FIELDS;
        let (filter, page) = inner.list(request.meta.as_ref(), &request.filter, &fields)?;
        let empty = inner.settings.empty_value_matches_all;
        let rows = inner.history.iter().filter(|(_, record)| {
            let grant = record.account_grant.clone().unwrap_or_default();
            let values = |field: &str| match field {
                "id" => vec![grant.id.clone()],
                "accountid" => vec![grant.account_id.clone()],
                _ => vec![grant.resource_id.clone()],
            };
            filter.matches(empty, values, &[])
        });
        let (history, meta) = page.take(rows.map(|(number, record)| (*number, record.clone())));
        Ok(Response::new(v1::AccountGrantHistoryListResponse { meta: Some(meta), history, rate_limit }))
    }
}
