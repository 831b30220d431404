//! What this program uses of strongDM: looking up accounts and resources, and making, finding and removing account
//! grants. Our types go in and come out; protobuf and gRPC stay inside this folder.
//!
//! Reading order: `client` (what can be asked), `call` (one request with its signature, deadlines and retries),
//! `outcome` (what a failure means and whether it may be tried again), then the pure parts.

mod client;
mod list;

mod call;
mod outcome;
mod pace;

mod auth;
mod filter;
mod read;
mod wire;

mod channel;
mod codec;
mod error;
mod operation;

#[allow(unreachable_pub, clippy::pedantic, reason = "generated; documented in proto/strongdm.proto")]
mod proto {
    include!("gen/v1.rs");
}

#[cfg(test)]
mod tests;

pub use self::{
    auth::{InvalidSecretKey, decode_secret_key},
    call::{CallOutcome, Observer, Options, Timing},
    client::{Client, Deleted, RemoteGrant},
    error::Error,
};
