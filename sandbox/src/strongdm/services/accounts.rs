//! The service of accounts.

use tonic::{Request, Response, Status};

use super::api::{Api, rate_limit};
use crate::strongdm::rate_limit::Bucket;
use crate::strongdm::{account, v1};

#[tonic::async_trait]
impl v1::accounts_server::Accounts for Api {
    async fn get(
        &self,
        request: Request<v1::AccountGetRequest>,
    ) -> Result<Response<v1::AccountGetResponse>, Status> {
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let state = self.0.lock();
        let account = state.organization.account(&request.get_ref().id).ok_or_else(|| state.not_found())?;
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
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let request = request.into_inner();
        let state = self.0.lock();
        let (filter, page) = state.list(request.meta.as_ref(), &request.filter, &account::FIELDS)?;
        let rows = state.organization.accounts.iter().filter(|(_, account)| {
            filter.matches(|field| account::values(account, field), &account::tags(account))
        });
        let (accounts, meta) = page.take(rows.map(|(number, account)| (*number, account.clone())));
        Ok(Response::new(v1::AccountListResponse { meta: Some(meta), accounts, rate_limit }))
    }
}
