//! What was learned from answers and must outlive the process: other people's grants, refusals, strongDM's way with
//! a second grant, and which schedule was seen under which escalation policy.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Row, SqliteConnection};

use super::{Error, Store, from_ms, from_seconds};
use crate::{
    model::{AccountId, GrantId, ResourceId, Window},
    reconcile::{
        scope::Links,
        world::{ForeignGrant, Refusal, SecondGrant},
    },
};

/// The fact's name in the store.
const SECOND_GRANT: &str = "second_grant";
/// The name under which the newest outlook is kept.
const OUTLOOK: &str = "outlook";

impl Store {
    /// Other people's grants as last seen, with the moment each was first seen.
    pub async fn foreign_grants(&self) -> Result<Vec<(ForeignGrant, DateTime<Utc>)>, Error> {
        let rows = sqlx::query(
            "SELECT grant_id, account_id, resource_id, start_at, end_at, first_seen_ms FROM foreign_grants",
        );
        let mut grants = Vec::new();
        for row in rows.fetch_all(&self.reader).await? {
            let (start, end) = (from_seconds(row.try_get("start_at")?), from_seconds(row.try_get("end_at")?));
            let Some(window) = Window::new(start, end) else { continue };
            let foreign = ForeignGrant {
                id: GrantId(row.try_get("grant_id")?),
                account_id: AccountId(row.try_get("account_id")?),
                resource_id: ResourceId(row.try_get("resource_id")?),
                window,
            };
            grants.push((foreign, from_ms(row.try_get("first_seen_ms")?)));
        }
        Ok(grants)
    }

    /// Replaces what is known of other people's grants: all of it, or that of one account and resource.
    pub async fn set_foreign_grants(
        &self,
        pair: Option<(&AccountId, &ResourceId)>,
        grants: &[ForeignGrant],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let keep: String =
            serde_json::to_string(&grants.iter().map(|grant| grant.id.as_str()).collect::<Vec<_>>())
                .expect("a list of strings serialises");
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
            Some((account, resource)) => {
                sqlx::query(
                    "DELETE FROM foreign_grants WHERE account_id = $2 AND resource_id = $3
                       AND grant_id NOT IN (SELECT value FROM json_each($1))",
                )
                .bind(&keep)
                .bind(account.as_str())
                .bind(resource.as_str())
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

    /// What strongDM was last seen to do with a second grant; the best is assumed once that is too old.
    pub async fn second_grant(&self, now: DateTime<Utc>) -> Result<SecondGrant, Error> {
        let row = sqlx::query("SELECT value FROM facts WHERE name = $1 AND until_at > $2")
            .bind(SECOND_GRANT)
            .bind(now.timestamp())
            .fetch_optional(&self.reader)
            .await?;
        let Some(row) = row else { return Ok(SecondGrant::default()) };
        let value: String = row.try_get("value")?;
        super::from_json("fact", &value)
    }

    /// Remembers what strongDM does with a second grant.
    pub async fn learn_second_grant(&self, learned: SecondGrant, until: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO facts (name, value, until_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, until_at = excluded.until_at",
        )
        .bind(SECOND_GRANT)
        .bind(super::to_json(&learned))
        .bind(until.timestamp())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// What the newest passes saw, in the words of [`crate::reconcile`].
    pub async fn outlook(&self) -> Result<Option<String>, Error> {
        let query = sqlx::query_scalar("SELECT value FROM facts WHERE name = $1").bind(OUTLOOK);
        Ok(query.fetch_optional(&self.reader).await?)
    }

    /// Replaces what the newest passes saw.
    pub async fn set_outlook(&self, outlook: &str) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO facts (name, value, until_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(OUTLOOK)
        .bind(outlook)
        .bind(i64::MAX)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Refusals without a visible cause that still hold.
    pub async fn refusals(&self, now: DateTime<Utc>) -> Result<Vec<Refusal>, Error> {
        let rows = sqlx::query("SELECT account_id, resource_id, until_at FROM refusals WHERE until_at > $1");
        let rows = rows.bind(now.timestamp()).fetch_all(&self.reader).await?;
        rows.iter()
            .map(|row| {
                Ok(Refusal {
                    account_id: AccountId(row.try_get("account_id")?),
                    resource_id: ResourceId(row.try_get("resource_id")?),
                    until: from_seconds(row.try_get("until_at")?),
                })
            })
            .collect()
    }

    /// Remembers a refusal without a visible cause; each further one doubles the pause, from 2 s up to 15 min. The
    /// first is short because a grant that ends now may still be in the way for a moment.
    pub async fn remember_refusal(
        &self,
        account: &AccountId,
        resource: &ResourceId,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let row = sqlx::query("SELECT attempts FROM refusals WHERE account_id = $1 AND resource_id = $2")
            .bind(account.as_str())
            .bind(resource.as_str())
            .fetch_optional(&self.writer)
            .await?;
        let attempts: i64 = row.map_or(Ok(0), |row| row.try_get("attempts"))?;
        let pause = TimeDelta::seconds(2 << attempts.clamp(0, 9)).min(TimeDelta::minutes(15));
        sqlx::query(
            "INSERT INTO refusals (account_id, resource_id, until_at, attempts) VALUES ($1, $2, $3, $4)
             ON CONFLICT (account_id, resource_id)
             DO UPDATE SET until_at = excluded.until_at, attempts = excluded.attempts",
        )
        .bind(account.as_str())
        .bind(resource.as_str())
        .bind((now + pause).timestamp())
        .bind(attempts + 1)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Forgets the refusals of a pair, because a grant was taken.
    pub async fn forget_refusal(&self, account: &AccountId, resource: &ResourceId) -> Result<(), Error> {
        sqlx::query("DELETE FROM refusals WHERE account_id = $1 AND resource_id = $2")
            .bind(account.as_str())
            .bind(resource.as_str())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Which schedule was seen under which escalation policy.
    pub async fn links(&self) -> Result<Links, Error> {
        let rows = sqlx::query("SELECT schedule_id, policy_id FROM links").fetch_all(&self.reader).await?;
        let links = rows.iter().map(|row| {
            Ok((
                row.try_get::<String, _>("schedule_id")?.into(),
                row.try_get::<String, _>("policy_id")?.into(),
            ))
        });
        Ok(Links(links.collect::<Result<_, Error>>()?))
    }

    /// Replaces what is known about schedules under policies.
    pub async fn set_links(&self, links: &Links) -> Result<(), Error> {
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
    let ForeignGrant { id, account_id, resource_id, window } = grant;
    sqlx::query(
        "INSERT INTO foreign_grants (grant_id, account_id, resource_id, start_at, end_at, first_seen_ms)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (grant_id) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(account_id.as_str())
    .bind(resource_id.as_str())
    .bind(window.start().timestamp())
    .bind(window.end().timestamp())
    .bind(now.timestamp_millis())
    .execute(connection)
    .await?;
    Ok(())
}
