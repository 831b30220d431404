//! The decision log: the audit as a sequence of numbered entries, each a leaf of a hash tree, so that nobody can change what
//! was written without being found out.
//!
//! An entry gets its number and its hash in the transaction that writes it. What an earlier version wrote, before an upgrade
//! or beside this one, is taken in later, in the order in which it was written. Leaves are never removed: pruning removes
//! entries by their age, and what is left still leads to every checkpoint.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    AuditRow, Error,
    column::{from_ms, plain, to_json},
    journal::StoredAudit,
    row::row,
};
use crate::model::{NewNotice, NoticeKind};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// How many entries are taken in, copied or read at once.
pub const PAGE: u32 = 500;

/// How far the log has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Tells this log from those of other stores. It moves with the log to another database.
    pub store_id: String,
    /// How many entries were numbered: the next one gets this number.
    pub size: i64,
    /// Entries made before may be missing, since they were pruned.
    pub pruned: DateTime<Utc>,
    /// How many leaves there are: as many as `size` says, unless somebody meddled.
    pub leaves: i64,
    /// How many entries of an earlier version wait for a number.
    pub waiting: i64,
}

/// A leaf of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The entry's number.
    pub number: i64,
    /// The entry's hash.
    pub hash: Hash,
    /// When the entry was made.
    pub at: DateTime<Utc>,
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its number.
    pub number: i64,
    /// Its canonical text, which its hash is made of.
    pub text: String,
    stored: StoredAudit,
}

impl LogEntry {
    /// Whether what listings show of the entry is what its text says.
    pub fn is_as_shown(&self) -> bool {
        Canonical::of(&self.stored).text(self.number) == self.text
    }

    /// When it was made.
    pub fn at(&self) -> DateTime<Utc> {
        from_ms(self.stored.at_ms)
    }

    /// The entry as listings show it.
    pub fn read(self) -> Result<AuditRow, Error> {
        self.stored.read()
    }
}

/// A part of the log, as it is copied and verified.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// Leaves in the order of their numbers.
    pub leaves: Vec<Leaf>,
    /// The entries that are stored for them, in the same order.
    pub entries: Vec<LogEntry>,
    /// Entries made before may be missing, since they were pruned by the time at which the others had been read.
    pub pruned: DateTime<Utc>,
}

/// What the log was like at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The number of entries.
    pub size: i64,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The checkpoint as others keep it, with its signature.
    pub note: String,
    /// The hashes of the whole subtrees that make up the tree, the largest first.
    pub edge: Vec<u8>,
}

/// Numbers what an earlier version wrote, and reads the log.
#[async_trait]
pub trait DecisionLog {
    /// How far the log has come.
    async fn log_head(&self) -> Result<LogHead, Error>;

    /// Gives the next [`PAGE`] entries of an earlier version their numbers, in the order in which they were written.
    /// Returns how many there were.
    async fn take_in(&self) -> Result<u64, Error>;

    /// At most `limit` leaves from the number `from` on, and what is stored of their entries.
    async fn log_page(&self, from: i64, limit: u32) -> Result<LogPage, Error>;

    /// At most `limit` leaves from the number `from` on.
    async fn leaves(&self, from: i64, limit: u32) -> Result<Vec<Leaf>, Error>;

    /// At most `limit` entries from the number `from` on that were made at `since` or later.
    async fn log_entries(&self, limit: u32, from: i64, since: DateTime<Utc>) -> Result<Vec<LogEntry>, Error>;

    /// The lowest number that an entry has without being in the tree.
    async fn stray_entry(&self) -> Result<Option<i64>, Error>;

    /// The checkpoint of the most entries.
    async fn newest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, Error>;

    /// Stores a checkpoint; false if there is one of so many entries already.
    async fn add_checkpoint(&self, checkpoint: &StoredCheckpoint) -> Result<bool, Error>;

    /// Goes on with a part of the log of another store, whose head is given, as it is. False, and nothing is written, if
    /// this log has entries of its own, or does not end where the part begins.
    async fn carry(&self, head: &LogHead, part: &LogPage) -> Result<bool, Error>;
}

/// Takes in all that an earlier version wrote. A failure keeps no store closed: it is tried again later.
pub(super) async fn take_in_all(log: &impl DecisionLog) {
    let mut taken = 0;
    loop {
        match log.take_in().await {
            Ok(0) if taken > 0 => tracing::info!("numbered {taken} audit entries of an earlier version"),
            Ok(0) => {}
            Ok(more) => {
                taken += more;
                continue;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "could not number the audit entries of an earlier version");
            }
        }
        return;
    }
}

/// The hash of a leaf (RFC 6962, 2.1).
pub fn leaf_hash(text: &str) -> Hash {
    Sha256::new().chain_update([0]).chain_update(text).finalize().into()
}

/// The columns of an entry of which its text is made.
pub(super) struct Canonical<'e> {
    pub(super) at_ms: i64,
    pub(super) action: &'e str,
    pub(super) outcome: &'e str,
    pub(super) granted: &'e str,
    pub(super) reason: &'e str,
    pub(super) cause: &'e str,
    pub(super) pass_id: &'e str,
}

impl<'e> Canonical<'e> {
    pub(super) fn of(stored: &'e StoredAudit) -> Self {
        let StoredAudit { seq: _, at_ms, action, outcome, granted, reason, cause, pass_id } = stored;
        Self { at_ms: *at_ms, action, outcome, granted, reason, cause, pass_id }
    }

    /// What stands before and behind the number: JSON without blanks, keys in order, as RFC 8785 has it.
    pub(super) fn halves(&self) -> (String, String) {
        let Self { at_ms, action, outcome, granted, reason, cause, pass_id } = self;
        let at = from_ms(*at_ms).to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut grant = String::new();
        // As listings show it: what is no JSON is the text that it is.
        let granted = serde_json::from_str(granted).unwrap_or_else(|_| Value::from(*granted));
        write_sorted(&granted, &mut grant);
        let reason = to_json(&*plain(reason));
        let [action, outcome, cause, pass_id] = [action, outcome, cause, pass_id].map(to_json);
        (
            format!(r#"{{"action":{action},"at":"{at}","grant":{grant},"number":"#),
            format!(r#","outcome":{outcome},"pass_id":{pass_id},"reason":{reason},"trigger":{cause}}}"#),
        )
    }

    pub(super) fn text(&self, number: i64) -> String {
        let (before, behind) = self.halves();
        format!("{before}{number}{behind}")
    }
}

/// Writes JSON with the keys of every object in order.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            text.push('{');
            for (place, key) in keys.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&to_json(key));
                text.push(':');
                write_sorted(&fields[key], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write_sorted(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

pub(super) const LOG_HEAD: &str = "SELECT store_id, size, pruned_ms,
       (SELECT coalesce(max(number) + 1, 0) FROM decision_leaves) AS leaves,
       (SELECT count(*) FROM audit WHERE number IS NULL) AS waiting
     FROM decision_log";

pub(super) const PRUNED: &str = "SELECT pruned_ms FROM decision_log";

/// The entries without a number, at most `$1`.
pub(super) const UNNUMBERED: &str =
    "SELECT seq, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit
     WHERE number IS NULL ORDER BY seq LIMIT $1";

pub(super) const SET_SIZE: &str = "UPDATE decision_log SET size = $1";

/// The leaves from `$1` on, at most `$2`.
pub(super) const LEAVES: &str =
    "SELECT number, hash, at_ms FROM decision_leaves WHERE number >= $1 ORDER BY number LIMIT $2";

/// The entries from `$1` on that were made at `$2` or later, at most `$3`.
pub(super) const LOG_ENTRIES: &str =
    "SELECT number, canonical, seq, at_ms, action, outcome, granted, reason, cause, pass_id FROM audit
     WHERE number >= $1 AND at_ms >= $2 ORDER BY number LIMIT $3";

/// Numbers begin at 0, so that what has a lower one is in no tree, whatever leaves there are.
pub(super) const STRAY_ENTRY: &str = "SELECT min(number) FROM audit
     WHERE number < 0 OR NOT EXISTS (SELECT 1 FROM decision_leaves AS leaf WHERE leaf.number = audit.number)";

pub(super) const NEWEST_CHECKPOINT: &str =
    "SELECT size, at_ms, note, edge FROM decision_checkpoints ORDER BY size DESC LIMIT 1";

pub(super) const ADD_CHECKPOINT: &str = "INSERT INTO decision_checkpoints (size, at_ms, note, edge) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

pub(super) const INSERT_LEAF: &str = "INSERT INTO decision_leaves (number, hash, at_ms) VALUES ($1, $2, $3)";

/// Takes over the identity of another log, and how much of it is there by now.
pub(super) const CARRY_HEAD: &str = "UPDATE decision_log SET store_id = $1, pruned_ms = $2, size = $3";

pub(super) const CARRY_ENTRY: &str =
    "INSERT INTO audit (number, canonical, at_ms, action, outcome, granted, reason, cause, pass_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Says, before entries made before `$1` are removed, that they may be missing.
pub(super) const MARK_PRUNED: &str = "UPDATE decision_log SET pruned_ms = $1 WHERE pruned_ms < $1";

/// Removes entries made before `$1`. Those without a number are taken in before.
pub(super) const PRUNE_AUDIT: &str = "
    DELETE FROM audit WHERE seq IN (
      SELECT seq FROM audit WHERE at_ms < $1 AND number IS NOT NULL ORDER BY at_ms LIMIT 500)";

/// Removes checkpoints made before `$1`, but not the newest one.
pub(super) const PRUNE_CHECKPOINTS: &str = "
    DELETE FROM decision_checkpoints WHERE at_ms < $1 AND size < (SELECT max(size) FROM decision_checkpoints)";

row! {
    /// A head as it is read.
    pub(super) struct HeadRow {
        store_id: String,
        size: i64,
        pruned_ms: i64,
        leaves: i64,
        waiting: i64,
    }
}

impl From<HeadRow> for LogHead {
    fn from(HeadRow { store_id, size, pruned_ms, leaves, waiting }: HeadRow) -> Self {
        Self { store_id, size, pruned: from_ms(pruned_ms), leaves, waiting }
    }
}

row! {
    /// A leaf as it is stored.
    pub(super) struct LeafRow {
        number: i64,
        hash: Vec<u8>,
        at_ms: i64,
    }
}

impl From<LeafRow> for Leaf {
    fn from(LeafRow { number, hash, at_ms }: LeafRow) -> Self {
        // What is no hash leads to no checkpoint, and is found there.
        Self { number, hash: hash.try_into().unwrap_or_default(), at: from_ms(at_ms) }
    }
}

row! {
    /// An entry as it is stored.
    pub(super) struct EntryRow {
        number: i64,
        canonical: Option<String>,
        seq: i64,
        at_ms: i64,
        action: String,
        outcome: String,
        granted: String,
        reason: String,
        cause: String,
        pass_id: String,
    }
}

impl From<EntryRow> for LogEntry {
    fn from(row: EntryRow) -> Self {
        let EntryRow { number, canonical, seq, at_ms, action, outcome, granted, reason, cause, pass_id } =
            row;
        let stored = StoredAudit { seq, at_ms, action, outcome, granted, reason, cause, pass_id };
        Self { number, text: canonical.unwrap_or_default(), stored }
    }
}

impl LogEntry {
    pub(super) fn stored(&self) -> &StoredAudit {
        &self.stored
    }
}

row! {
    /// A checkpoint as it is stored.
    pub(super) struct CheckpointRow {
        size: i64,
        at_ms: i64,
        note: String,
        edge: Vec<u8>,
    }
}

impl From<CheckpointRow> for StoredCheckpoint {
    fn from(CheckpointRow { size, at_ms, note, edge }: CheckpointRow) -> Self {
        Self { size, at: from_ms(at_ms), note, edge }
    }
}

/// How a checkpoint is told to others.
pub(super) fn told(checkpoint: &StoredCheckpoint) -> NewNotice {
    let StoredCheckpoint { size, at, note, edge: _ } = checkpoint;
    NewNotice {
        kind: NoticeKind::Checkpoint,
        at: *at,
        data: json!({"size": size, "checkpoint": note}),
        text: format!(
            "The audit of access has {size} entries. To prove later what they were, keep this:\n```\n{note}```"
        ),
    }
}

/// A page from what was read of it.
pub(super) fn page(leaves: Vec<Leaf>, mut entries: Vec<LogEntry>, pruned_ms: i64) -> LogPage {
    let end = leaves.last().map_or(0, |leaf| leaf.number + 1);
    entries.retain(|entry| entry.number < end);
    LogPage { leaves, entries, pruned: from_ms(pruned_ms) }
}

/// Whether a log that has come so far can go on with this part of the log of `from`.
pub(super) fn can_carry(own: &LogHead, from: &LogHead, part: &LogPage) -> bool {
    let begins = part.leaves.first().map_or(own.size, |leaf| leaf.number);
    let is_same = own.store_id == from.store_id || own.size == 0 && own.waiting == 0;
    is_same && begins == own.size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_keys_in_order_and_no_blanks() {
        let columns = Canonical {
            at_ms: 1_800_000_000_042,
            action: "create",
            outcome: "done",
            granted: r#"{"id": "ag-1", "email": "a@b.example", "rules": ["r \" ü", "\n"], "b": {"y": 1, "x": null}}"#,
            reason: "because",
            cause: "manual",
            pass_id: "p",
        };
        assert_eq!(
            columns.text(7),
            r#"{"action":"create","at":"2027-01-15T08:00:00.042Z","grant":{"b":{"x":null,"y":1},"email":"a@b.example","id":"ag-1","rules":["r \" ü","\n"]},"number":7,"outcome":"done","pass_id":"p","reason":"because","trigger":"manual"}"#
        );
        let broken = Canonical { granted: "no JSON", ..columns };
        assert!(broken.text(0).contains(r#""grant":"no JSON","number":0"#));
    }
}
