//! Who does what when: who holds a lease, and the timetable that all replicas share.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    DirtyMark, Duty, Error, Lease,
    column::{from_ms, to_json},
    row::row,
};
use crate::model::{FollowUps, PassCounts, Retries, SecondLook};

/// What passes leave for the next one, wherever that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timetable {
    /// When the last full pass began.
    pub last_full: Option<DateTime<Utc>>,
    /// The next instant at which the last plans expect a change.
    pub wake: Option<DateTime<Utc>>,
    /// How many passes broke off in a row.
    pub failures: u32,
    /// When to try again after a pass broke off, or ran out of time.
    pub retry_at: Option<DateTime<Utc>>,
    /// What passes could not see or do.
    pub retries: Retries,
    /// When the ledger was last compared with strongDM's list.
    pub verified_at: Option<DateTime<Utc>>,
    /// The look that is to confirm what the last ones found due to be revoked.
    pub second_look: Option<SecondLook>,
    /// When services are looked at once more after an event: what PagerDuty answers may lag behind what it announced.
    pub follow_ups: FollowUps,
    /// What the last passes found.
    pub counts: PassCounts,
}

/// What says whether a pass is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// What passes left for the next one.
    pub timetable: Timetable,
    /// What events set.
    pub dirty: Vec<DirtyMark>,
    /// The holder of [`Duty::Passes`] let it expire, so nobody knows how far its pass came.
    pub abandoned: bool,
}

/// Leases and the shared timetable.
#[async_trait]
pub trait Coordination {
    /// Takes a duty for `ttl`, unless somebody else holds it. The database's clock decides when it ends. `note` says what
    /// for.
    async fn try_lease(&self, duty: Duty, ttl: Duration, note: &str) -> Result<Option<Lease>, Error>;

    /// Keeps a duty for `ttl` from now on. False if the lease is lost.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, Error>;

    /// Gives a duty back, and wakes whoever waits for it.
    async fn release(&self, lease: &Lease) -> Result<(), Error>;

    /// What says whether a pass is due.
    async fn workload(&self) -> Result<Workload, Error>;

    /// Replaces the timetable. False, and nothing is written, if the lease is lost.
    async fn set_timetable(&self, lease: &Lease, timetable: &Timetable) -> Result<bool, Error>;
}

/// The one row of the timetable.
pub(super) const TIMETABLE: &str = "SELECT last_full_ms, wake_ms, failures, retry_ms, verified_ms, standing, second_look, retries, follow_ups FROM agenda";

pub(super) const SET_TIMETABLE: &str = "
    UPDATE agenda
    SET last_full_ms = $1, wake_ms = $2, failures = $3, retry_ms = $4, verified_ms = $5, standing = $6, second_look = $7, retries = $8, follow_ups = $9";

row! {
    /// The timetable as it is stored.
    pub(super) struct TimetableRow {
        last_full_ms: Option<i64>,
        wake_ms: Option<i64>,
        failures: i64,
        retry_ms: Option<i64>,
        verified_ms: Option<i64>,
        standing: String,
        second_look: Option<String>,
        retries: Option<String>,
        follow_ups: Option<String>,
    }
}

impl TimetableRow {
    pub(super) fn read(self) -> Timetable {
        let Self {
            last_full_ms,
            wake_ms,
            failures,
            retry_ms,
            verified_ms,
            standing,
            second_look,
            retries,
            follow_ups,
        } = self;
        Timetable {
            last_full: last_full_ms.map(from_ms),
            wake: wake_ms.map(from_ms),
            failures: u32::try_from(failures).unwrap_or(0),
            retry_at: retry_ms.map(from_ms),
            verified_at: verified_ms.map(from_ms),
            // What only another version can read is as good as none: the next full pass counts, and is a look as well.
            counts: serde_json::from_str(&standing).unwrap_or_default(),
            second_look: second_look.and_then(|text| serde_json::from_str(&text).ok()),
            follow_ups: follow_ups.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            retries: retries.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        }
    }
}

impl Timetable {
    /// The instants in the order of their columns: last full pass, wake, retry, verified.
    pub(super) fn instants(&self) -> [Option<i64>; 4] {
        let Self { last_full, wake, retry_at, verified_at, .. } = self;
        [last_full, wake, retry_at, verified_at].map(|at| at.map(|at| at.timestamp_millis()))
    }

    pub(super) fn counts_text(&self) -> String {
        to_json(&self.counts)
    }

    pub(super) fn retries_text(&self) -> Option<String> {
        (!self.retries.is_empty()).then(|| to_json(&self.retries))
    }

    pub(super) fn follow_ups_text(&self) -> Option<String> {
        (!self.follow_ups.is_empty()).then(|| to_json(&self.follow_ups))
    }

    pub(super) fn second_look_text(&self) -> Option<String> {
        self.second_look.as_ref().map(to_json)
    }
}
