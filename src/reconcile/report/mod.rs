//! What passes say of themselves: the report of each, the snapshot that is put together from the newest, what lies
//! ahead, and what failed.

pub(super) mod failure_log;
mod pass_report;
pub mod preflight;
pub mod snapshot;
pub(super) mod snapshot_store;

pub use self::pass_report::{Attempt, Failure, PassReport, Trigger, Unreported};
