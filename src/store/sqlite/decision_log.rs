//! The decision log in SQLite, where one connection writes: whoever writes an entry is alone.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{Sqlite, notices};
use crate::store::{
    AuditEntry, DecisionLog, Error, Leaf, LogEntry, LogHead, LogPage, StoredCheckpoint,
    column::to_json,
    decision_log::{
        ADD_CHECKPOINT, CARRY_ENTRY, CARRY_HEAD, Canonical, CheckpointRow, EntryRow, HeadRow, INSERT_LEAF,
        LEAVES, LOG_ENTRIES, LOG_HEAD, LeafRow, NEWEST_CHECKPOINT, PAGE, PRUNED, SET_SIZE, STRAY_ENTRY,
        UNNUMBERED, can_carry, leaf_hash, page, told,
    },
    journal::StoredAudit,
};

/// Writes an entry with the next number, and its hash.
pub(super) async fn append(connection: &mut SqliteConnection, entry: &AuditEntry) -> Result<(), Error> {
    let AuditEntry { at, action, outcome, grant, reason, trigger, pass_id } = entry;
    let (at_ms, granted) = (at.timestamp_millis(), to_json(grant));
    let (action, outcome) = (action.as_str(), outcome.as_str());
    let columns = Canonical { at_ms, action, outcome, granted: &granted, reason, cause: trigger, pass_id };
    let next = "UPDATE decision_log SET size = size + 1 RETURNING size - 1";
    let number: i64 = sqlx::query_scalar(next).fetch_one(&mut *connection).await?;
    let text = columns.text(number);
    insert_leaf(connection, number, &leaf_hash(&text), at_ms).await?;
    insert_entry(connection, number, &text, &columns).await
}

async fn insert_leaf(
    connection: &mut SqliteConnection,
    number: i64,
    hash: &[u8],
    at_ms: i64,
) -> Result<(), Error> {
    sqlx::query(INSERT_LEAF).bind(number).bind(hash).bind(at_ms).execute(connection).await?;
    Ok(())
}

async fn insert_entry(
    connection: &mut SqliteConnection,
    number: i64,
    text: &str,
    columns: &Canonical<'_>,
) -> Result<(), Error> {
    let Canonical { at_ms, action, outcome, granted, reason, cause, pass_id } = columns;
    sqlx::query(CARRY_ENTRY)
        .bind(number)
        .bind(text)
        .bind(at_ms)
        .bind(action)
        .bind(outcome)
        .bind(granted)
        .bind(reason)
        .bind(cause)
        .bind(pass_id)
        .execute(connection)
        .await?;
    Ok(())
}

async fn head(connection: &mut SqliteConnection) -> Result<LogHead, Error> {
    let row: HeadRow = sqlx::query_as(LOG_HEAD).fetch_one(connection).await?;
    Ok(row.into())
}

#[async_trait]
impl DecisionLog for Sqlite {
    async fn log_head(&self) -> Result<LogHead, Error> {
        head(&mut *self.reader.acquire().await?).await
    }

    async fn take_in(&self) -> Result<u64, Error> {
        let waiting = "SELECT EXISTS (SELECT 1 FROM audit WHERE number IS NULL)";
        if !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&self.reader).await? {
            return Ok(0);
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let rows: Vec<StoredAudit> =
            sqlx::query_as(UNNUMBERED).bind(i64::from(PAGE)).fetch_all(&mut *transaction).await?;
        let mut number = head(&mut transaction).await?.size;
        for row in &rows {
            let text = Canonical::of(row).text(number);
            insert_leaf(&mut transaction, number, &leaf_hash(&text), row.at_ms).await?;
            sqlx::query("UPDATE audit SET number = $2, canonical = $3 WHERE seq = $1")
                .bind(row.seq)
                .bind(number)
                .bind(text)
                .execute(&mut *transaction)
                .await?;
            number += 1;
        }
        sqlx::query(SET_SIZE).bind(number).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows.len() as u64)
    }

    async fn log_page(&self, from: i64, limit: u32) -> Result<LogPage, Error> {
        let leaves = self.leaves(from, limit).await?;
        let entries = self.log_entries(limit, from, DateTime::<Utc>::MIN_UTC).await?;
        // Last: whoever removes an entry has said so before.
        let pruned = sqlx::query_scalar(PRUNED).fetch_one(&self.reader).await?;
        Ok(page(leaves, entries, pruned))
    }

    async fn leaves(&self, from: i64, limit: u32) -> Result<Vec<Leaf>, Error> {
        let rows: Vec<LeafRow> =
            sqlx::query_as(LEAVES).bind(from).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().map(Leaf::from).collect())
    }

    async fn log_entries(&self, limit: u32, from: i64, since: DateTime<Utc>) -> Result<Vec<LogEntry>, Error> {
        let rows: Vec<EntryRow> = sqlx::query_as(LOG_ENTRIES)
            .bind(from)
            .bind(since.timestamp_millis())
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(LogEntry::from).collect())
    }

    async fn stray_entry(&self) -> Result<Option<i64>, Error> {
        Ok(sqlx::query_scalar(STRAY_ENTRY).fetch_one(&self.reader).await?)
    }

    async fn newest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, Error> {
        let row: Option<CheckpointRow> =
            sqlx::query_as(NEWEST_CHECKPOINT).fetch_optional(&self.reader).await?;
        Ok(row.map(StoredCheckpoint::from))
    }

    async fn add_checkpoint(&self, checkpoint: &StoredCheckpoint) -> Result<bool, Error> {
        let StoredCheckpoint { size, at, note, edge } = checkpoint;
        let insert = sqlx::query(ADD_CHECKPOINT).bind(size).bind(at.timestamp_millis()).bind(note).bind(edge);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let is_new = insert.execute(&mut *transaction).await?.rows_affected() > 0;
        if is_new {
            notices::add(&mut transaction, &told(checkpoint)).await?;
        }
        transaction.commit().await?;
        Ok(is_new)
    }

    async fn carry(&self, from: &LogHead, part: &LogPage) -> Result<bool, Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let own = head(&mut transaction).await?;
        if !can_carry(&own, from, part) {
            return Ok(false);
        }
        for leaf in &part.leaves {
            insert_leaf(&mut transaction, leaf.number, &leaf.hash, leaf.at.timestamp_millis()).await?;
        }
        for entry in &part.entries {
            let columns = Canonical::of(entry.stored());
            insert_entry(&mut transaction, entry.number, &entry.text, &columns).await?;
        }
        let size = part.leaves.last().map_or(own.size, |leaf| leaf.number + 1);
        let update =
            sqlx::query(CARRY_HEAD).bind(&from.store_id).bind(part.pruned.timestamp_millis()).bind(size);
        update.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
