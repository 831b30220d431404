//! Notices in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::Sqlite;
use crate::{
    model::{NewNotice, NoticeKind},
    store::{
        EndpointState, Error, Notices, StoredNotice, Told,
        column::{plain, to_json},
        notices::{
            ADD_ENDPOINT, ADD_FINDING, BEGIN_ENDPOINTS, BEGIN_NOW, ENDPOINT, EndpointRow, FINDINGS, FOLDED,
            FORGET_FINDING, INSERT_NOTICE, NEXT_NOTICE, NEXT_PLACE, NoticeRow, SET_ENDPOINT, SET_FOLDED,
        },
    },
};

/// Adds a notice, in the transaction of what it tells.
pub(super) async fn add(connection: &mut SqliteConnection, notice: &NewNotice) -> Result<(), Error> {
    let NewNotice { kind, at, data, text } = notice;
    let seq: i64 = sqlx::query_scalar(NEXT_PLACE).fetch_one(&mut *connection).await?;
    sqlx::query(INSERT_NOTICE)
        .bind(seq)
        .bind(kind.as_str())
        .bind(at.timestamp_millis())
        .bind(data.to_string())
        .bind(&*plain(text))
        .execute(connection)
        .await?;
    Ok(())
}

#[async_trait]
impl Notices for Sqlite {
    async fn folded(&self) -> Result<i64, Error> {
        Ok(sqlx::query_scalar(FOLDED).fetch_one(&self.reader).await?)
    }

    async fn passes_over(&self, ids: &[String]) -> Result<BTreeSet<String>, Error> {
        let over = "SELECT id FROM passes WHERE id IN (SELECT value FROM json_each($1))";
        let over: Vec<String> = sqlx::query_scalar(over).bind(to_json(ids)).fetch_all(&self.reader).await?;
        Ok(over.into_iter().collect())
    }

    async fn add_folded(&self, from: i64, to: i64, notices: &[NewNotice]) -> Result<bool, Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let update = sqlx::query(SET_FOLDED).bind(from).bind(to);
        if update.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(false);
        }
        for notice in notices {
            add(&mut transaction, notice).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    async fn tell_findings(
        &self,
        kind: NoticeKind,
        told: &[Told],
        lasting: Option<&BTreeSet<String>>,
    ) -> Result<(), Error> {
        let known: Vec<String> =
            sqlx::query_scalar(FINDINGS).bind(kind.as_str()).fetch_all(&self.reader).await?;
        let gone = known.iter().filter(|subject| lasting.is_some_and(|lasting| !lasting.contains(*subject)));
        let gone: Vec<&String> = gone.collect();
        let is_known = |told: &Told| told.subjects.iter().all(|subject| known.contains(subject));
        if gone.is_empty() && told.iter().all(is_known) {
            return Ok(());
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for subject in gone {
            sqlx::query(FORGET_FINDING).bind(kind.as_str()).bind(subject).execute(&mut *transaction).await?;
        }
        for Told { subjects, notice } in told {
            let mut is_news = false;
            for subject in subjects {
                let insert = sqlx::query(ADD_FINDING).bind(kind.as_str()).bind(&**subject);
                is_news |= insert.execute(&mut *transaction).await?.rows_affected() > 0;
            }
            if is_news {
                add(&mut transaction, notice).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn next_notice(&self, from: i64) -> Result<Option<StoredNotice>, Error> {
        let row: Option<NoticeRow> =
            sqlx::query_as(NEXT_NOTICE).bind(from).fetch_optional(&self.reader).await?;
        Ok(row.map(StoredNotice::from))
    }

    async fn endpoint(&self, name: &str) -> Result<EndpointState, Error> {
        let known: Option<EndpointRow> =
            sqlx::query_as(ENDPOINT).bind(name).fetch_optional(&self.reader).await?;
        if let Some(known) = known {
            return Ok(known.into());
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(BEGIN_NOW).execute(&mut *transaction).await?;
        sqlx::query(ADD_ENDPOINT).bind(name).execute(&mut *transaction).await?;
        let added: EndpointRow = sqlx::query_as(ENDPOINT).bind(name).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(added.into())
    }

    async fn set_endpoint(&self, name: &str, state: &EndpointState) -> Result<(), Error> {
        let EndpointState { next, attempts, due, stopped } = state;
        sqlx::query(SET_ENDPOINT)
            .bind(name)
            .bind(next)
            .bind(i64::from(*attempts))
            .bind(due.timestamp_millis())
            .bind(i64::from(*stopped))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn begin_endpoints(&self) -> Result<(), Error> {
        sqlx::query(BEGIN_ENDPOINTS).execute(&self.writer).await?;
        Ok(())
    }
}
