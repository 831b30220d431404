//! What the services have in common.

use std::sync::Arc;

use tonic::Request;

use crate::budget::Left;
use crate::strongdm::rate_limit::{self, Bucket};
use crate::strongdm::state::Shared;
use crate::strongdm::v1;

/// All services over the same state.
#[derive(Clone)]
pub(super) struct Api(pub(super) Arc<Shared>);

/// The `rate_limit` of the answer, as the guard found it.
pub(super) fn rate_limit<T>(request: &Request<T>, bucket: Bucket) -> Option<v1::RateLimitMetadata> {
    request.extensions().get::<Left>().map(|left| rate_limit::metadata(*left, bucket))
}
