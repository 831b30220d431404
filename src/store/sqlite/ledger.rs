//! The ledger in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Row, SqliteConnection};

use super::{Sqlite, decision_log};
use crate::{
    model::{Cause, Grant, GrantId, LedgerRow, NewGrant, Terms},
    store::{
        AuditEntry, Error, GrantCursor, GrantPage, GrantQuery, Lease, Ledger, OpenRows,
        column::{to_json, write_groups},
        knowledge::FORGET_FOREIGN,
        ledger::{
            COPY_LIVE, GRANTS, IS_OURS, MAKE_LIVE, OPEN_GRANTS, OPEN_ROWS, REOPEN, SETTLE_ENDED, SETTLE_LOST,
            SETTLE_REFUSED, SETTLE_TERMS, read_grants, read_open,
        },
    },
};

#[async_trait]
impl Ledger for Sqlite {
    async fn open_rows(&self, now: DateTime<Utc>) -> Result<OpenRows, Error> {
        read_open(sqlx::query(OPEN_ROWS).bind(now.timestamp()).fetch(&self.reader)).await
    }

    async fn ledger_version(&self) -> Result<Option<i64>, Error> {
        let version = sqlx::query_scalar("SELECT version FROM ledger_version");
        Ok(Some(version.fetch_one(&self.reader).await?))
    }

    async fn grant_page(
        &self,
        now: DateTime<Utc>,
        which: &GrantQuery,
        limit: u32,
        after: Option<GrantCursor>,
    ) -> Result<GrantPage, Error> {
        let (start, row) = GrantCursor::place(after);
        let rows = if which.wants_past() {
            sqlx::query(GRANTS)
        } else {
            sqlx::query(OPEN_GRANTS).bind(now.timestamp()).bind(which.active)
        };
        let rows = rows
            .bind(which.email.as_ref().map(|email| email.to_lowercase()))
            .bind(&which.resource)
            .bind(start)
            .bind(row)
            .bind(i64::from(limit) + 1)
            .fetch_all(&self.reader)
            .await?;
        Ok(GrantPage::of(&rows, limit))
    }

    async fn is_ours(&self, id: &GrantId) -> Result<bool, Error> {
        let row = sqlx::query(IS_OURS).bind(id.as_str()).fetch_optional(&self.reader).await?;
        Ok(row.is_some())
    }

    async fn ours_among(&self, ids: &[&GrantId]) -> Result<BTreeSet<GrantId>, Error> {
        let among = "SELECT grant_id FROM grants WHERE grant_id IN (SELECT value FROM json_each($1))";
        let ids = to_json(&ids.iter().map(|id| id.as_str()).collect::<Vec<_>>());
        let ours: Vec<String> = sqlx::query_scalar(among).bind(ids).fetch_all(&self.reader).await?;
        Ok(ours.into_iter().map(GrantId::from).collect())
    }

    async fn open_among(
        &self,
        rows: &BTreeSet<LedgerRow>,
        now: DateTime<Utc>,
    ) -> Result<BTreeSet<LedgerRow>, Error> {
        let among = "SELECT seq FROM grants WHERE state <> 'ended' AND end_at > $1
             AND seq IN (SELECT value FROM json_each($2))";
        let rows = to_json(&rows.iter().map(|row| row.number()).collect::<Vec<_>>());
        let open = sqlx::query_scalar(among).bind(now.timestamp()).bind(rows);
        Ok(open.fetch_all(&self.reader).await?.into_iter().map(|row: i64| row.into()).collect())
    }

    async fn intend_create(
        &self,
        _: &Lease,
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
        let row = sqlx::query(
            "INSERT INTO grants
               (state, account_id, email, resource_id, resource, start_at, end_at, kubernetes_groups, causes,
                intended_ms)
             VALUES ('creating', $1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING seq",
        )
        .bind(account_id.as_str())
        .bind(email.as_str())
        .bind(resource_id.as_str())
        .bind(resource)
        .bind(window.start().timestamp())
        .bind(window.end().timestamp())
        .bind(write_groups(kubernetes_groups))
        .bind(to_json(&new.causes))
        .bind(now.timestamp_millis())
        .fetch_one(&self.writer)
        .await?;
        Ok(Some(row.try_get::<i64, _>("seq")?.into()))
    }

    async fn intend_revoke(&self, _: &Lease, row: LedgerRow) -> Result<bool, Error> {
        let update = sqlx::query("UPDATE grants SET state = 'revoking' WHERE seq = $1 AND state = 'live'");
        Ok(update.bind(row.number()).execute(&self.writer).await?.rows_affected() > 0)
    }

    async fn settle_created(
        &self,
        row: LedgerRow,
        id: &GrantId,
        terms: &Terms,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let known = sqlx::query(IS_OURS).bind(id.as_str()).fetch_optional(&mut *transaction).await?;
        if known.is_some() {
            return Ok(false);
        }
        become_ours(&mut transaction, row, id, terms).await?;
        decision_log::append(&mut transaction, audit).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn settle_terms(
        &self,
        _: &Lease,
        row: LedgerRow,
        known: &Terms,
        found: &Terms,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
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
    }

    async fn settle_refused(&self, row: LedgerRow, audit: Option<&AuditEntry>) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(SETTLE_REFUSED).bind(row.number()).execute(&mut *transaction).await?;
        if let Some(audit) = audit {
            decision_log::append(&mut transaction, audit).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn settle_lost(&self, row: LedgerRow) -> Result<(), Error> {
        sqlx::query(SETTLE_LOST).bind(row.number()).execute(&self.writer).await?;
        Ok(())
    }

    async fn settle_kept(&self, _: &Lease, row: LedgerRow) -> Result<(), Error> {
        let update = sqlx::query("UPDATE grants SET state = 'live' WHERE seq = $1 AND state = 'revoking'");
        update.bind(row.number()).execute(&self.writer).await?;
        Ok(())
    }

    async fn settle_ended(
        &self,
        row: LedgerRow,
        at: DateTime<Utc>,
        audit: &AuditEntry,
    ) -> Result<bool, Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let update = sqlx::query(SETTLE_ENDED).bind(row.number()).bind(at.timestamp());
        if update.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(false);
        }
        decision_log::append(&mut transaction, audit).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn reopen(&self, id: &GrantId, before: DateTime<Utc>) -> Result<Option<Grant>, Error> {
        let row = sqlx::query(REOPEN)
            .bind(id.as_str())
            .bind(before.timestamp())
            .fetch_optional(&self.writer)
            .await?;
        Ok(read_grants(row.as_slice()).pop())
    }

    async fn relabel(&self, relabelled: &[(LedgerRow, Vec<Cause>)]) -> Result<(), Error> {
        if relabelled.is_empty() {
            return Ok(());
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for (row, causes) in relabelled {
            let update = sqlx::query("UPDATE grants SET causes = $2 WHERE seq = $1");
            update.bind(row.number()).bind(to_json(causes)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Gives the row this grant. If the row was given another one meanwhile, a copy of it gets this one.
async fn become_ours(
    connection: &mut SqliteConnection,
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
