//! gRPC towards strongDM: how a call is encoded, signed, sent and retried, and what its failure means.
//!
//! Reading order: `call` (one request with its signature, time limits and retries), `list` (all pages), `outcome` (what
//! a failure means and whether the request may be sent again), then the parts that these use.

pub(super) mod call;
pub(super) mod list;
pub(super) mod options;

mod outcome;
mod rate_limit;
pub(super) mod sign;

mod channel;
mod code;
pub(super) mod codec;
mod messages;

#[cfg(test)]
mod hostile;
