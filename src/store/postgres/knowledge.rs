//! What was learned, in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Postgres, is_held, within};
use crate::{
    model::{ForeignGrant, Links, Pair, Refusal, SecondGrant},
    store::{
        Error, Knowledge, Lease,
        column::{from_json, to_json},
        knowledge::{ForeignRow, PICTURE, RefusalRow, SECOND_GRANT, pause_after, read_links},
    },
};

#[async_trait]
impl Knowledge for Postgres {
    async fn foreign_grants(&self) -> Result<Vec<(ForeignGrant, DateTime<Utc>)>, Error> {
        within(async {
            let rows: Vec<ForeignRow> = sqlx::query_as(
                "SELECT grant_id, account_id, resource_id, start_at, end_at, first_seen_ms FROM foreign_grants",
            )
            .fetch_all(&self.pool)
            .await?;
            Ok(rows.into_iter().filter_map(ForeignRow::read).collect())
        })
        .await
    }

    async fn set_foreign_grants(
        &self,
        lease: &Lease,
        pair: Option<&Pair>,
        grants: &[ForeignGrant],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            if !is_held(&mut transaction, lease).await? {
                return Ok(());
            }
            let keep: Vec<&str> = grants.iter().map(|grant| grant.id.as_str()).collect();
            sqlx::query(
                "DELETE FROM foreign_grants
                 WHERE ($2::text IS NULL OR (account_id = $2 AND resource_id = $3)) AND grant_id <> ALL($1)",
            )
            .bind(keep)
            .bind(pair.map(|pair| pair.account.as_str()))
            .bind(pair.map(|pair| pair.resource.as_str()))
            .execute(&mut *transaction)
            .await?;
            insert_foreign(&mut transaction, grants, now).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn second_grant(&self, now: DateTime<Utc>) -> Result<SecondGrant, Error> {
        within(async {
            let value: Option<String> =
                sqlx::query_scalar("SELECT value FROM facts WHERE name = $1 AND until_at > $2")
                    .bind(SECOND_GRANT)
                    .bind(now.timestamp())
                    .fetch_optional(&self.pool)
                    .await?;
            value.map_or_else(|| Ok(SecondGrant::default()), |value| from_json("fact", &value))
        })
        .await
    }

    async fn learn_second_grant(&self, learned: SecondGrant, until: DateTime<Utc>) -> Result<(), Error> {
        within(async {
            sqlx::query(
                "INSERT INTO facts (name, value, until_at) VALUES ($1, $2, $3)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, until_at = excluded.until_at",
            )
            .bind(SECOND_GRANT)
            .bind(to_json(&learned))
            .bind(until.timestamp())
            .execute(&self.pool)
            .await?;
            Ok(())
        })
        .await
    }

    async fn picture(&self) -> Result<Option<String>, Error> {
        within(async {
            let query = sqlx::query_scalar("SELECT value FROM facts WHERE name = $1").bind(PICTURE);
            Ok(query.fetch_optional(&self.pool).await?)
        })
        .await
    }

    async fn set_picture(&self, picture: &str) -> Result<(), Error> {
        within(async {
            sqlx::query(
                "INSERT INTO facts (name, value, until_at) VALUES ($1, $2, $3)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(PICTURE)
            .bind(picture)
            .bind(i64::MAX)
            .execute(&self.pool)
            .await?;
            Ok(())
        })
        .await
    }

    async fn refusals(&self, now: DateTime<Utc>) -> Result<Vec<Refusal>, Error> {
        within(async {
            let rows: Vec<RefusalRow> =
                sqlx::query_as("SELECT account_id, resource_id, until_at FROM refusals WHERE until_at > $1")
                    .bind(now.timestamp())
                    .fetch_all(&self.pool)
                    .await?;
            Ok(rows.into_iter().map(Refusal::from).collect())
        })
        .await
    }

    async fn remember_refusal(&self, pair: &Pair, now: DateTime<Utc>) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            let attempts: Option<i64> = sqlx::query_scalar(
                "SELECT attempts FROM refusals WHERE account_id = $1 AND resource_id = $2 FOR UPDATE",
            )
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
            let attempts = attempts.unwrap_or_default();
            sqlx::query(
                "INSERT INTO refusals (account_id, resource_id, until_at, attempts) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (account_id, resource_id)
                 DO UPDATE SET until_at = excluded.until_at, attempts = excluded.attempts",
            )
            .bind(pair.account.as_str())
            .bind(pair.resource.as_str())
            .bind((now + pause_after(attempts)).timestamp())
            .bind(attempts + 1)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn forget_refusal(&self, pair: &Pair) -> Result<(), Error> {
        within(async {
            sqlx::query("DELETE FROM refusals WHERE account_id = $1 AND resource_id = $2")
                .bind(pair.account.as_str())
                .bind(pair.resource.as_str())
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn links(&self) -> Result<Links, Error> {
        within(async {
            let rows =
                sqlx::query_as("SELECT schedule_id, policy_id FROM links").fetch_all(&self.pool).await?;
            Ok(read_links(rows))
        })
        .await
    }

    async fn set_links(&self, links: &Links) -> Result<(), Error> {
        let (schedules, policies): (Vec<&str>, Vec<&str>) =
            links.0.iter().map(|(schedule, policy)| (schedule.as_str(), policy.as_str())).unzip();
        within(async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query("DELETE FROM links").execute(&mut *transaction).await?;
            sqlx::query(
                "INSERT INTO links (schedule_id, policy_id) SELECT * FROM unnest($1::text[], $2::text[])
                 ON CONFLICT DO NOTHING",
            )
            .bind(&schedules)
            .bind(&policies)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}

async fn insert_foreign(
    connection: &mut PgConnection,
    grants: &[ForeignGrant],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let column = |value: fn(&ForeignGrant) -> &str| grants.iter().map(value).collect::<Vec<_>>();
    let instants = |value: fn(&ForeignGrant) -> i64| grants.iter().map(value).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO foreign_grants (grant_id, account_id, resource_id, start_at, end_at, first_seen_ms)
         SELECT id, account, resource, start_at, end_at, $6
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
           AS seen (id, account, resource, start_at, end_at)
         ON CONFLICT (grant_id) DO NOTHING",
    )
    .bind(column(|grant| grant.id.as_str()))
    .bind(column(|grant| grant.pair.account.as_str()))
    .bind(column(|grant| grant.pair.resource.as_str()))
    .bind(instants(|grant| grant.window.start().timestamp()))
    .bind(instants(|grant| grant.window.end().timestamp()))
    .bind(now.timestamp_millis())
    .execute(connection)
    .await?;
    Ok(())
}
