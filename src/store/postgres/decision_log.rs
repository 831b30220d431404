//! The decision log in PostgreSQL. Replicas number their entries one after the other: whoever does so locks the one row of
//! `decision_log` until the commit, as the last thing in a transaction, so that nobody waits there for long.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Postgres, notices, within};
use crate::store::{
    AuditEntry, DecisionLog, Error, Leaf, LogEntry, LogHead, LogPage, StoredCheckpoint,
    column::{from_ms, plain, to_json},
    decision_log::{
        ADD_CHECKPOINT, CARRY_ENTRY, CARRY_HEAD, Canonical, CheckpointRow, EntryRow, HeadRow, LEAVES,
        LOG_ENTRIES, LOG_HEAD, LeafRow, NEWEST_CHECKPOINT, PAGE, PRUNED, SET_SIZE, STRAY_ENTRY, UNNUMBERED,
        can_carry, leaf_hash, page, told,
    },
    journal::StoredAudit,
};

/// Numbers, writes and hashes an entry, whose text stands before and behind the number in `$8` and `$9`, in one statement:
/// each answer that is waited for keeps others from numbering theirs.
const APPEND: &str = r"
    WITH log AS (UPDATE decision_log SET size = size + 1 RETURNING size - 1 AS number),
    entry AS (
      INSERT INTO audit (at_ms, action, outcome, granted, reason, cause, pass_id, number, canonical)
      SELECT $1, $2, $3, $4, $5, $6, $7, number, $8::text || number || $9::text FROM log
      RETURNING number, canonical, at_ms)
    INSERT INTO decision_leaves (number, hash, at_ms)
    SELECT number, sha256('\x00'::bytea || convert_to(canonical, 'UTF8')), at_ms FROM entry";

/// Writes an entry with the next number, and its hash.
pub(super) async fn append(connection: &mut PgConnection, entry: &AuditEntry) -> Result<(), Error> {
    let AuditEntry { at, action, outcome, grant, reason, trigger, pass_id } = entry;
    let (at_ms, granted, reason) = (at.timestamp_millis(), to_json(grant), plain(reason));
    let (action, outcome) = (action.as_str(), outcome.as_str());
    let columns =
        Canonical { at_ms, action, outcome, granted: &granted, reason: &reason, cause: trigger, pass_id };
    let (before, behind) = columns.halves();
    let append = sqlx::query(APPEND)
        .bind(at_ms)
        .bind(action)
        .bind(outcome)
        .bind(&granted)
        .bind(&*reason)
        .bind(trigger)
        .bind(pass_id)
        .bind(before)
        .bind(behind);
    if append.execute(connection).await?.rows_affected() == 0 {
        return Err(Error::corrupt("decision log", "its one row is missing"));
    }
    Ok(())
}

async fn insert_leaves(connection: &mut PgConnection, leaves: &[Leaf]) -> Result<(), Error> {
    let (numbers, hashes): (Vec<i64>, Vec<&[u8]>) =
        leaves.iter().map(|leaf| (leaf.number, leaf.hash.as_slice())).unzip();
    let times: Vec<i64> = leaves.iter().map(|leaf| leaf.at.timestamp_millis()).collect();
    let insert = "INSERT INTO decision_leaves (number, hash, at_ms)
                  SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[])";
    sqlx::query(insert).bind(numbers).bind(hashes).bind(times).execute(connection).await?;
    Ok(())
}

/// How far the log has come; nobody numbers an entry before the transaction ends.
async fn locked_head(connection: &mut PgConnection) -> Result<LogHead, Error> {
    sqlx::query("SELECT 1 FROM decision_log FOR UPDATE").execute(&mut *connection).await?;
    let row: HeadRow = sqlx::query_as(LOG_HEAD).fetch_one(connection).await?;
    Ok(row.into())
}

#[async_trait]
impl DecisionLog for Postgres {
    async fn log_head(&self) -> Result<LogHead, Error> {
        within(async {
            let row: HeadRow = sqlx::query_as(LOG_HEAD).fetch_one(&self.pool).await?;
            Ok(row.into())
        })
        .await
    }

    async fn take_in(&self) -> Result<u64, Error> {
        within(async {
            let waiting = "SELECT EXISTS (SELECT 1 FROM audit WHERE number IS NULL)";
            if !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&self.pool).await? {
                return Ok(0);
            }
            let mut transaction = self.pool.begin().await?;
            let size = locked_head(&mut transaction).await?.size;
            let rows: Vec<StoredAudit> =
                sqlx::query_as(UNNUMBERED).bind(i64::from(PAGE)).fetch_all(&mut *transaction).await?;
            let texts: Vec<String> =
                (size..).zip(&rows).map(|(number, row)| Canonical::of(row).text(number)).collect();
            let numbers: Vec<i64> = (size..).take(rows.len()).collect();
            let leaf = |(number, (text, row)): (i64, (&String, &StoredAudit))| Leaf {
                number,
                hash: leaf_hash(text),
                at: from_ms(row.at_ms),
            };
            let leaves: Vec<Leaf> = (size..).zip(texts.iter().zip(&rows)).map(leaf).collect();
            insert_leaves(&mut transaction, &leaves).await?;
            sqlx::query(
                "UPDATE audit SET number = new.number, canonical = new.canonical
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS new (seq, number, canonical)
                 WHERE audit.seq = new.seq",
            )
            .bind(rows.iter().map(|row| row.seq).collect::<Vec<_>>())
            .bind(&numbers)
            .bind(&texts)
            .execute(&mut *transaction)
            .await?;
            let size = numbers.last().map_or(size, |last| last + 1);
            sqlx::query(SET_SIZE).bind(size).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows.len() as u64)
        })
        .await
    }

    async fn log_page(&self, from: i64, limit: u32) -> Result<LogPage, Error> {
        let leaves = self.leaves(from, limit).await?;
        let entries = self.log_entries(limit, from, DateTime::<Utc>::MIN_UTC).await?;
        // Last: whoever removes an entry has said so before.
        let pruned = within(async { Ok(sqlx::query_scalar(PRUNED).fetch_one(&self.pool).await?) }).await?;
        Ok(page(leaves, entries, pruned))
    }

    async fn leaves(&self, from: i64, limit: u32) -> Result<Vec<Leaf>, Error> {
        within(async {
            let rows: Vec<LeafRow> =
                sqlx::query_as(LEAVES).bind(from).bind(i64::from(limit)).fetch_all(&self.pool).await?;
            Ok(rows.into_iter().map(Leaf::from).collect())
        })
        .await
    }

    async fn log_entries(&self, limit: u32, from: i64, since: DateTime<Utc>) -> Result<Vec<LogEntry>, Error> {
        within(async {
            let rows: Vec<EntryRow> = sqlx::query_as(LOG_ENTRIES)
                .bind(from)
                .bind(since.timestamp_millis())
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
            Ok(rows.into_iter().map(LogEntry::from).collect())
        })
        .await
    }

    async fn stray_entry(&self) -> Result<Option<i64>, Error> {
        within(async { Ok(sqlx::query_scalar(STRAY_ENTRY).fetch_one(&self.pool).await?) }).await
    }

    async fn newest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, Error> {
        within(async {
            let row: Option<CheckpointRow> =
                sqlx::query_as(NEWEST_CHECKPOINT).fetch_optional(&self.pool).await?;
            Ok(row.map(StoredCheckpoint::from))
        })
        .await
    }

    async fn add_checkpoint(&self, checkpoint: &StoredCheckpoint) -> Result<bool, Error> {
        within(async {
            let StoredCheckpoint { size, at, note, edge } = checkpoint;
            let insert =
                sqlx::query(ADD_CHECKPOINT).bind(size).bind(at.timestamp_millis()).bind(note).bind(edge);
            let mut transaction = self.pool.begin().await?;
            let is_new = insert.execute(&mut *transaction).await?.rows_affected() > 0;
            if is_new {
                notices::add(&mut transaction, &told(checkpoint)).await?;
            }
            transaction.commit().await?;
            Ok(is_new)
        })
        .await
    }

    async fn carry(&self, from: &LogHead, part: &LogPage) -> Result<bool, Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            let own = locked_head(&mut transaction).await?;
            if !can_carry(&own, from, part) {
                return Ok(false);
            }
            insert_leaves(&mut transaction, &part.leaves).await?;
            for entry in &part.entries {
                let Canonical { at_ms, action, outcome, granted, reason, cause, pass_id } =
                    Canonical::of(entry.stored());
                sqlx::query(CARRY_ENTRY)
                    .bind(entry.number)
                    .bind(&entry.text)
                    .bind(at_ms)
                    .bind(action)
                    .bind(outcome)
                    .bind(granted)
                    .bind(plain(reason))
                    .bind(cause)
                    .bind(pass_id)
                    .execute(&mut *transaction)
                    .await?;
            }
            let size = part.leaves.last().map_or(own.size, |leaf| leaf.number + 1);
            let update =
                sqlx::query(CARRY_HEAD).bind(&from.store_id).bind(part.pruned.timestamp_millis()).bind(size);
            update.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }
}
