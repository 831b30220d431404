//! The only place that reads the wall clock, so that everything else can be given an instant.

use chrono::{DateTime, SubsecRound, Utc};

/// The current instant in UTC, in whole milliseconds: nobody reads more digits.
#[expect(clippy::disallowed_methods, reason = "the one place that may read the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}
