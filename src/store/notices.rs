//! Notices: an outbox for endpoints that are told of changes.
//!
//! A change of access is told because of its entry in the decision log, which is written in the transaction of the change;
//! entries become notices once their pass is over. What is told for other reasons is written together with what remembers
//! that it was told. All endpoints read the same notices, each at its own pace.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Error, column::from_ms, row::row};
use crate::model::{NewNotice, NoticeKind};

/// A notice in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotice {
    /// Its place: later ones have larger numbers.
    pub seq: i64,
    /// What it is about; one that another version wrote may be unknown.
    pub kind: NoticeKind,
    /// When that was.
    pub at: DateTime<Utc>,
    /// JSON for programs.
    pub data: String,
    /// For people.
    pub text: String,
}

/// How far an endpoint has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// The next notice for it.
    pub next: i64,
    /// How often that one was tried.
    pub attempts: u32,
    /// When it is due.
    pub due: DateTime<Utc>,
    /// The endpoint said that it is gone; it is left alone until a service starts.
    pub stopped: bool,
    /// When it last took a notice.
    pub sent: Option<DateTime<Utc>>,
    /// When it last took none, and why, in words that do not show where it is.
    pub failure: Option<(DateTime<Utc>, String)>,
    /// How many notices for it were given up.
    pub dropped: i64,
}

/// Notices of one kind that an endpoint has not come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What they are about.
    pub kind: NoticeKind,
    /// How many.
    pub count: i64,
    /// When what the first of them tells was.
    pub since: DateTime<Utc>,
}

/// Findings that last, and how they are told.
#[derive(Clone, Debug)]
pub struct Told {
    /// What they are about. A notice that tells of none that is new is not written.
    pub subjects: BTreeSet<String>,
    /// How they are told.
    pub notice: NewNotice,
}

/// Findings of one kind.
#[derive(Clone, Debug)]
pub struct Findings {
    /// What they are.
    pub kind: NoticeKind,
    /// Those that last, and how they are told.
    pub told: Vec<Told>,
    /// What may not be told again; whatever else was told may be when it comes back. Without it, all that was told lasts.
    pub lasting: Option<BTreeSet<String>>,
}

impl Findings {
    /// What was told before, `known`, and is over.
    pub(super) fn gone<'k>(&self, known: &'k [String]) -> Vec<&'k String> {
        let lasts =
            |subject: &&String| self.lasting.as_ref().is_none_or(|lasting| lasting.contains(*subject));
        known.iter().filter(|subject| !lasts(subject)).collect()
    }

    /// Whether there is anything to write, where `known` was told before.
    pub(super) fn is_news(&self, known: &[String]) -> bool {
        let is_known = |told: &Told| told.subjects.iter().all(|subject| known.contains(subject));
        !self.gone(known).is_empty() || !self.told.iter().all(is_known)
    }
}

/// Writes notices, and remembers how far each endpoint has come.
#[async_trait]
pub trait Notices {
    /// The number of the first entry of the decision log that has not become a notice.
    async fn folded(&self) -> Result<i64, Error>;

    /// Which of these passes are over, as far as it was written down.
    async fn passes_over(&self, ids: &[String]) -> Result<BTreeSet<String>, Error>;

    /// Adds the notices that the entries from the number `from` up to `to` have become. False, and nothing is written, if
    /// somebody else has done so.
    async fn add_folded(&self, from: i64, to: i64, notices: &[NewNotice]) -> Result<bool, Error>;

    /// Adds notices of findings that were not told yet, and remembers that they were told. Those of a pass that leaves
    /// a report are written together with it, see [`record_pass`](super::Journal::record_pass).
    async fn tell_findings(&self, findings: &[Findings]) -> Result<(), Error>;

    /// The next notice from this place on.
    async fn next_notice(&self, from: i64) -> Result<Option<StoredNotice>, Error>;

    /// How far the endpoint of this name has come. One that was not known begins with what comes now.
    async fn endpoint(&self, name: &str) -> Result<EndpointState, Error>;

    /// The same, if it is known.
    async fn known_endpoint(&self, name: &str) -> Result<Option<EndpointState>, Error>;

    /// What there is from this place on.
    async fn waiting(&self, from: i64) -> Result<Vec<Waiting>, Error>;

    /// Remembers how far the endpoint of this name has come.
    async fn set_endpoint(&self, name: &str, state: &EndpointState) -> Result<(), Error>;

    /// Lets endpoints that were gone be tried again.
    async fn begin_endpoints(&self) -> Result<(), Error>;
}

pub(super) const FOLDED: &str = "SELECT folded FROM notice_log";

/// Says that the entries from `$1` up to `$2` have become notices.
pub(super) const SET_FOLDED: &str = "UPDATE notice_log SET folded = $2 WHERE folded = $1";

/// The place of the next notice; nobody else gets one before the transaction ends.
pub(super) const NEXT_PLACE: &str = "UPDATE notice_log SET size = size + 1 RETURNING size - 1";

pub(super) const INSERT_NOTICE: &str =
    "INSERT INTO notices (seq, kind, at_ms, data, text) VALUES ($1, $2, $3, $4, $5)";

pub(super) const NEXT_NOTICE: &str =
    "SELECT seq, kind, at_ms, data, text FROM notices WHERE seq >= $1 ORDER BY seq LIMIT 1";

pub(super) const ENDPOINT: &str = "SELECT next_seq, attempts, due_ms, stopped, sent_ms, failed_ms, failure, dropped FROM notice_endpoints WHERE name = $1";

pub(super) const WAITING: &str = "SELECT kind, count(*) AS count, min(at_ms) AS since_ms FROM notices WHERE seq >= $1 GROUP BY kind ORDER BY kind";

/// Where nobody was told anything so far, what happened before does not become notices.
pub(super) const BEGIN_NOW: &str = "UPDATE notice_log SET folded = (SELECT size FROM decision_log)
     WHERE NOT EXISTS (SELECT 1 FROM notice_endpoints)";

pub(super) const ADD_ENDPOINT: &str =
    "INSERT INTO notice_endpoints (name, next_seq, attempts, due_ms, stopped)
     SELECT $1, size, 0, 0, 0 FROM notice_log WHERE true ON CONFLICT DO NOTHING";

pub(super) const SET_ENDPOINT: &str =
    "UPDATE notice_endpoints SET next_seq = $2, attempts = $3, due_ms = $4, stopped = $5, sent_ms = $6, failed_ms = $7,
       failure = $8, dropped = $9 WHERE name = $1";

pub(super) const BEGIN_ENDPOINTS: &str = "UPDATE notice_endpoints SET stopped = 0 WHERE stopped <> 0";

pub(super) const ADD_FINDING: &str =
    "INSERT INTO notice_findings (kind, subject) VALUES ($1, $2) ON CONFLICT DO NOTHING";

pub(super) const FINDINGS: &str = "SELECT subject FROM notice_findings WHERE kind = $1";

pub(super) const FORGET_FINDING: &str = "DELETE FROM notice_findings WHERE kind = $1 AND subject = $2";

/// Removes notices of what was before `$1`.
pub(super) const PRUNE_NOTICES: &str =
    "DELETE FROM notices WHERE seq IN (SELECT seq FROM notices WHERE at_ms < $1 ORDER BY at_ms LIMIT 500)";

row! {
    /// A notice as it is stored.
    pub(super) struct NoticeRow {
        seq: i64,
        kind: String,
        at_ms: i64,
        data: String,
        text: String,
    }
}

impl From<NoticeRow> for StoredNotice {
    fn from(NoticeRow { seq, kind, at_ms, data, text }: NoticeRow) -> Self {
        let kind = NoticeKind::of(&kind).unwrap_or(NoticeKind::Other);
        Self { seq, kind, at: from_ms(at_ms), data, text }
    }
}

row! {
    /// The state of an endpoint as it is stored.
    pub(super) struct EndpointRow {
        next_seq: i64,
        attempts: i64,
        due_ms: i64,
        stopped: i64,
        sent_ms: Option<i64>,
        failed_ms: Option<i64>,
        failure: Option<String>,
        dropped: i64,
    }
}

row! {
    /// Notices of one kind that wait, as the database counts them.
    pub(super) struct WaitingRow {
        kind: String,
        count: i64,
        since_ms: i64,
    }
}

impl From<WaitingRow> for Waiting {
    fn from(WaitingRow { kind, count, since_ms }: WaitingRow) -> Self {
        let kind = NoticeKind::of(&kind).unwrap_or(NoticeKind::Other);
        Self { kind, count, since: from_ms(since_ms) }
    }
}

impl From<EndpointRow> for EndpointState {
    fn from(row: EndpointRow) -> Self {
        let EndpointRow { next_seq, attempts, due_ms, stopped, sent_ms, failed_ms, failure, dropped } = row;
        Self {
            next: next_seq,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            due: from_ms(due_ms),
            stopped: stopped != 0,
            sent: sent_ms.map(from_ms),
            failure: failed_ms.map(from_ms).zip(failure),
            dropped,
        }
    }
}
