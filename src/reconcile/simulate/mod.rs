//! What the rules would do over a stretch of time: the real planner, over what was observed once, from an empty ledger.
//! Pure but for the one observation: the clock is an argument, and nothing is written.

mod capture;
mod forecast;
mod live;
mod saved;
mod tell;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    capture::capture,
    forecast::{Forecast, Pace},
    live::simulate,
    saved::{Calls, SavedWorld},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::{Grant, LedgerRow, NamesBeside, OwnGrant, Skipped, Source, Unknown};

/// What would happen between two instants.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Simulation {
    /// From when on.
    pub(crate) from: DateTime<Utc>,
    /// Until when.
    pub(crate) until: DateTime<Utc>,
    /// Each write, in order.
    pub(crate) events: Vec<Event>,
    /// The stretches in which nobody is on call.
    pub(crate) gaps: Vec<Gap>,
    /// People, resources and filters that nothing could be done about.
    pub(crate) skipped: Vec<Skipped>,
    /// What could not be observed: nothing is said about it.
    pub(crate) unknown: Vec<Unknown>,
    /// What `max_revocations` would have held, and from when on.
    pub(crate) held: Vec<Held>,
    /// Rules that depend on more than time: those about incidents.
    pub(crate) ignored_rules: Vec<String>,
    /// What it would cost.
    pub(crate) forecast: Forecast,
    /// Every grant that was made, with its causes, for pictures.
    #[serde(skip)]
    pub(crate) grants: Vec<OwnGrant>,
}

/// One write.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Which.
    pub(crate) action: Write,
    /// The grant.
    pub(crate) grant: Grant,
    /// Why.
    pub(crate) reason: String,
}

/// What is done to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Write {
    /// It is made.
    Create,
    /// It is taken back.
    Revoke,
}

/// A stretch in which nobody is on call through a source, as these rules count it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Gap {
    /// The schedule or policy.
    #[serde(flatten)]
    pub(crate) source: Source,
    /// From when on.
    pub(crate) start: DateTime<Utc>,
    /// Until when.
    pub(crate) end: DateTime<Utc>,
    /// The rules that name it.
    pub(crate) rules: Vec<String>,
    /// What it is called.
    #[serde(flatten)]
    pub(crate) names: NamesBeside,
}

/// A grant that the guard would keep.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Held {
    /// From when on.
    pub(crate) at: DateTime<Utc>,
    /// The grant.
    pub(crate) grant: Grant,
    #[serde(skip)]
    row: LedgerRow,
}
