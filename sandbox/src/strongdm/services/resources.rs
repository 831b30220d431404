//! The service of resources.

use tonic::{Request, Response, Status};

use super::api::{Api, rate_limit};
use crate::strongdm::rate_limit::Bucket;
use crate::strongdm::{resource, v1};

#[tonic::async_trait]
impl v1::resources_server::Resources for Api {
    async fn get(
        &self,
        request: Request<v1::ResourceGetRequest>,
    ) -> Result<Response<v1::ResourceGetResponse>, Status> {
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let state = self.0.lock();
        let resource = state.organization.resource(&request.get_ref().id).ok_or_else(|| state.not_found())?;
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
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let request = request.into_inner();
        let state = self.0.lock();
        let (filter, page) = state.list(request.meta.as_ref(), &request.filter, &resource::FIELDS)?;
        let rows = state
            .organization
            .resources
            .iter()
            .filter(|(_, resource)| filter.matches(|field| resource.values(field), &resource.tags()));
        let (resources, meta) = page.take(rows.map(|(number, resource)| (*number, resource.message())));
        Ok(Response::new(v1::ResourceListResponse { meta: Some(meta), resources, rate_limit }))
    }
}
