//! Leases and the timetable that replicas share. The database's clock decides when a lease ends.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row;

use super::{Postgres, is_held, notify, within};
use crate::store::{
    Coordination, DirtyMark, Duty, Error, Lease, Timetable, Workload,
    coordination::{SET_TIMETABLE, TIMETABLE, TimetableRow},
    inbox::{DIRTY, DirtyRow},
};

#[async_trait]
impl Coordination for Postgres {
    async fn try_lease(&self, duty: Duty, ttl: Duration, note: &str) -> Result<Option<Lease>, Error> {
        within(async {
            // Tokens grow by chance: two holders must differ even if the database failed over and lost the last lease.
            let row = sqlx::query(
                "INSERT INTO leases AS held (name, owner, token, until, abandoned, note)
                 VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 second', false, $4)
                 ON CONFLICT (name) DO UPDATE
                 SET owner = excluded.owner, token = held.token + 1 + floor(random() * 1000000)::bigint,
                   until = excluded.until, abandoned = held.owner IS NOT NULL, note = excluded.note
                 WHERE held.owner IS NULL OR held.until <= clock_timestamp()
                 RETURNING token, abandoned",
            )
            .bind(duty.as_str())
            .bind(&*self.owner)
            .bind(ttl.as_secs_f64())
            .bind(note)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| {
                let (token, abandoned) = (row.try_get("token")?, row.try_get("abandoned")?);
                Ok(Lease { duty, token, abandoned, expires: true })
            })
            .transpose()
        })
        .await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, Error> {
        within(async {
            let update = sqlx::query(
                "UPDATE leases SET until = clock_timestamp() + $3 * interval '1 second'
                 WHERE name = $1 AND token = $2 AND owner IS NOT NULL",
            );
            let update = update.bind(lease.duty.as_str()).bind(lease.token).bind(ttl.as_secs_f64());
            Ok(update.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            let update = sqlx::query(
                "UPDATE leases SET owner = NULL, until = '-infinity', note = '' WHERE name = $1 AND token = $2",
            );
            let update = update.bind(lease.duty.as_str()).bind(lease.token);
            update.execute(&mut *transaction).await?;
            notify::tell(&mut transaction).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn workload(&self) -> Result<Workload, Error> {
        within(async {
            let mut connection = self.pool.acquire().await?;
            let dirty: Vec<DirtyRow> = sqlx::query_as(DIRTY).fetch_all(&mut *connection).await?;
            let timetable: TimetableRow = sqlx::query_as(TIMETABLE).fetch_one(&mut *connection).await?;
            let abandoned = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM leases
                   WHERE name = $1 AND owner IS NOT NULL AND until <= clock_timestamp())",
            )
            .bind(Duty::Passes.as_str())
            .fetch_one(&mut *connection)
            .await?;
            let dirty = dirty.into_iter().map(DirtyMark::from).collect();
            Ok(Workload { timetable: timetable.read(), dirty, abandoned })
        })
        .await
    }

    async fn set_timetable(&self, lease: &Lease, timetable: &Timetable) -> Result<bool, Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            if !is_held(&mut transaction, lease).await? {
                return Ok(false);
            }
            let [last_full, wake, retry, verified] = timetable.instants();
            sqlx::query(SET_TIMETABLE)
                .bind(last_full)
                .bind(wake)
                .bind(i64::from(timetable.failures))
                .bind(retry)
                .bind(verified)
                .bind(timetable.counts_text())
                .bind(timetable.second_look_text())
                .bind(timetable.retries_text())
                .bind(timetable.follow_ups_text())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }
}
