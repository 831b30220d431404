//! The service of roles.

use tonic::{Request, Response, Status};

use super::api::{Api, rate_limit};
use crate::strongdm::rate_limit::Bucket;
use crate::strongdm::{resource, v1};

#[tonic::async_trait]
impl v1::roles_server::Roles for Api {
    async fn list(
        &self,
        request: Request<v1::RoleListRequest>,
    ) -> Result<Response<v1::RoleListResponse>, Status> {
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let request = request.into_inner();
        let state = self.0.lock();
        let fields = ["id", "name", "managedby", "tags"];
        let (filter, page) = state.list(request.meta.as_ref(), &request.filter, &fields)?;
        let rows = state.organization.roles.iter().filter(|(_, role)| {
            let values = |field: &str| match field {
                "id" => vec![role.id.clone()],
                "name" => vec![role.name.clone()],
                _ => vec![role.managed_by.clone()],
            };
            filter.matches(values, &resource::pairs(role.tags.as_ref()))
        });
        let (roles, meta) = page.take(rows.map(|(number, role)| (*number, role.clone())));
        Ok(Response::new(v1::RoleListResponse { meta: Some(meta), roles, rate_limit }))
    }
}
