//! What we learned from answers and must remember longer than the process lives: other people's grants, refusals, facts,
//! and which schedule we saw under which escalation policy.
//!
//! Links are read and replaced as a whole like a fact, but keep their table: during a rolling upgrade, replicas of the
//! previous version read and write it. Were links a fact here, each side would decide by what it alone saw. They move no
//! earlier than one version after the last that uses the table.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Error, Lease,
    column::{from_ms, from_seconds, read_groups},
    names::StoredName,
    row::row,
};
use crate::model::{
    Altered, Fault, ForeignGrant, GrantId, IncidentId, Links, Pair, Refusal, RememberedPart, SeenName, Window,
};

/// When a window that strongDM did not store as asked is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskAgain {
    /// At this instant.
    At(DateTime<Utc>),
    /// After a pause that grows each time, from 2 s up to 15 min. Once more when the window begins.
    AfterPause,
    /// At once the first time, at this instant afterwards.
    OnceMoreOrAt(DateTime<Utc>),
}

/// Remembers what we learned from answers.
#[async_trait]
pub trait Knowledge {
    /// Other people's grants as we last saw them, each with the moment when we first saw it.
    async fn foreign_grants(&self) -> Result<Vec<(ForeignGrant, DateTime<Utc>)>, Error>;

    /// Replaces what we know of other people's grants: all of it, or that of one pair. Writes nothing if the lease is
    /// lost: whoever has it may have seen something newer.
    async fn set_foreign_grants(
        &self,
        lease: &Lease,
        pair: Option<&Pair>,
        grants: &[ForeignGrant],
        now: DateTime<Utc>,
    ) -> Result<(), Error>;

    /// The value of the fact of this name that holds at `now`. Read it through a [`Fact`](super::Fact), which knows its
    /// type.
    async fn fact(&self, name: &str, now: DateTime<Utc>) -> Result<Option<String>, Error>;

    /// Replaces the value of a fact. It holds until `until`, or until it is replaced.
    async fn set_fact(&self, name: &str, value: &str, until: Option<DateTime<Utc>>) -> Result<(), Error>;

    /// The same for good; writes nothing if the lease is lost.
    async fn set_fact_holding(&self, lease: &Lease, name: &str, value: &str) -> Result<(), Error>;

    /// The refusals without a visible cause that keep us from trying again at `now`.
    async fn refusals(&self, now: DateTime<Utc>) -> Result<Vec<Refusal>, Error>;

    /// Remembers that strongDM refused a grant and showed none in its way. Each further refusal in a row doubles the
    /// pause, from 2 s up to 15 min; the first is short because a grant that ends now may still be in the way for a
    /// moment.
    async fn remember_refusal(&self, pair: &Pair, now: DateTime<Utc>) -> Result<(), Error>;

    /// Forgets the refusals of a pair, because strongDM made a grant for it.
    async fn forget_refusal(&self, pair: &Pair) -> Result<(), Error>;

    /// The windows that strongDM did not store as asked, and that are not asked for again by `now`.
    async fn altered(&self, now: DateTime<Utc>) -> Result<Vec<Altered>, Error>;

    /// Remembers that `window` is missing of a grant that strongDM stored at `now` with another window than asked, in place
    /// of what is remembered of the same time.
    async fn remember_altered(
        &self,
        pair: &Pair,
        window: Window,
        again: AskAgain,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Result<(), Error>;

    /// What rules remember of people's parts in incidents: of those that are not over at `now`, and of all in these
    /// incidents.
    async fn incident_parts(
        &self,
        now: DateTime<Utc>,
        incidents: &BTreeSet<IncidentId>,
    ) -> Result<Vec<RememberedPart>, Error>;

    /// Remembers parts, each with the instant at which all access because of it is over. Writes nothing if the lease is
    /// lost: whoever has it may have seen something newer.
    async fn remember_parts(
        &self,
        lease: &Lease,
        parts: &[(RememberedPart, DateTime<Utc>)],
    ) -> Result<(), Error>;

    /// Which schedule the last full pass saw under which escalation policy.
    async fn links(&self) -> Result<Links, Error>;

    /// Replaces the links.
    async fn set_links(&self, links: &Links) -> Result<(), Error>;

    /// The names that changed after `change`; all of them after 0.
    async fn names_since(&self, change: i64) -> Result<Vec<StoredName>, Error>;

    /// Remembers names that were seen at `now`, in place of those that the same things had.
    async fn set_names(&self, names: &[SeenName], now: DateTime<Utc>) -> Result<(), Error>;
}

pub(super) const FOREIGN_GRANTS: &str = "SELECT grant_id, account_id, resource_id, start_at, end_at, first_seen_ms, kubernetes_groups FROM foreign_grants";

pub(super) const FORGET_FOREIGN: &str = "DELETE FROM foreign_grants WHERE grant_id = $1";

pub(super) const FACT: &str = "SELECT value FROM facts WHERE name = $1 AND until_at > $2";

pub(super) const SET_FACT: &str = "
    INSERT INTO facts (name, value, until_at) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, until_at = excluded.until_at";

/// The fact that is written to see whether the store takes a write: when that was last tried.
pub(super) const WRITE_CHECK: &str = "write_check";

pub(super) const REFUSALS: &str =
    "SELECT account_id, resource_id, until_at, attempts FROM refusals WHERE until_at > $1";

pub(super) const REFUSED_BEFORE: &str =
    "SELECT attempts, until_at FROM refusals WHERE account_id = $1 AND resource_id = $2";

pub(super) const SET_REFUSAL: &str =
    "INSERT INTO refusals (account_id, resource_id, until_at, attempts) VALUES ($1, $2, $3, $4)
     ON CONFLICT (account_id, resource_id)
     DO UPDATE SET until_at = excluded.until_at, attempts = excluded.attempts";

pub(super) const FORGET_REFUSAL: &str = "DELETE FROM refusals WHERE account_id = $1 AND resource_id = $2";

/// Removes refusals that no longer held before `$1`.
pub(super) const PRUNE_REFUSALS: &str = "
    DELETE FROM refusals
    WHERE (account_id, resource_id) IN
      (SELECT account_id, resource_id FROM refusals WHERE until_at < $1 LIMIT 500)";

pub(super) const ALTERED: &str = "
    SELECT account_id, resource_id, start_at, end_at, until_at, fault, remedy
    FROM altered WHERE until_at > $1 AND end_at > $1";

/// Forgets what is remembered of the pair `$1`, `$2` between `$3` and `$4`.
pub(super) const FORGET_ALTERED: &str = "
    DELETE FROM altered WHERE account_id = $1 AND resource_id = $2 AND start_at < $4 AND end_at > $3
    RETURNING attempts, until_at";

pub(super) const SET_ALTERED: &str = "
    INSERT INTO altered (account_id, resource_id, start_at, end_at, until_at, attempts, fault, remedy)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Removes what was not to be asked for again before `$1`.
pub(super) const PRUNE_ALTERED: &str = "
    DELETE FROM altered
    WHERE (account_id, resource_id, start_at) IN
      (SELECT account_id, resource_id, start_at FROM altered WHERE until_at < $1 LIMIT 500)";

pub(super) const LINKS: &str = "SELECT schedule_id, policy_id FROM links";

pub(super) const FORGET_LINKS: &str = "DELETE FROM links";

/// When a fact without an end stops to hold.
const NEVER: i64 = i64::MAX;

/// The end of a fact as it is stored.
pub(super) fn fact_until(until: Option<DateTime<Utc>>) -> i64 {
    until.map_or(NEVER, |until| until.timestamp())
}

/// How often in a row a window was altered, of which these attempts, each with the instant of the next one, are
/// remembered. What did not happen again within an hour is over.
pub(super) fn attempts_in_a_row(remembered: &[(i64, i64)], now: DateTime<Utc>) -> i64 {
    let is_recent = |until: i64| until > (now - TimeDelta::hours(1)).timestamp();
    remembered.iter().filter(|(_, until)| is_recent(*until)).map(|(attempts, _)| *attempts).max().unwrap_or(0)
}

/// The same of refusals, without those that a clock wrote that was ahead of `now`.
pub(super) fn refusals_in_a_row(remembered: &[(i64, i64)], now: DateTime<Utc>) -> i64 {
    let remembered =
        remembered.iter().copied().filter(|(attempts, until)| is_of_the_past(*attempts, *until, now));
    attempts_in_a_row(&remembered.collect::<Vec<_>>(), now)
}

/// Whether this refusal came before `now`. One that a clock wrote that was ahead must not keep somebody waiting once
/// the clock is right: the pauses had grown because by that clock a grant had ended that strongDM still had.
fn is_of_the_past(attempts: i64, until: i64, now: DateTime<Utc>) -> bool {
    until - pause_after(attempts - 1).num_seconds() <= now.timestamp()
}

/// How long a refusal holds after so many before it.
pub(super) fn pause_after(attempts: i64) -> TimeDelta {
    TimeDelta::seconds(2 << attempts.clamp(0, 9)).min(TimeDelta::minutes(15))
}

impl AskAgain {
    /// The instant, for a window that was altered so many times before.
    pub(super) fn at(self, attempts: i64, window: Window, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::OnceMoreOrAt(_) if attempts == 0 => now,
            Self::At(at) | Self::OnceMoreOrAt(at) => at,
            Self::AfterPause => {
                let pause = now + pause_after(attempts);
                if window.start() > now { pause.min(window.start()) } else { pause }
            }
        }
    }
}

row! {
    /// A window that strongDM did not store as asked, as we store it.
    pub(super) struct AlteredRow {
        account_id: String,
        resource_id: String,
        start_at: i64,
        end_at: i64,
        until_at: i64,
        fault: String,
        remedy: String,
    }
}

impl AlteredRow {
    pub(super) fn read(self) -> Option<Altered> {
        let Self { account_id, resource_id, start_at, end_at, until_at, fault: error, remedy } = self;
        Some(Altered {
            pair: Pair { account: account_id.into(), resource: resource_id.into() },
            window: Window::new(from_seconds(start_at), from_seconds(end_at))?,
            until: from_seconds(until_at),
            fault: (!error.is_empty()).then_some(Fault { error, remedy }),
        })
    }
}

row! {
    /// Somebody else's grant as it is stored.
    pub(super) struct ForeignRow {
        grant_id: String,
        account_id: String,
        resource_id: String,
        start_at: i64,
        end_at: i64,
        first_seen_ms: i64,
        kubernetes_groups: Option<String>,
    }
}

impl ForeignRow {
    pub(super) fn read(self) -> Option<(ForeignGrant, DateTime<Utc>)> {
        let window = Window::new(from_seconds(self.start_at), from_seconds(self.end_at))?;
        let foreign = ForeignGrant {
            id: GrantId::from(self.grant_id),
            pair: Pair { account: self.account_id.into(), resource: self.resource_id.into() },
            window,
            groups: read_groups(self.kubernetes_groups.as_deref()).ok()?,
        };
        Some((foreign, from_ms(self.first_seen_ms)))
    }
}

row! {
    /// A refusal as it is stored.
    pub(super) struct RefusalRow {
        account_id: String,
        resource_id: String,
        until_at: i64,
        attempts: i64,
    }
}

impl RefusalRow {
    /// The refusal, if it came before `now`.
    pub(super) fn read(self, now: DateTime<Utc>) -> Option<Refusal> {
        let Self { account_id, resource_id, until_at, attempts } = self;
        let pair = Pair { account: account_id.into(), resource: resource_id.into() };
        is_of_the_past(attempts, until_at, now).then(|| Refusal { pair, until: from_seconds(until_at) })
    }
}

/// The links from their stored pairs.
pub(super) fn read_links(rows: Vec<(String, String)>) -> Links {
    rows.into_iter().map(|(schedule, policy)| (schedule.into(), policy.into())).collect()
}
