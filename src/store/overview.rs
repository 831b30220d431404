//! What people see of the ledger: a bounded part of it at a time, however large it is, narrowed by what they search for.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, FromRow, Row};

use super::{
    Error, LedgerEntry,
    column::plain,
    ledger::{GrantRow, read},
    row::row,
};
use crate::model::Grant;

/// One person's access to one resource, by whatever grants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// The resource's name.
    pub resource: String,
    /// The person's address in strongDM.
    pub email: String,
}

/// Which grants are looked at: ours that strongDM has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// They end after this instant.
    pub from: DateTime<Utc>,
    /// They begin before this one, or at it.
    pub until: DateTime<Utc>,
    /// The person's address or the resource's name contains this text, without regard to case. Empty: any does, unless
    /// `people` are named.
    pub search: String,
    /// Or they are of one of these people, by their addresses in lower case.
    pub people: Vec<String>,
}

/// How much there is in a [`View`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessCounts {
    /// People and resources that belong together.
    pub accesses: usize,
    /// People.
    pub people: usize,
    /// Grants.
    pub grants: usize,
}

/// A grant with the number of those in view for the same person and resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenGrant {
    /// The grant.
    pub entry: LedgerEntry,
    /// How many there are, this one included.
    pub of: usize,
}

/// At which end of its window something happens to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boundary {
    /// Access ends.
    End,
    /// Access begins.
    Start,
}

/// Reads of the ledger for people. Rows that cannot be read are left out.
#[async_trait]
pub trait Overview {
    /// At most `limit` accesses in view, by resource and person: those after `after`.
    async fn accesses(&self, view: &View, limit: u32, after: Option<&Access>) -> Result<Vec<Access>, Error>;

    /// How much there is in view.
    async fn count_accesses(&self, view: &View) -> Result<AccessCounts, Error>;

    /// The first `limit` grants in view of each of these accesses, by access and start.
    async fn grants_of(&self, view: &View, accesses: &[Access], limit: u32) -> Result<Vec<SeenGrant>, Error>;

    /// The next `limit` grants with which access begins or ends after `view.from`, in the order of time. Where one grant
    /// follows another, access goes on.
    async fn next_changes(&self, view: &View, boundary: Boundary, limit: u32) -> Result<Vec<Grant>, Error>;
}

/// What is in a view, whatever is searched for: `$1` and `$2` are its ends.
macro_rules! in_view {
    () => {
        "state <> 'ended' AND state IN ('live', 'revoking') AND end_at > $1 AND start_at <= $2"
    };
}
pub(super) use in_view;

/// What is found: `$3` is the pattern in lower case, `$4` the pattern as it was written, and `$people` selects
/// addresses from `$5`. Both databases find letters beyond ASCII in either case only if they were written as they are
/// stored.
macro_rules! found {
    ($people:literal) => {
        concat!(
            "(email LIKE $3 ESCAPE '\\' OR lower(resource) LIKE $3 ESCAPE '\\' OR resource LIKE $4 ESCAPE '\\'
              OR email IN (",
            $people,
            "))"
        )
    };
}
pub(super) use found;

/// The same, or everything if no pattern is given.
macro_rules! in_view_and_found {
    ($people:literal) => {
        concat!(in_view!(), " AND (CAST($3 AS TEXT) IS NULL OR ", found!($people), ")")
    };
}
pub(super) use in_view_and_found;

/// The accesses in view, after resource `$3` and person `$4`, at most `$5`. They are read in the order of an index.
pub(super) const ACCESSES: &str = concat!(
    "SELECT DISTINCT resource, email FROM grants WHERE ",
    in_view!(),
    " AND resource >= $3 AND (resource > $3 OR email > $4)
     ORDER BY resource, email LIMIT $5"
);

/// Those that are found, after resource `$6` and person `$7`, at most `$8`. They may be few, and are looked for among what
/// has not ended.
macro_rules! found_accesses {
    ($people:literal) => {
        concat!(
            "WITH found AS MATERIALIZED (SELECT resource, email FROM grants WHERE ",
            in_view!(),
            " AND ",
            found!($people),
            ") SELECT DISTINCT resource, email FROM found WHERE resource > $6 OR (resource = $6 AND email > $7)
             ORDER BY resource, email LIMIT $8"
        )
    };
}
pub(super) use found_accesses;

macro_rules! count_accesses {
    ($people:literal) => {
        concat!(
            "SELECT count(DISTINCT email || ' ' || resource) AS accesses, count(DISTINCT email) AS people,
               count(*) AS grants
             FROM grants WHERE ",
            in_view_and_found!($people)
        )
    };
}
pub(super) use count_accesses;

/// The first `$3` grants in view of each access that `$among` selects.
macro_rules! grants_of {
    ($among:literal) => {
        concat!(
            "SELECT ",
            grant_columns!(),
            ", among FROM (SELECT ",
            grant_columns!(),
            ", row_number() OVER (PARTITION BY resource, email ORDER BY start_at, seq) AS place,
               count(*) OVER (PARTITION BY resource, email) AS among
             FROM grants WHERE ",
            in_view!(),
            " AND (resource, email) IN (",
            $among,
            ")) AS numbered
             WHERE place <= $3 ORDER BY resource, email, place"
        )
    };
}
pub(super) use grants_of;

/// The first `$6` grants with whose end access ends: no other goes on.
macro_rules! next_ends {
    ($people:literal) => {
        concat!(
            "SELECT ",
            grant_columns!(),
            " FROM grants WHERE ",
            in_view_and_found!($people),
            " AND NOT EXISTS (SELECT 1 FROM grants AS other
                 WHERE other.email = grants.email AND other.resource = grants.resource
                   AND other.state <> 'ended' AND other.state IN ('live', 'revoking')
                   AND other.start_at <= grants.end_at AND other.end_at > grants.end_at)
             ORDER BY end_at, seq LIMIT $6"
        )
    };
}
pub(super) use next_ends;

/// The first `$6` grants with whose start access begins: there is no other until then.
macro_rules! next_starts {
    ($people:literal) => {
        concat!(
            "SELECT ",
            grant_columns!(),
            " FROM grants WHERE ",
            in_view_and_found!($people),
            " AND start_at > $1
               AND NOT EXISTS (SELECT 1 FROM grants AS other
                 WHERE other.email = grants.email AND other.resource = grants.resource
                   AND other.state <> 'ended' AND other.state IN ('live', 'revoking')
                   AND other.end_at >= grants.start_at AND other.start_at < grants.start_at)
             ORDER BY start_at, seq LIMIT $6"
        )
    };
}
pub(super) use next_starts;

impl Access {
    /// Where a list goes on after this one: its resource and person, which are empty before the first.
    pub(super) fn place(after: Option<&Self>) -> (&str, &str) {
        after.map_or(("", ""), |after| (after.resource.as_str(), after.email.as_str()))
    }
}

impl View {
    /// Everything between these instants.
    pub fn between(from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { from, until, search: String::new(), people: Vec::new() }
    }

    /// The search as two patterns: in lower case, and as it was written. None if everything is in view.
    pub(super) fn patterns(&self) -> (Option<String>, Option<String>) {
        let search = plain(&self.search);
        if search.is_empty() {
            // A pattern that only an empty text has: the people are all that is sought.
            let nothing = (!self.people.is_empty()).then(String::new);
            return (nothing.clone(), nothing);
        }
        (Some(pattern(&search.to_lowercase())), Some(pattern(&search)))
    }

    /// Its ends as they are stored.
    pub(super) fn ends(&self) -> (i64, i64) {
        (self.from.timestamp(), self.until.timestamp())
    }
}

/// A pattern for texts that contain this one.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

row! {
    /// An access as it is read.
    pub(super) struct AccessRow {
        resource: String,
        email: String,
    }
}

impl From<AccessRow> for Access {
    fn from(AccessRow { resource, email }: AccessRow) -> Self {
        Self { resource, email }
    }
}

row! {
    /// Counts as they are read.
    pub(super) struct CountsRow {
        accesses: i64,
        people: i64,
        grants: i64,
    }
}

impl From<CountsRow> for AccessCounts {
    fn from(CountsRow { accesses, people, grants }: CountsRow) -> Self {
        let number = |count: i64| usize::try_from(count).unwrap_or_default();
        Self { accesses: number(accesses), people: number(people), grants: number(grants) }
    }
}

/// Reads those rows of [`grants_of`] that can be read.
pub(super) fn read_seen<R: Row>(rows: &[R]) -> Vec<SeenGrant>
where
    for<'r> GrantRow: FromRow<'r, R>,
    for<'r> i64: Decode<'r, R::Database>,
    &'static str: ColumnIndex<R>,
{
    let of = |row: &R| row.try_get_unchecked::<i64, _>("among").unwrap_or_default();
    let read =
        |row| Some(SeenGrant { entry: read(row).ok()?, of: usize::try_from(of(row)).unwrap_or_default() });
    rows.iter().filter_map(read).collect()
}
