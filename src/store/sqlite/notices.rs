//! Notices in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::Sqlite;
use crate::{
    model::NewNotice,
    store::{
        EndpointState, Error, Findings, Notices, StoredNotice, Told, Waiting,
        column::{plain, to_json},
        notices::{
            ADD_ENDPOINT, ADD_FINDING, BEGIN_ENDPOINTS, BEGIN_NOW, ENDPOINT, EndpointRow, FINDINGS, FOLDED,
            FORGET_FINDING, INSERT_NOTICE, NEXT_NOTICE, NEXT_PLACE, NoticeRow, SET_ENDPOINT, SET_FOLDED,
            WAITING, WaitingRow,
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

/// Whether there is anything to write of these findings.
async fn is_news(connection: &mut SqliteConnection, findings: &[Findings]) -> Result<bool, Error> {
    for one in findings {
        let known: Vec<String> =
            sqlx::query_scalar(FINDINGS).bind(one.kind.as_str()).fetch_all(&mut *connection).await?;
        if one.is_news(&known) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells what was not told yet, and forgets what is over.
pub(super) async fn tell(connection: &mut SqliteConnection, findings: &[Findings]) -> Result<(), Error> {
    for one in findings {
        let kind = one.kind.as_str();
        let known: Vec<String> = sqlx::query_scalar(FINDINGS).bind(kind).fetch_all(&mut *connection).await?;
        for subject in one.gone(&known) {
            sqlx::query(FORGET_FINDING).bind(kind).bind(subject).execute(&mut *connection).await?;
        }
        for Told { subjects, notice } in &one.told {
            let mut is_news = false;
            for subject in subjects {
                let insert = sqlx::query(ADD_FINDING).bind(kind).bind(&**subject);
                is_news |= insert.execute(&mut *connection).await?.rows_affected() > 0;
            }
            if is_news {
                add(connection, notice).await?;
            }
        }
    }
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

    async fn tell_findings(&self, findings: &[Findings]) -> Result<(), Error> {
        // Mostly, all is told.
        let mut reader = self.reader.acquire().await?;
        if !is_news(&mut reader, findings).await? {
            return Ok(());
        }
        drop(reader);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        tell(&mut transaction, findings).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn next_notice(&self, from: i64) -> Result<Option<StoredNotice>, Error> {
        let row: Option<NoticeRow> =
            sqlx::query_as(NEXT_NOTICE).bind(from).fetch_optional(&self.reader).await?;
        Ok(row.map(StoredNotice::from))
    }

    async fn endpoint(&self, name: &str) -> Result<EndpointState, Error> {
        if let Some(known) = self.known_endpoint(name).await? {
            return Ok(known);
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(BEGIN_NOW).execute(&mut *transaction).await?;
        sqlx::query(ADD_ENDPOINT).bind(name).execute(&mut *transaction).await?;
        let added: EndpointRow = sqlx::query_as(ENDPOINT).bind(name).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(added.into())
    }

    async fn known_endpoint(&self, name: &str) -> Result<Option<EndpointState>, Error> {
        let known: Option<EndpointRow> =
            sqlx::query_as(ENDPOINT).bind(name).fetch_optional(&self.reader).await?;
        Ok(known.map(EndpointState::from))
    }

    async fn waiting(&self, from: i64) -> Result<Vec<Waiting>, Error> {
        let rows: Vec<WaitingRow> = sqlx::query_as(WAITING).bind(from).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().map(Waiting::from).collect())
    }

    async fn set_endpoint(&self, name: &str, state: &EndpointState) -> Result<(), Error> {
        let EndpointState { next, attempts, due, stopped, sent, failure, dropped } = state;
        let (failed_at, failure) =
            failure.as_ref().map(|(at, why)| (at.timestamp_millis(), plain(why))).unzip();
        sqlx::query(SET_ENDPOINT)
            .bind(name)
            .bind(next)
            .bind(i64::from(*attempts))
            .bind(due.timestamp_millis())
            .bind(i64::from(*stopped))
            .bind(sent.map(|at| at.timestamp_millis()))
            .bind(failed_at)
            .bind(failure.as_deref())
            .bind(dropped)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn begin_endpoints(&self) -> Result<(), Error> {
        sqlx::query(BEGIN_ENDPOINTS).execute(&self.writer).await?;
        Ok(())
    }
}
