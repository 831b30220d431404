//! The service of the history of grants.

use tonic::{Request, Response, Status};

use super::api::{Api, rate_limit};
use crate::strongdm::rate_limit::Bucket;
use crate::strongdm::{grant, v1};

#[tonic::async_trait]
impl v1::account_grants_history_server::AccountGrantsHistory for Api {
    async fn list(
        &self,
        request: Request<v1::AccountGrantHistoryListRequest>,
    ) -> Result<Response<v1::AccountGrantHistoryListResponse>, Status> {
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let request = request.into_inner();
        let state = self.0.lock();
        let (filter, page) = state.list(request.meta.as_ref(), &request.filter, &grant::FIELDS)?;
        let rows = state.organization.history.iter();
        let rows = rows.filter(|(_, change)| filter.matches(|field| change.grant.values(field), &[]));
        let (history, meta) = page.take(rows.map(|(number, change)| (*number, change.message())));
        Ok(Response::new(v1::AccountGrantHistoryListResponse { meta: Some(meta), history, rate_limit }))
    }
}
