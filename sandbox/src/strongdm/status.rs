//! gRPC errors with the details that the real service sends at times.

use chrono::{DateTime, Utc};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use super::{timestamp, v1};

/// `google.rpc.Status`, which travels in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// An error with the details of its code.
pub(super) fn detailed(code: Code, message: &str) -> Status {
    let entity = String::new();
    let detail = match code {
        Code::NotFound => any("NotFoundError", &v1::NotFoundError { entity }),
        Code::AlreadyExists => any("AlreadyExistsError", &v1::AlreadyExistsError { entity }),
        Code::InvalidArgument => any("BadRequestError", &v1::BadRequestError {}),
        Code::Unauthenticated => any("AuthenticationError", &v1::AuthenticationError {}),
        Code::PermissionDenied => any("PermissionError", &v1::PermissionError {}),
        _ => any("InternalError", &v1::InternalError {}),
    };
    with_details(code, message, vec![detail])
}

/// Too many calls, with details that say when to come back.
pub(super) fn rate_limited(message: &str, limit: &v1::RateLimitMetadata) -> Status {
    let error = v1::RateLimitError { rate_limit: Some(limit.clone()) };
    let details = vec![any("RateLimitMetadata", limit), any("RateLimitError", &error)];
    with_details(Code::ResourceExhausted, message, details)
}

/// Too many calls because a fault says so.
pub(super) fn injected_rate_limit(message: &str, reset_at: DateTime<Utc>) -> Status {
    let limit = v1::RateLimitMetadata {
        limit: 500,
        remaining: 0,
        reset_at: Some(timestamp::write(reset_at)),
        bucket: "fault".into(),
    };
    rate_limited(message, &limit)
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/v1.{name}"), value: message.encode_to_vec() }
}

fn with_details(code: Code, message: &str, details: Vec<Any>) -> Status {
    let status = RpcStatus { code: code.into(), message: message.into(), details };
    Status::with_details(code, message, status.encode_to_vec().into())
}
