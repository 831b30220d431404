//! What was learned from answers and must outlive the process: other people's grants, refusals, strongDM's way with
//! a second grant, and which schedule was seen under which escalation policy.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Error, Lease,
    column::{from_ms, from_seconds},
    row::row,
};
use crate::model::{ForeignGrant, GrantId, Links, Pair, Refusal, SecondGrant, Window};

/// The verbs about what was learned.
#[async_trait]
pub trait Knowledge {
    /// Other people's grants as last seen, with the moment each was first seen.
    async fn foreign_grants(&self) -> Result<Vec<(ForeignGrant, DateTime<Utc>)>, Error>;

    /// Replaces what is known of other people's grants: all of it, or that of one account and resource. Nothing
    /// changes if the lease is lost: what was seen then may be older than what is known.
    async fn set_foreign_grants(
        &self,
        lease: &Lease,
        pair: Option<&Pair>,
        grants: &[ForeignGrant],
        now: DateTime<Utc>,
    ) -> Result<(), Error>;

    /// What strongDM was last seen to do with a second grant; the best is assumed once that is too old.
    async fn second_grant(&self, now: DateTime<Utc>) -> Result<SecondGrant, Error>;

    /// Remembers what strongDM does with a second grant.
    async fn learn_second_grant(&self, learned: SecondGrant, until: DateTime<Utc>) -> Result<(), Error>;

    /// What the newest passes saw, in the words of [`crate::reconcile`].
    async fn picture(&self) -> Result<Option<String>, Error>;

    /// Replaces what the newest passes saw.
    async fn set_picture(&self, picture: &str) -> Result<(), Error>;

    /// Refusals without a visible cause that still hold.
    async fn refusals(&self, now: DateTime<Utc>) -> Result<Vec<Refusal>, Error>;

    /// Remembers a refusal without a visible cause; each further one doubles the pause, from 2 s up to 15 min. The
    /// first is short because a grant that ends now may still be in the way for a moment.
    async fn remember_refusal(&self, pair: &Pair, now: DateTime<Utc>) -> Result<(), Error>;

    /// Forgets the refusals of a pair, because a grant was taken.
    async fn forget_refusal(&self, pair: &Pair) -> Result<(), Error>;

    /// Which schedule was seen under which escalation policy.
    async fn links(&self) -> Result<Links, Error>;

    /// Replaces what is known about schedules under policies.
    async fn set_links(&self, links: &Links) -> Result<(), Error>;
}

/// The name of the fact about second grants.
pub(super) const SECOND_GRANT: &str = "second_grant";
/// The name under which the newest picture is kept.
pub(super) const PICTURE: &str = "picture";

pub(super) const FORGET_FOREIGN: &str = "DELETE FROM foreign_grants WHERE grant_id = $1";

/// How long a refusal holds after so many before it.
pub(super) fn pause_after(attempts: i64) -> TimeDelta {
    TimeDelta::seconds(2 << attempts.clamp(0, 9)).min(TimeDelta::minutes(15))
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
    }
}

impl ForeignRow {
    pub(super) fn read(self) -> Option<(ForeignGrant, DateTime<Utc>)> {
        let window = Window::new(from_seconds(self.start_at), from_seconds(self.end_at))?;
        let foreign = ForeignGrant {
            id: GrantId::from(self.grant_id),
            pair: Pair { account: self.account_id.into(), resource: self.resource_id.into() },
            window,
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
    }
}

impl From<RefusalRow> for Refusal {
    fn from(RefusalRow { account_id, resource_id, until_at }: RefusalRow) -> Self {
        let pair = Pair { account: account_id.into(), resource: resource_id.into() };
        Self { pair, until: from_seconds(until_at) }
    }
}

/// The links from their stored pairs.
pub(super) fn read_links(rows: Vec<(String, String)>) -> Links {
    Links(rows.into_iter().map(|(schedule, policy)| (schedule.into(), policy.into())).collect())
}
