//! The ledger: which grants are ours. We write an intent before each call to strongDM, and settle it after the call;
//! `reconcile/mod.rs` argues why nothing is lost or doubled in between.
//!
//! Nobody writes anything when a window ends: strongDM ends the access by itself. A row's state tells what our calls came
//! to, and its window whether the grant is over.

use std::{collections::BTreeSet, fmt, num::ParseIntError, str::FromStr};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt};
use sqlx::{ColumnIndex, Decode, FromRow, Row};

use super::{
    AuditEntry, Error, Lease,
    column::{from_json, from_ms, from_seconds, read_groups},
    entry::{LedgerEntry, State},
    row::row,
};
use crate::model::{
    AccountId, Cause, Grant, GrantId, LedgerRow, NewGrant, OwnGrant, Pair, ResourceId, Terms, Window,
};

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Lost => "lost",
            Self::Live => "live",
            Self::Revoking => "revoking",
            Self::Ended => "ended",
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        [Self::Creating, Self::Lost, Self::Live, Self::Revoking, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::corrupt("grant state", text))
    }
}

/// A row of the ledger that this version cannot read, because a later one wrote it or somebody meddled. Nobody knows what
/// it asks for, so its pair is best left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Its place in the ledger.
    pub row: LedgerRow,
    /// The account and resource of its grant.
    pub pair: Pair,
    /// What cannot be read.
    pub error: String,
}

/// The rows of the ledger that are not over, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenRows {
    /// Those that can be read.
    pub entries: Vec<LedgerEntry>,
    /// The others.
    pub unreadable: Vec<UnreadableRow>,
}

/// Which grants of ours to list.
#[derive(Clone, Debug, Default)]
pub struct GrantQuery {
    /// Only those in force now.
    pub active: bool,
    /// Also those that are over: their window ended, or they ended before it.
    pub ended: bool,
    /// Only this person's, without regard to case.
    pub email: Option<String>,
    /// Only this resource's, by exact name.
    pub resource: Option<String>,
}

/// A place in the list of grants: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantCursor {
    start_at: i64,
    seq: i64,
}

impl fmt::Display for GrantCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.start_at, self.seq)
    }
}

impl FromStr for GrantCursor {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (start_at, seq) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { start_at: start_at.parse()?, seq: seq.parse()? })
    }
}

/// Some of the grants that were asked for.
#[derive(Clone, Debug)]
pub struct GrantPage {
    /// By start.
    pub items: Vec<Grant>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<GrantCursor>,
}

impl GrantPage {
    /// A page of `limit` out of rows, of which there is one more if there is a next page.
    pub(super) fn of<R: Row>(rows: &[R], limit: u32) -> Self
    where
        for<'r> GrantRow: FromRow<'r, R>,
        for<'r> i64: Decode<'r, R::Database>,
        &'static str: ColumnIndex<R>,
    {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let shown = &rows[..rows.len().min(limit)];
        let next = shown.last().filter(|_| shown.len() < rows.len()).map(|row| {
            let number = |column| row.try_get_unchecked::<i64, _>(column).unwrap_or_default();
            GrantCursor { start_at: number("start_at"), seq: number("seq") }
        });
        Self { items: read_grants(shown), next }
    }
}

impl GrantCursor {
    /// Its start and row, or a place before the first grant.
    pub(super) fn place(cursor: Option<Self>) -> (i64, i64) {
        cursor.map_or((i64::MIN, i64::MIN), |cursor| (cursor.start_at, cursor.seq))
    }
}

impl GrantQuery {
    /// Whether it asks for grants that are over.
    pub(super) fn wants_past(&self) -> bool {
        self.ended && !self.active
    }
}

/// The ledger's verbs. Whoever begins a write needs the lease on passes. Whoever settles one does not, since what it says
/// is true whoever holds the lease by then; only that nothing happened may no longer be true. A settlement changes a row
/// that still waits for it and no other, so that a late one undoes nothing that another replica has found out meanwhile.
#[async_trait]
pub trait Ledger {
    /// Every row that is not over at `now`: it is not [`State::Ended`], and its window ends later.
    async fn open_rows(&self, now: DateTime<Utc>) -> Result<OpenRows, Error>;

    /// A number that any change of the ledger makes another one: while it stays the same, rows that were read after it are
    /// still right. None where the database keeps none.
    async fn ledger_version(&self) -> Result<Option<i64>, Error>;

    /// The rows of [`Self::open_rows`] that can be read, for whoever needs not decide about the others.
    async fn ledger(&self, now: DateTime<Utc>) -> Result<Vec<LedgerEntry>, Error> {
        Ok(self.open_rows(now).await?.entries)
    }

    /// The grants of ours that strongDM has or had, by start. Rows that cannot be read are left out.
    async fn grants(&self, now: DateTime<Utc>, which: &GrantQuery) -> Result<Vec<Grant>, Error> {
        Ok(self.grant_page(now, which, u32::MAX, None).await?.items)
    }

    /// At most `limit` of them, after the page that ended with this cursor.
    async fn grant_page(
        &self,
        now: DateTime<Utc>,
        which: &GrantQuery,
        limit: u32,
        after: Option<GrantCursor>,
    ) -> Result<GrantPage, Error>;

    /// Whether this grant is or ever was ours.
    async fn is_ours(&self, id: &GrantId) -> Result<bool, Error>;

    /// Those of these grants that are or ever were ours.
    async fn ours_among(&self, ids: &[&GrantId]) -> Result<BTreeSet<GrantId>, Error>;

    /// Those of these rows that are not over at `now`.
    async fn open_among(
        &self,
        rows: &BTreeSet<LedgerRow>,
        now: DateTime<Utc>,
    ) -> Result<BTreeSet<LedgerRow>, Error>;

    /// Records, before the call, that we are about to make this grant. None if the lease is lost: then nobody here may
    /// make it.
    async fn intend_create(
        &self,
        lease: &Lease,
        new: &NewGrant,
        now: DateTime<Utc>,
    ) -> Result<Option<LedgerRow>, Error>;

    /// Records, before the call, that we are about to revoke this grant. False if the lease is lost, or the row is not
    /// [`State::Live`]: then nobody here may revoke it.
    async fn intend_revoke(&self, lease: &Lease, row: LedgerRow) -> Result<bool, Error>;

    /// Records that strongDM has the grant under this ID, on these terms: we made it, or found it again. It is ours from
    /// now on, also if the row was given to another grant meanwhile; then a copy of the row gets it. False, and nothing is
    /// written, if the ID is known already, also as that of an ended grant.
    async fn settle_created(
        &self,
        row: LedgerRow,
        id: &GrantId,
        terms: &Terms,
        audit: &AuditEntry,
    ) -> Result<bool, Error>;

    /// Records that strongDM has a live grant of ours on other terms than we knew. False, and nothing is written, if
    /// the lease is lost, or the row is not live on the terms `known` any more.
    async fn settle_terms(
        &self,
        lease: &Lease,
        row: LedgerRow,
        known: &Terms,
        found: &Terms,
        audit: &AuditEntry,
    ) -> Result<bool, Error>;

    /// Records that strongDM certainly did not make the grant. Removes the row, unless a grant was found for it meanwhile.
    async fn settle_refused(&self, row: LedgerRow, audit: Option<&AuditEntry>) -> Result<(), Error>;

    /// Records that we found no such grant after an unclear answer.
    async fn settle_lost(&self, row: LedgerRow) -> Result<(), Error>;

    /// Records that strongDM still has a grant that we meant to revoke. Writes nothing if the lease is lost: whoever has
    /// it may be revoking the grant by now.
    async fn settle_kept(&self, lease: &Lease, row: LedgerRow) -> Result<(), Error>;

    /// Records that strongDM no longer has the grant. False, and nothing is written, if that was known already.
    async fn settle_ended(
        &self,
        row: LedgerRow,
        at: DateTime<Utc>,
        audit: &AuditEntry,
    ) -> Result<bool, Error>;

    /// Reopens a grant that we recorded as ended before `before` but that strongDM still lists, and returns it. None if we
    /// recorded no such end, its window has ended too, or its row cannot be read.
    async fn reopen(&self, id: &GrantId, before: DateTime<Utc>) -> Result<Option<Grant>, Error>;

    /// Replaces the attribution of grants that stay.
    async fn relabel(&self, relabelled: &[(LedgerRow, Vec<Cause>)]) -> Result<(), Error>;
}

/// The columns of [`GrantRow`].
macro_rules! grant_columns {
    () => {
        "seq, state, grant_id, account_id, email, resource_id, resource, start_at, end_at, kubernetes_groups, causes, \
         intended_ms"
    };
}

pub(super) use grant_columns;

/// The rows that are not over at `$1`.
pub(super) const OPEN_ROWS: &str =
    concat!("SELECT ", grant_columns!(), " FROM grants WHERE state <> 'ended' AND end_at > $1 ORDER BY seq");

/// What a [`GrantQuery`] asks for of all grants, also those that are over: e-mail address, resource; then the start and the
/// row of the [`GrantCursor`], and how many.
pub(super) const GRANTS: &str = concat!(
    "SELECT ",
    grant_columns!(),
    " FROM grants WHERE grant_id IS NOT NULL
       AND (CAST($1 AS TEXT) IS NULL OR email = $1)
       AND (CAST($2 AS TEXT) IS NULL OR resource = $2)
       AND start_at >= $3 AND (start_at > $3 OR seq > $4)
     ORDER BY start_at, seq LIMIT $5"
);

/// The same for those that are not over: now, only those in force, e-mail address, resource; then the start and the row of
/// the place, and how many. They are read in the order of an index, from that place on.
pub(super) const OPEN_GRANTS: &str = concat!(
    "SELECT ",
    grant_columns!(),
    " FROM grants WHERE grant_id IS NOT NULL AND state <> 'ended' AND state IN ('live', 'revoking') AND end_at > $1
       AND (NOT $2 OR start_at <= $1)
       AND (CAST($3 AS TEXT) IS NULL OR email = $3)
       AND (CAST($4 AS TEXT) IS NULL OR resource = $4)
       AND start_at >= $5 AND (start_at > $5 OR seq > $6)
     ORDER BY start_at, seq LIMIT $7"
);

pub(super) const IS_OURS: &str = "SELECT 1 FROM grants WHERE grant_id = $1 LIMIT 1";

/// Gives the row `$1` the grant `$2` from `$3` to `$4` with the groups `$5`, if it still waits for one.
pub(super) const MAKE_LIVE: &str = "
    UPDATE grants SET state = 'live', grant_id = $2, start_at = $3, end_at = $4, kubernetes_groups = $5
    WHERE seq = $1 AND state IN ('creating', 'lost')";

/// Gives a copy of the row `$1` the grant `$2` from `$3` to `$4` with the groups `$5`.
pub(super) const COPY_LIVE: &str = "INSERT INTO grants
       (state, grant_id, account_id, email, resource_id, resource, start_at, end_at, kubernetes_groups, causes,
        intended_ms)
     SELECT 'live', $2, account_id, email, resource_id, resource, $3, $4, $5, causes, intended_ms
     FROM grants WHERE seq = $1";

/// Gives the row `$1`, which is live from `$2` to `$3` with the groups `$4`, the window from `$5` to `$6` and the
/// groups `$7`.
pub(super) const SETTLE_TERMS: &str = "
    UPDATE grants SET start_at = $5, end_at = $6, kubernetes_groups = $7
    WHERE seq = $1 AND state = 'live' AND start_at = $2 AND end_at = $3
      AND coalesce(kubernetes_groups, '') = coalesce($4, '')";

pub(super) const SETTLE_REFUSED: &str = "DELETE FROM grants WHERE seq = $1 AND grant_id IS NULL";

pub(super) const SETTLE_LOST: &str = "UPDATE grants SET state = 'lost' WHERE seq = $1 AND state = 'creating'";

pub(super) const SETTLE_ENDED: &str =
    "UPDATE grants SET state = 'ended', ended_at = $2 WHERE seq = $1 AND state IN ('live', 'revoking')";

/// Reopens the newest row of the grant `$1` that was recorded as ended before `$2`, if its window has not ended by then
/// and no other row has the grant.
pub(super) const REOPEN: &str = concat!(
    "UPDATE grants SET state = 'live', ended_at = NULL
     WHERE seq = (SELECT max(seq) FROM grants WHERE grant_id = $1) AND state = 'ended' AND ended_at < $2
       AND end_at > $2 AND NOT EXISTS
         (SELECT 1 FROM grants AS other WHERE other.grant_id = $1 AND other.state <> 'ended')
     RETURNING ",
    grant_columns!()
);

/// Removes rows whose window ended before `$1`.
pub(super) const PRUNE_GRANTS: &str =
    "DELETE FROM grants WHERE seq IN (SELECT seq FROM grants WHERE end_at < $1 ORDER BY end_at LIMIT 500)";

row! {
    /// A row of the ledger as it is stored.
    pub(super) struct GrantRow {
        seq: i64,
        state: String,
        grant_id: Option<String>,
        account_id: String,
        email: String,
        resource_id: String,
        resource: String,
        start_at: i64,
        end_at: i64,
        kubernetes_groups: Option<String>,
        causes: String,
        intended_ms: i64,
    }
}

/// Reads rows of the ledger, each by itself: one that cannot be read harms no other. They are taken in one by one,
/// since all of them at once take more memory than what they say.
pub(super) async fn read_open<R: Row>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin + Send,
) -> Result<OpenRows, Error>
where
    for<'r> GrantRow: FromRow<'r, R>,
    for<'r> String: Decode<'r, R::Database>,
    for<'r> i64: Decode<'r, R::Database>,
    &'static str: ColumnIndex<R>,
{
    let mut open = OpenRows::default();
    while let Some(row) = rows.try_next().await? {
        match read(&row) {
            Ok(entry) => open.entries.push(entry),
            Err(error) => {
                let text = |column| row.try_get_unchecked::<String, _>(column).unwrap_or_default();
                open.unreadable.push(UnreadableRow {
                    row: row.try_get_unchecked::<i64, _>("seq").unwrap_or_default().into(),
                    pair: Pair { account: text("account_id").into(), resource: text("resource_id").into() },
                    error: error.to_string(),
                });
            }
        }
    }
    Ok(open)
}

/// Reads the grants of those rows that can be read.
pub(super) fn read_grants<R: Row>(rows: &[R]) -> Vec<Grant>
where
    for<'r> GrantRow: FromRow<'r, R>,
{
    let read =
        |row| read(row).inspect_err(|error| tracing::debug!(%error, "a row of the ledger is left out"));
    rows.iter().filter_map(|row| Some(read(row).ok()?.own.grant)).collect()
}

pub(super) fn read<R: Row>(row: &R) -> Result<LedgerEntry, Error>
where
    for<'r> GrantRow: FromRow<'r, R>,
{
    GrantRow::from_row(row)?.read()
}

impl GrantRow {
    pub(super) fn read(self) -> Result<LedgerEntry, Error> {
        let corrupt = |what, value: String| Error::corrupt(what, &value);
        let (start, end) = (from_seconds(self.start_at), from_seconds(self.end_at));
        let window = Window::new(start, end).ok_or_else(|| corrupt("window", format!("{start} to {end}")))?;
        let causes: Vec<Cause> = from_json("list of causes", &self.causes)?;
        let mut rules: Vec<String> = causes.iter().map(|cause| cause.rule.clone()).collect();
        rules.dedup();
        let grant = Grant {
            id: self.grant_id.map(GrantId::from),
            email: self.email.parse().map_err(|_| corrupt("e-mail address", self.email.clone()))?,
            name: None,
            account_id: AccountId::from(self.account_id),
            resource: self.resource,
            resource_id: ResourceId::from(self.resource_id),
            window,
            kubernetes_groups: read_groups(self.kubernetes_groups.as_deref())?,
            rules,
        };
        Ok(LedgerEntry {
            own: OwnGrant { row: self.seq.into(), grant, causes },
            state: State::parse(&self.state)?,
            intended_at: from_ms(self.intended_ms),
        })
    }
}
