//! One signed gRPC request, and pages of them: how a call is encoded, signed, sent, retried and judged.
//!
//! Reading order: `call` (one request with its signature, deadlines and retries), `list` (all pages), `outcome` (what a
//! failure means and whether it may be tried again), then the pure parts.

pub(super) mod call;
mod list;
pub(super) mod options;

pub(super) mod outcome;
mod rate_limit;

pub(super) mod sign;

pub(super) mod channel;
pub(super) mod codec;
pub(super) mod messages;
