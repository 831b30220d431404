//! What passes say of themselves: the report of each, the snapshot that is put together from the newest, what lies
//! ahead, and what failed.

mod excerpt;
mod failure_log;
mod finding_log;
pub(crate) mod open_incidents;
pub(super) mod pass_log;
mod pass_report;
pub(crate) mod preflight;
pub(crate) mod snapshot;
pub(crate) mod snapshot_store;
pub(crate) mod told;

pub use self::pass_report::PassReport;
pub(crate) use self::pass_report::{Attempt, Failure, OUT_OF_TIME, Trigger};
