//! What this program uses of strongDM: looking up accounts and resources, and making, finding and removing account
//! grants. Our types go in and come out; protobuf and gRPC stay inside this folder.
//!
//! Reading order: `client` (what can be asked), `call` (one request with its signature, deadlines and retries),
//! `outcome` (what a failure means and whether it may be tried again), then the pure parts.

mod client;

mod convert;
mod error;
mod filter;
mod grant;
mod operation;

mod grpc;

#[allow(unreachable_pub, clippy::pedantic, reason = "generated; documented in proto/strongdm.proto")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/v1.rs"));
}

#[cfg(test)]
mod tests;

pub use self::{
    client::Client,
    error::Error,
    grant::{Deleted, RemoteGrant},
    grpc::{
        options::{CallOutcome, Observer, Options, Timing},
        sign::{InvalidSecretKey, decode_secret_key},
    },
};
