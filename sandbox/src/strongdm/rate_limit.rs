//! The two rate limits, and how answers tell of them.

use super::{timestamp, v1};
use crate::budget::Left;

/// A rate limit of its own for reads and for writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bucket {
    Reads,
    Writes,
}

/// The `rate_limit` of an answer.
pub(super) fn metadata(left: Left, bucket: Bucket) -> v1::RateLimitMetadata {
    let bucket = match bucket {
        Bucket::Reads => "reads",
        Bucket::Writes => "writes",
    };
    v1::RateLimitMetadata {
        limit: left.limit.into(),
        remaining: left.remaining.into(),
        reset_at: Some(timestamp::write(left.reset_at)),
        bucket: bucket.into(),
    }
}
