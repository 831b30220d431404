//! What was learned, in SQLite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Row, SqliteConnection};

use super::Sqlite;
use crate::{
    model::{ForeignGrant, Links, Pair, Refusal, SecondGrant},
    store::{
        Error, Knowledge, Lease,
        column::{from_json, to_json},
        knowledge::{ForeignRow, PICTURE, RefusalRow, SECOND_GRANT, pause_after, read_links},
    },
};

#[async_trait]
impl Knowledge for Sqlite {
    async fn foreign_grants(&self) -> Result<Vec<(ForeignGrant, DateTime<Utc>)>, Error> {
        let rows: Vec<ForeignRow> = sqlx::query_as(
            "SELECT grant_id, account_id, resource_id, start_at, end_at, first_seen_ms FROM foreign_grants",
        )
        .fetch_all(&self.reader)
        .await?;
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
        match pair {
            None => {
                sqlx::query(
                    "DELETE FROM foreign_grants WHERE grant_id NOT IN (SELECT value FROM json_each($1))",
                )
                .bind(&keep)
                .execute(&mut *transaction)
                .await?;
            }
            Some(pair) => {
                sqlx::query(
                    "DELETE FROM foreign_grants WHERE account_id = $2 AND resource_id = $3
                       AND grant_id NOT IN (SELECT value FROM json_each($1))",
                )
                .bind(&keep)
                .bind(pair.account.as_str())
                .bind(pair.resource.as_str())
                .execute(&mut *transaction)
                .await?;
            }
        }
        for grant in grants {
            upsert(&mut transaction, grant, now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn second_grant(&self, now: DateTime<Utc>) -> Result<SecondGrant, Error> {
        let row = sqlx::query("SELECT value FROM facts WHERE name = $1 AND until_at > $2")
            .bind(SECOND_GRANT)
            .bind(now.timestamp())
            .fetch_optional(&self.reader)
            .await?;
        let Some(row) = row else { return Ok(SecondGrant::default()) };
        let value: String = row.try_get("value")?;
        from_json("fact", &value)
    }

    async fn learn_second_grant(&self, learned: SecondGrant, until: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO facts (name, value, until_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, until_at = excluded.until_at",
        )
        .bind(SECOND_GRANT)
        .bind(to_json(&learned))
        .bind(until.timestamp())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn picture(&self) -> Result<Option<String>, Error> {
        let query = sqlx::query_scalar("SELECT value FROM facts WHERE name = $1").bind(PICTURE);
        Ok(query.fetch_optional(&self.reader).await?)
    }

    async fn set_picture(&self, picture: &str) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO facts (name, value, until_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(PICTURE)
        .bind(picture)
        .bind(i64::MAX)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn refusals(&self, now: DateTime<Utc>) -> Result<Vec<Refusal>, Error> {
        let rows: Vec<RefusalRow> =
            sqlx::query_as("SELECT account_id, resource_id, until_at FROM refusals WHERE until_at > $1")
                .bind(now.timestamp())
                .fetch_all(&self.reader)
                .await?;
        Ok(rows.into_iter().map(Refusal::from).collect())
    }

    async fn remember_refusal(&self, pair: &Pair, now: DateTime<Utc>) -> Result<(), Error> {
        let row = sqlx::query("SELECT attempts FROM refusals WHERE account_id = $1 AND resource_id = $2")
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .fetch_optional(&self.writer)
            .await?;
        let attempts: i64 = row.map_or(Ok(0), |row| row.try_get("attempts"))?;
        sqlx::query(
            "INSERT INTO refusals (account_id, resource_id, until_at, attempts) VALUES ($1, $2, $3, $4)
             ON CONFLICT (account_id, resource_id)
             DO UPDATE SET until_at = excluded.until_at, attempts = excluded.attempts",
        )
        .bind(pair.account.as_str())
        .bind(pair.resource.as_str())
        .bind((now + pause_after(attempts)).timestamp())
        .bind(attempts + 1)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn forget_refusal(&self, pair: &Pair) -> Result<(), Error> {
        sqlx::query("DELETE FROM refusals WHERE account_id = $1 AND resource_id = $2")
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn links(&self) -> Result<Links, Error> {
        let rows = sqlx::query_as("SELECT schedule_id, policy_id FROM links").fetch_all(&self.reader).await?;
        Ok(read_links(rows))
    }

    async fn set_links(&self, links: &Links) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM links").execute(&mut *transaction).await?;
        for (schedule, policy) in &links.0 {
            sqlx::query("INSERT INTO links (schedule_id, policy_id) VALUES ($1, $2)")
                .bind(schedule.as_str())
                .bind(policy.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn upsert(
    connection: &mut SqliteConnection,
    grant: &ForeignGrant,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let ForeignGrant { id, pair, window } = grant;
    sqlx::query(
        "INSERT INTO foreign_grants (grant_id, account_id, resource_id, start_at, end_at, first_seen_ms)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (grant_id) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(pair.account.as_str())
    .bind(pair.resource.as_str())
    .bind(window.start().timestamp())
    .bind(window.end().timestamp())
    .bind(now.timestamp_millis())
    .execute(connection)
    .await?;
    Ok(())
}
