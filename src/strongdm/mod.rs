//! The client of strongDM's API: looks up accounts and resources, and creates, lists and deletes account grants. Our types
//! go in and come out; protobuf and gRPC stay inside this folder.
//!
//! Reading order: `client` (the calls), `error` (how they fail), `filter` and `convert` (our types to messages and back),
//! then `grpc` (how a call is signed, sent and retried).

mod access_rule;
mod client;
mod error;
mod grant;
mod operation;

mod convert;
mod filter;

mod grpc;

#[allow(unreachable_pub, clippy::pedantic, reason = "generated; documented in proto/strongdm.proto")]
mod proto {
    include!("gen/v1.rs");
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    client::{Client, GrantList, IDS_AT_ONCE, Naming},
    error::{Error, UNFULFILLED},
    grant::RemoteGrant,
    grpc::options::{CallObserver, Options},
};
