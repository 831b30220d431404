//! What we learned from answers, in PostgreSQL.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Postgres, is_held, within};
use crate::{
    model::{
        Altered, Fault, ForeignGrant, IncidentId, Links, Pair, Refusal, RememberedPart, SeenName, Window,
    },
    store::{
        AskAgain, Error, Knowledge, Lease, StoredName,
        column::{plain, to_json, write_groups},
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
impl Knowledge for Postgres {
    async fn foreign_grants(&self) -> Result<Vec<(ForeignGrant, DateTime<Utc>)>, Error> {
        within(async {
            let rows: Vec<ForeignRow> = sqlx::query_as(FOREIGN_GRANTS).fetch_all(&self.pool).await?;
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

    async fn fact(&self, name: &str, now: DateTime<Utc>) -> Result<Option<String>, Error> {
        within(async {
            let fact = sqlx::query_scalar(FACT).bind(name).bind(now.timestamp());
            Ok(fact.fetch_optional(&self.pool).await?)
        })
        .await
    }

    async fn set_fact(&self, name: &str, value: &str, until: Option<DateTime<Utc>>) -> Result<(), Error> {
        within(async {
            let fact = sqlx::query(SET_FACT).bind(name).bind(value).bind(fact_until(until));
            fact.execute(&self.pool).await?;
            Ok(())
        })
        .await
    }

    async fn set_fact_holding(&self, lease: &Lease, name: &str, value: &str) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            if !is_held(&mut transaction, lease).await? {
                return Ok(());
            }
            let fact = sqlx::query(SET_FACT).bind(name).bind(value).bind(fact_until(None));
            fact.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn refusals(&self, now: DateTime<Utc>) -> Result<Vec<Refusal>, Error> {
        within(async {
            let rows: Vec<RefusalRow> =
                sqlx::query_as(REFUSALS).bind(now.timestamp()).fetch_all(&self.pool).await?;
            Ok(rows.into_iter().filter_map(|row| row.read(now)).collect())
        })
        .await
    }

    async fn remember_refusal(&self, pair: &Pair, now: DateTime<Utc>) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            let before: Vec<(i64, i64)> =
                sqlx::query_as(AssertSqlSafe(format!("{REFUSED_BEFORE} FOR UPDATE")))
                    .bind(pair.account.as_str())
                    .bind(pair.resource.as_str())
                    .fetch_all(&mut *transaction)
                    .await?;
            let attempts = refusals_in_a_row(&before, now);
            sqlx::query(SET_REFUSAL)
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
            sqlx::query(FORGET_REFUSAL)
                .bind(pair.account.as_str())
                .bind(pair.resource.as_str())
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn altered(&self, now: DateTime<Utc>) -> Result<Vec<Altered>, Error> {
        within(async {
            let rows: Vec<AlteredRow> =
                sqlx::query_as(ALTERED).bind(now.timestamp()).fetch_all(&self.pool).await?;
            Ok(rows.into_iter().filter_map(AlteredRow::read).collect())
        })
        .await
    }

    async fn remember_altered(
        &self,
        pair: &Pair,
        window: Window,
        again: AskAgain,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            let attempts = forget_altered(&mut transaction, pair, window, now).await?;
            sqlx::query(SET_ALTERED)
                .bind(pair.account.as_str())
                .bind(pair.resource.as_str())
                .bind(window.start().timestamp())
                .bind(window.end().timestamp())
                .bind(again.at(attempts, window, now).timestamp())
                .bind(attempts + 1)
                .bind(plain(fault.map_or("", |fault| &fault.error)))
                .bind(plain(fault.map_or("", |fault| &fault.remedy)))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn incident_parts(
        &self,
        now: DateTime<Utc>,
        incidents: &BTreeSet<IncidentId>,
    ) -> Result<Vec<RememberedPart>, Error> {
        within(async {
            let ids: Vec<&str> = incidents.iter().map(IncidentId::as_str).collect();
            let sql = format!("{INCIDENT_PARTS} = ANY($2)");
            let rows = sqlx::query_as(AssertSqlSafe(sql)).bind(now.timestamp_millis()).bind(ids);
            let rows: Vec<IncidentPartRow> = rows.fetch_all(&self.pool).await?;
            Ok(rows.into_iter().filter_map(IncidentPartRow::read).collect())
        })
        .await
    }

    async fn remember_parts(
        &self,
        lease: &Lease,
        parts: &[(RememberedPart, DateTime<Utc>)],
    ) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            if !is_held(&mut transaction, lease).await? {
                return Ok(());
            }
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
        })
        .await
    }

    async fn links(&self) -> Result<Links, Error> {
        within(async { Ok(read_links(sqlx::query_as(LINKS).fetch_all(&self.pool).await?)) }).await
    }

    async fn set_links(&self, links: &Links) -> Result<(), Error> {
        let (schedules, policies): (Vec<&str>, Vec<&str>) =
            links.iter().map(|(schedule, policy)| (schedule.as_str(), policy.as_str())).unzip();
        within(async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query(FORGET_LINKS).execute(&mut *transaction).await?;
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

    async fn names_since(&self, change: i64) -> Result<Vec<StoredName>, Error> {
        within(async {
            let rows: Vec<NameRow> = sqlx::query_as(NAMES_SINCE).bind(change).fetch_all(&self.pool).await?;
            Ok(rows.into_iter().filter_map(NameRow::read).collect())
        })
        .await
    }

    async fn set_names(&self, names: &[SeenName], now: DateTime<Utc>) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            // Numbers of changes must become visible in their order, or a reader would miss one.
            sqlx::query("LOCK TABLE names IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
            let change: i64 = sqlx::query_scalar(NEXT_CHANGE).fetch_one(&mut *transaction).await?;
            for SeenName { thing, name, address } in names {
                sqlx::query(SET_NAME)
                    .bind(thing.kind())
                    .bind(plain(thing.id()))
                    .bind(name.as_str())
                    .bind(address.as_deref().map(plain))
                    .bind(now.timestamp_millis())
                    .bind(change)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}

/// Forgets what is remembered of this time, and returns how often in a row strongDM had altered it.
async fn forget_altered(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    grants: &[ForeignGrant],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let column = |value: fn(&ForeignGrant) -> &str| grants.iter().map(value).collect::<Vec<_>>();
    let instants = |value: fn(&ForeignGrant) -> i64| grants.iter().map(value).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO foreign_grants (grant_id, account_id, resource_id, start_at, end_at, first_seen_ms,
            kubernetes_groups)
         SELECT id, account, resource, start_at, end_at, $6, kubernetes_groups
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $7::text[])
           AS seen (id, account, resource, start_at, end_at, kubernetes_groups)
         ON CONFLICT (grant_id) DO UPDATE SET
           start_at = excluded.start_at, end_at = excluded.end_at, kubernetes_groups = excluded.kubernetes_groups
         WHERE (foreign_grants.start_at, foreign_grants.end_at, coalesce(foreign_grants.kubernetes_groups, ''))
           <> (excluded.start_at, excluded.end_at, coalesce(excluded.kubernetes_groups, ''))",
    )
    .bind(column(|grant| grant.id.as_str()))
    .bind(column(|grant| grant.pair.account.as_str()))
    .bind(column(|grant| grant.pair.resource.as_str()))
    .bind(instants(|grant| grant.window.start().timestamp()))
    .bind(instants(|grant| grant.window.end().timestamp()))
    .bind(now.timestamp_millis())
    .bind(grants.iter().map(|grant| write_groups(&grant.groups)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
