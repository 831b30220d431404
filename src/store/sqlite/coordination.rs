//! Leases and the timetable where there is nobody else.

use std::time::Duration;

use async_trait::async_trait;

use super::Sqlite;
use crate::store::{
    Coordination, DirtyMark, Duty, Error, Lease, Timetable, Workload,
    coordination::{SET_TIMETABLE, TIMETABLE, TimetableRow},
    inbox::{DIRTY, DirtyRow},
};

#[async_trait]
impl Coordination for Sqlite {
    async fn try_lease(&self, duty: Duty, _: Duration, _: &str) -> Result<Option<Lease>, Error> {
        Ok(Some(Lease { duty, token: 0, abandoned: false, expires: false }))
    }

    async fn renew(&self, _: &Lease, _: Duration) -> Result<bool, Error> {
        Ok(true)
    }

    async fn release(&self, _: &Lease) -> Result<(), Error> {
        Ok(())
    }

    async fn workload(&self) -> Result<Workload, Error> {
        let (dirty, timetable): (Vec<DirtyRow>, TimetableRow) = tokio::try_join!(
            sqlx::query_as(DIRTY).fetch_all(&self.reader),
            sqlx::query_as(TIMETABLE).fetch_one(&self.reader),
        )?;
        let dirty = dirty.into_iter().map(DirtyMark::from).collect();
        Ok(Workload { timetable: timetable.read(), dirty, abandoned: false })
    }

    async fn set_timetable(&self, _: &Lease, timetable: &Timetable) -> Result<bool, Error> {
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
            .execute(&self.writer)
            .await?;
        Ok(true)
    }
}
