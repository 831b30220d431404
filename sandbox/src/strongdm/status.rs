//! gRPC errors, with or without the details that the real service sends at times.

use chrono::{DateTime, Utc};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use super::v1;

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

/// An error of the service itself.
pub(crate) fn refuse(code: Code, message: &str, with_details: bool) -> Status {
    if !with_details {
        return Status::new(code, message);
    }
    let entity = String::new();
    let detail = match code {
        Code::NotFound => any("NotFoundError", &v1::NotFoundError { entity }),
        Code::AlreadyExists => any("AlreadyExistsError", &v1::AlreadyExistsError { entity }),
        Code::InvalidArgument => any("BadRequestError", &v1::BadRequestError {}),
        Code::Unauthenticated => any("AuthenticationError", &v1::AuthenticationError {}),
        Code::PermissionDenied => any("PermissionError", &v1::PermissionError {}),
        _ => any("InternalError", &v1::InternalError {}),
    };
    with(code, message, vec![detail])
}

/// Too many calls; the details, if any, say when to come back.
pub(crate) fn rate_limited(message: &str, limit: Option<v1::RateLimitMetadata>) -> Status {
    let Some(limit) = limit else { return Status::new(Code::ResourceExhausted, message) };
    let error = v1::RateLimitError { rate_limit: Some(limit.clone()) };
    let details = vec![any("RateLimitMetadata", &limit), any("RateLimitError", &error)];
    with(Code::ResourceExhausted, message, details)
}

/// An error that a fault puts in.
pub(crate) fn fault(code: i32, message: String, reset_at: Option<DateTime<Utc>>) -> Status {
    let Some(reset_at) = reset_at else { return Status::new(Code::from(code), message) };
    let limit = v1::RateLimitMetadata {
        limit: 500,
        remaining: 0,
        reset_at: Some(super::state::stamp(reset_at)),
        bucket: "fault".into(),
    };
    rate_limited(&message, Some(limit))
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/v1.{name}"), value: message.encode_to_vec() }
}

fn with(code: Code, message: &str, details: Vec<Any>) -> Status {
    let status = RpcStatus { code: code.into(), message: message.into(), details };
    Status::with_details(code, message, status.encode_to_vec().into())
}
