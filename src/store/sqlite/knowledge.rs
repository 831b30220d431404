//! What we learned from answers, in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::Sqlite;
use crate::{
    model::{
        Altered, Fault, ForeignGrant, IncidentId, Links, Pair, Refusal, RememberedPart, SeenName, Window,
    },
    store::{
        AskAgain, Error, Knowledge, Lease, StoredName,
        column::{to_json, write_groups},
        incident_parts::{INCIDENT_PARTS, IncidentPartRow, SET_INCIDENT_PART},
        knowledge::{
            ALTERED, AlteredRow, FACT, FOREIGN_GRANTS, FORGET_ALTERED, FORGET_LINKS, FORGET_REFUSAL,
            ForeignRow, LINKS, REFUSALS, REFUSED_BEFORE, RefusalRow, SET_ALTERED, SET_FACT, SET_REFUSAL,
            attempts_in_a_row, fact_until, pause_after, read_links, refusals_in_a_row,
        },
        names::{NAMES_SINCE, NEXT_CHANGE, NameRow, SET_NAME},
    },
};

#[async_trait]
impl Knowledge for Sqlite {
    async fn foreign_grants(&self) -> Result<Vec<(ForeignGrant, DateTime<Utc>)>, Error> {
        let rows: Vec<ForeignRow> = sqlx::query_as(FOREIGN_GRANTS).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().filter_map(ForeignRow::read).collect())
    }

    async fn set_foreign_grants(
        &self,
        _: &Lease,
        pair: Option<&Pair>,
        grants: &[ForeignGrant],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let keep = to_json(&grants.iter().map(|grant| grant.id.as_str()).collect::<Vec<_>>());
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "DELETE FROM foreign_grants
             WHERE ($2 IS NULL OR (account_id = $2 AND resource_id = $3))
               AND grant_id NOT IN (SELECT value FROM json_each($1))",
        )
        .bind(keep)
        .bind(pair.map(|pair| pair.account.as_str()))
        .bind(pair.map(|pair| pair.resource.as_str()))
        .execute(&mut *transaction)
        .await?;
        for grant in grants {
            insert_foreign(&mut transaction, grant, now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn fact(&self, name: &str, now: DateTime<Utc>) -> Result<Option<String>, Error> {
        let fact = sqlx::query_scalar(FACT).bind(name).bind(now.timestamp());
        Ok(fact.fetch_optional(&self.reader).await?)
    }

    async fn set_fact(&self, name: &str, value: &str, until: Option<DateTime<Utc>>) -> Result<(), Error> {
        let fact = sqlx::query(SET_FACT).bind(name).bind(value).bind(fact_until(until));
        fact.execute(&self.writer).await?;
        Ok(())
    }

    async fn set_fact_holding(&self, _: &Lease, name: &str, value: &str) -> Result<(), Error> {
        self.set_fact(name, value, None).await
    }

    async fn refusals(&self, now: DateTime<Utc>) -> Result<Vec<Refusal>, Error> {
        let rows: Vec<RefusalRow> =
            sqlx::query_as(REFUSALS).bind(now.timestamp()).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().filter_map(|row| row.read(now)).collect())
    }

    async fn remember_refusal(&self, pair: &Pair, now: DateTime<Utc>) -> Result<(), Error> {
        let before: Vec<(i64, i64)> = sqlx::query_as(REFUSED_BEFORE)
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .fetch_all(&self.writer)
            .await?;
        let attempts = refusals_in_a_row(&before, now);
        sqlx::query(SET_REFUSAL)
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .bind((now + pause_after(attempts)).timestamp())
            .bind(attempts + 1)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn forget_refusal(&self, pair: &Pair) -> Result<(), Error> {
        sqlx::query(FORGET_REFUSAL)
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn altered(&self, now: DateTime<Utc>) -> Result<Vec<Altered>, Error> {
        let rows: Vec<AlteredRow> =
            sqlx::query_as(ALTERED).bind(now.timestamp()).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().filter_map(AlteredRow::read).collect())
    }

    async fn remember_altered(
        &self,
        pair: &Pair,
        window: Window,
        again: AskAgain,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let attempts = forget_altered(&mut transaction, pair, window, now).await?;
        sqlx::query(SET_ALTERED)
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .bind(window.start().timestamp())
            .bind(window.end().timestamp())
            .bind(again.at(attempts, window, now).timestamp())
            .bind(attempts + 1)
            .bind(fault.map_or("", |fault| &fault.error))
            .bind(fault.map_or("", |fault| &fault.remedy))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn incident_parts(
        &self,
        now: DateTime<Utc>,
        incidents: &BTreeSet<IncidentId>,
    ) -> Result<Vec<RememberedPart>, Error> {
        let sql = format!("{INCIDENT_PARTS} IN (SELECT value FROM json_each($2))");
        let rows = sqlx::query_as(AssertSqlSafe(sql)).bind(now.timestamp_millis()).bind(to_json(incidents));
        let rows: Vec<IncidentPartRow> = rows.fetch_all(&self.reader).await?;
        Ok(rows.into_iter().filter_map(IncidentPartRow::read).collect())
    }

    async fn remember_parts(
        &self,
        _: &Lease,
        parts: &[(RememberedPart, DateTime<Utc>)],
    ) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for (part, over) in parts {
            let (rule, incident, user) = part.key();
            sqlx::query(SET_INCIDENT_PART)
                .bind(rule)
                .bind(incident.as_str())
                .bind(user.as_str())
                .bind(over.timestamp_millis())
                .bind(to_json(part))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn links(&self) -> Result<Links, Error> {
        Ok(read_links(sqlx::query_as(LINKS).fetch_all(&self.reader).await?))
    }

    async fn set_links(&self, links: &Links) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(FORGET_LINKS).execute(&mut *transaction).await?;
        for (schedule, policy) in links.iter() {
            sqlx::query("INSERT INTO links (schedule_id, policy_id) VALUES ($1, $2)")
                .bind(schedule.as_str())
                .bind(policy.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn names_since(&self, change: i64) -> Result<Vec<StoredName>, Error> {
        let rows: Vec<NameRow> = sqlx::query_as(NAMES_SINCE).bind(change).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().filter_map(NameRow::read).collect())
    }

    async fn set_names(&self, names: &[SeenName], now: DateTime<Utc>) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let change: i64 = sqlx::query_scalar(NEXT_CHANGE).fetch_one(&mut *transaction).await?;
        for SeenName { thing, name, address } in names {
            sqlx::query(SET_NAME)
                .bind(thing.kind())
                .bind(thing.id())
                .bind(name.as_str())
                .bind(address.as_deref())
                .bind(now.timestamp_millis())
                .bind(change)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Forgets what is remembered of this time, and returns how often in a row strongDM had altered it.
async fn forget_altered(
    connection: &mut SqliteConnection,
    pair: &Pair,
    window: Window,
    now: DateTime<Utc>,
) -> Result<i64, Error> {
    let forget = sqlx::query_as(FORGET_ALTERED)
        .bind(pair.account.as_str())
        .bind(pair.resource.as_str())
        .bind(window.start().timestamp())
        .bind(window.end().timestamp());
    let forgotten: Vec<(i64, i64)> = forget.fetch_all(connection).await?;
    Ok(attempts_in_a_row(&forgotten, now))
}

async fn insert_foreign(
    connection: &mut SqliteConnection,
    grant: &ForeignGrant,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let ForeignGrant { id, pair, window, groups } = grant;
    sqlx::query(
        "INSERT INTO foreign_grants (grant_id, account_id, resource_id, start_at, end_at, first_seen_ms,
            kubernetes_groups)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (grant_id) DO UPDATE SET
           start_at = excluded.start_at, end_at = excluded.end_at, kubernetes_groups = excluded.kubernetes_groups
         WHERE (foreign_grants.start_at, foreign_grants.end_at, coalesce(foreign_grants.kubernetes_groups, ''))
           <> (excluded.start_at, excluded.end_at, coalesce(excluded.kubernetes_groups, ''))",
    )
    .bind(id.as_str())
    .bind(pair.account.as_str())
    .bind(pair.resource.as_str())
    .bind(window.start().timestamp())
    .bind(window.end().timestamp())
    .bind(now.timestamp_millis())
    .bind(write_groups(groups))
    .execute(connection)
    .await?;
    Ok(())
}
