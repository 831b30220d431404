//! The ledger in PostgreSQL.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

use super::{Postgres, decision_log, is_held, within};
use crate::{
    model::{Cause, Grant, GrantId, LedgerRow, NewGrant, Terms},
    store::{
        AuditEntry, Error, GrantCursor, GrantPage, GrantQuery, Lease, Ledger, OpenRows,
        column::{plain, to_json, write_groups},
        knowledge::FORGET_FOREIGN,
        ledger::{
            COPY_LIVE, GRANTS, IS_OURS, MAKE_LIVE, OPEN_GRANTS, OPEN_ROWS, REOPEN, SETTLE_ENDED, SETTLE_LOST,
            SETTLE_REFUSED, SETTLE_TERMS, read_grants, read_open,
        },
    },
};

#[async_trait]
impl Ledger for Postgres {
    async fn open_rows(&self, now: DateTime<Utc>) -> Result<OpenRows, Error> {
        within(read_open(sqlx::query(OPEN_ROWS).bind(now.timestamp()).fetch(&self.pool))).await
    }

    /// None: one row that each write changes would make the writes of all replicas wait for each other.
    async fn ledger_version(&self) -> Result<Option<i64>, Error> {
        Ok(None)
    }

    async fn grant_page(
        &self,
        now: DateTime<Utc>,
        which: &GrantQuery,
        limit: u32,
        after: Option<GrantCursor>,
    ) -> Result<GrantPage, Error> {
        let (start, row) = GrantCursor::place(after);
        within(async {
            let rows = if which.wants_past() {
                sqlx::query(GRANTS)
            } else {
                sqlx::query(OPEN_GRANTS).bind(now.timestamp()).bind(which.active)
            };
            let rows = rows
                .bind(which.email.as_ref().map(|email| plain(&email.to_lowercase()).into_owned()))
                .bind(which.resource.as_deref().map(plain))
                .bind(start)
                .bind(row)
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.pool)
                .await?;
            Ok(GrantPage::of(&rows, limit))
        })
        .await
    }

    async fn is_ours(&self, id: &GrantId) -> Result<bool, Error> {
        within(async {
            let row = sqlx::query(IS_OURS).bind(id.as_str()).fetch_optional(&self.pool).await?;
            Ok(row.is_some())
        })
        .await
    }

    async fn ours_among(&self, ids: &[&GrantId]) -> Result<BTreeSet<GrantId>, Error> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        within(async {
            let among = "SELECT grant_id FROM grants WHERE grant_id = ANY($1)";
            let ours: Vec<String> = sqlx::query_scalar(among).bind(ids).fetch_all(&self.pool).await?;
            Ok(ours.into_iter().map(GrantId::from).collect())
        })
        .await
    }

    async fn open_among(
        &self,
        rows: &BTreeSet<LedgerRow>,
        now: DateTime<Utc>,
    ) -> Result<BTreeSet<LedgerRow>, Error> {
        let rows: Vec<i64> = rows.iter().map(|row| row.number()).collect();
        within(async {
            let among = "SELECT seq FROM grants WHERE state <> 'ended' AND end_at > $1 AND seq = ANY($2)";
            let open = sqlx::query_scalar(among).bind(now.timestamp()).bind(rows);
            Ok(open.fetch_all(&self.pool).await?.into_iter().map(|row: i64| row.into()).collect())
        })
        .await
    }

    async fn intend_create(
        &self,
        lease: &Lease,
        new: &NewGrant,
        now: DateTime<Utc>,
    ) -> Result<Option<LedgerRow>, Error> {
        let Grant {
            id: _,
            email,
            name: _,
            account_id,
            resource,
            resource_id,
            window,
            kubernetes_groups,
            rules: _,
        } = &new.grant;
        within(async {
            let row = sqlx::query(
                "WITH held AS (
                   SELECT 1 FROM leases
                   WHERE name = $10 AND token = $11 AND until > clock_timestamp() FOR SHARE
                 )
                 INSERT INTO grants
                   (state, account_id, email, resource_id, resource, start_at, end_at, kubernetes_groups, causes,
                    intended_ms)
                 SELECT 'creating', $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM held RETURNING seq",
            )
            .bind(account_id.as_str())
            .bind(email.as_str())
            .bind(resource_id.as_str())
            .bind(plain(resource))
            .bind(window.start().timestamp())
            .bind(window.end().timestamp())
            .bind(write_groups(kubernetes_groups))
            .bind(to_json(&new.causes))
            .bind(now.timestamp_millis())
            .bind(lease.duty.as_str())
            .bind(lease.token)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| Ok(row.try_get::<i64, _>("seq")?.into())).transpose()
        })
        .await
    }

    async fn intend_revoke(&self, lease: &Lease, row: LedgerRow) -> Result<bool, Error> {
        within(async {
            let update = sqlx::query(
                "WITH held AS (
                   SELECT 1 FROM leases
                   WHERE name = $2 AND token = $3 AND until > clock_timestamp() FOR SHARE
                 )
                 UPDATE grants SET state = 'revoking' FROM held WHERE seq = $1 AND state = 'live'",
            );
            let update = update.bind(row.number()).bind(lease.duty.as_str()).bind(lease.token);
            Ok(update.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn settle_created(
        &self,
        row: LedgerRow,
        id: &GrantId,
        terms: &Terms,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            // Whoever settles the same row waits here, and then sees what was settled.
            sqlx::query("SELECT 1 FROM grants WHERE seq = $1 FOR UPDATE")
                .bind(row.number())
                .execute(&mut *transaction)
                .await?;
            let known = sqlx::query(IS_OURS).bind(id.as_str()).fetch_optional(&mut *transaction).await?;
            if known.is_some() {
                return Ok(false);
            }
            become_ours(&mut transaction, row, id, terms).await?;
            decision_log::append(&mut transaction, audit).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn settle_terms(
        &self,
        lease: &Lease,
        row: LedgerRow,
        known: &Terms,
        found: &Terms,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            if !is_held(&mut transaction, lease).await? {
                return Ok(false);
            }
            let update = sqlx::query(SETTLE_TERMS)
                .bind(row.number())
                .bind(known.window.start().timestamp())
                .bind(known.window.end().timestamp())
                .bind(write_groups(&known.groups))
                .bind(found.window.start().timestamp())
                .bind(found.window.end().timestamp())
                .bind(write_groups(&found.groups));
            if update.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
            decision_log::append(&mut transaction, audit).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn settle_refused(&self, row: LedgerRow, audit: Option<&AuditEntry>) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query(SETTLE_REFUSED).bind(row.number()).execute(&mut *transaction).await?;
            if let Some(audit) = audit {
                decision_log::append(&mut transaction, audit).await?;
            }
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn settle_lost(&self, row: LedgerRow) -> Result<(), Error> {
        within(async {
            sqlx::query(SETTLE_LOST).bind(row.number()).execute(&self.pool).await?;
            Ok(())
        })
        .await
    }

    async fn settle_kept(&self, lease: &Lease, row: LedgerRow) -> Result<(), Error> {
        within(async {
            let update = sqlx::query(
                "WITH held AS (
                   SELECT 1 FROM leases
                   WHERE name = $2 AND token = $3 AND until > clock_timestamp() FOR SHARE
                 )
                 UPDATE grants SET state = 'live' FROM held WHERE seq = $1 AND state = 'revoking'",
            );
            update.bind(row.number()).bind(lease.duty.as_str()).bind(lease.token).execute(&self.pool).await?;
            Ok(())
        })
        .await
    }

    async fn settle_ended(
        &self,
        row: LedgerRow,
        at: DateTime<Utc>,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            let update = sqlx::query(SETTLE_ENDED).bind(row.number()).bind(at.timestamp());
            if update.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
            decision_log::append(&mut transaction, audit).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn reopen(&self, id: &GrantId, before: DateTime<Utc>) -> Result<Option<Grant>, Error> {
        within(async {
            let row = sqlx::query(REOPEN)
                .bind(id.as_str())
                .bind(before.timestamp())
                .fetch_optional(&self.pool)
                .await?;
            Ok(read_grants(row.as_slice()).pop())
        })
        .await
    }

    async fn relabel(&self, relabelled: &[(LedgerRow, Vec<Cause>)]) -> Result<(), Error> {
        if relabelled.is_empty() {
            return Ok(());
        }
        let (rows, causes): (Vec<i64>, Vec<String>) =
            relabelled.iter().map(|(row, causes)| (row.number(), to_json(causes))).unzip();
        within(async {
            sqlx::query(
                "UPDATE grants SET causes = new.causes
                 FROM unnest($1::bigint[], $2::text[]) AS new (seq, causes) WHERE grants.seq = new.seq",
            )
            .bind(&rows)
            .bind(&causes)
            .execute(&self.pool)
            .await?;
            Ok(())
        })
        .await
    }
}

/// Gives the row this grant. If the row was given another one meanwhile, a copy of it gets this one.
async fn become_ours(
    connection: &mut PgConnection,
    row: LedgerRow,
    id: &GrantId,
    Terms { window, groups }: &Terms,
) -> Result<(), Error> {
    for statement in [MAKE_LIVE, COPY_LIVE] {
        let update = sqlx::query(statement)
            .bind(row.number())
            .bind(id.as_str())
            .bind(window.start().timestamp())
            .bind(window.end().timestamp())
            .bind(write_groups(groups));
        if update.execute(&mut *connection).await?.rows_affected() > 0 {
            break;
        }
    }
    sqlx::query(FORGET_FOREIGN).bind(id.as_str()).execute(&mut *connection).await?;
    Ok(())
}
