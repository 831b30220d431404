//! The ledger: which grants are ours. A write to strongDM is intended here before the call and settled after it;
//! `reconcile/mod.rs` says why nothing is lost or doubled in between.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row, SqliteConnection, sqlite::SqliteRow};

use super::{AuditEntry, Error, Store, from_json, from_ms, from_seconds, journal, to_json};
use crate::{
    model::{AccountId, Grant, GrantId, ResourceId, Window},
    reconcile::{
        plan::NewGrant,
        world::{Cause, OwnGrant},
    },
};

/// Where a grant of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was decided to make it; the call may be under way, or its outcome never arrived.
    Creating,
    /// The call's outcome is unknown and no such grant was found. It may still turn up.
    Lost,
    /// It is in strongDM.
    Live,
    /// It was decided to take it back; the call may be under way, or its outcome never arrived.
    Revoking,
    /// It is over.
    Ended,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Lost => "lost",
            Self::Live => "live",
            Self::Revoking => "revoking",
            Self::Ended => "ended",
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        [Self::Creating, Self::Lost, Self::Live, Self::Revoking, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::Corrupt { what: "grant state", value: text.to_owned() })
    }
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The grant with its row and causes. Its `id` is missing while it is being created or lost.
    pub own: OwnGrant,
    /// Where it stands.
    pub state: State,
    /// When it was decided to make it.
    pub intended_at: DateTime<Utc>,
}

/// Which grants of ours to list.
#[derive(Clone, Debug, Default)]
pub struct GrantQuery {
    /// Only those in force now.
    pub active: bool,
    /// Past ones as well.
    pub ended: bool,
    /// Only this person's, without regard to case.
    pub email: Option<String>,
    /// Only this resource's, by exact name.
    pub resource: Option<String>,
}

const COLUMNS: &str =
    "seq, state, grant_id, account_id, email, resource_id, resource, start_at, end_at, causes, intended_ms";

impl Store {
    /// Every row that is not over at `now`, oldest first.
    pub async fn ledger(&self, now: DateTime<Utc>) -> Result<Vec<LedgerEntry>, Error> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(COLUMNS).push(" FROM grants WHERE state <> 'ended' AND end_at > ");
        query.push_bind(now.timestamp()).push(" ORDER BY seq");
        let rows = query.build().fetch_all(&self.reader).await?;
        rows.iter().map(entry).collect()
    }

    /// Grants of ours that exist or existed in strongDM, by start.
    pub async fn grants(&self, now: DateTime<Utc>, which: &GrantQuery) -> Result<Vec<Grant>, Error> {
        let GrantQuery { active, ended, email, resource } = which;
        let mut query = QueryBuilder::new("SELECT ");
        query.push(COLUMNS).push(" FROM grants WHERE grant_id IS NOT NULL");
        if !ended || *active {
            query.push(" AND state IN ('live', 'revoking') AND end_at > ").push_bind(now.timestamp());
        }
        if *active {
            query.push(" AND start_at <= ").push_bind(now.timestamp());
        }
        if let Some(email) = email {
            query.push(" AND email = ").push_bind(email.to_lowercase());
        }
        if let Some(resource) = resource {
            query.push(" AND resource = ").push_bind(resource);
        }
        query.push(" ORDER BY start_at, seq");
        let rows = query.build().fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(entry(row)?.own.grant)).collect()
    }

    /// Whether this grant is or was ever ours.
    pub async fn is_ours(&self, id: &GrantId) -> Result<bool, Error> {
        let row = sqlx::query("SELECT 1 FROM grants WHERE grant_id = $1").bind(id.as_str());
        Ok(row.fetch_optional(&self.reader).await?.is_some())
    }

    /// Writes down that this grant is about to be made, before the call.
    pub async fn intend_create(&self, new: &NewGrant, now: DateTime<Utc>) -> Result<i64, Error> {
        let Grant { id: _, email, account_id, resource, resource_id, window, rules: _ } = &new.grant;
        let row = sqlx::query(
            "INSERT INTO grants
               (state, account_id, email, resource_id, resource, start_at, end_at, causes, intended_ms)
             VALUES ('creating', $1, $2, $3, $4, $5, $6, $7, $8) RETURNING seq",
        )
        .bind(account_id.as_str())
        .bind(email.as_str())
        .bind(resource_id.as_str())
        .bind(resource)
        .bind(window.start().timestamp())
        .bind(window.end().timestamp())
        .bind(to_json(&new.causes))
        .bind(now.timestamp_millis())
        .fetch_one(&self.writer)
        .await?;
        Ok(row.try_get("seq")?)
    }

    /// The grant is in strongDM under this ID: made by us, or found again.
    pub async fn settle_created(&self, row: i64, id: &GrantId, audit: &AuditEntry) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE grants SET state = 'live', grant_id = $2 WHERE seq = $1")
            .bind(row)
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM foreign_grants WHERE grant_id = $1")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        journal::insert(&mut transaction, audit).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The grant was certainly not made.
    pub async fn settle_refused(&self, row: i64, audit: Option<&AuditEntry>) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM grants WHERE seq = $1 AND grant_id IS NULL")
            .bind(row)
            .execute(&mut *transaction)
            .await?;
        if let Some(audit) = audit {
            journal::insert(&mut transaction, audit).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Writes down that this grant is about to be taken back, before the call.
    pub async fn intend_revoke(&self, row: i64) -> Result<(), Error> {
        self.set_state(row, State::Revoking).await
    }

    /// Changes where a grant stands.
    pub async fn set_state(&self, row: i64, state: State) -> Result<(), Error> {
        let update =
            sqlx::query("UPDATE grants SET state = $2 WHERE seq = $1").bind(row).bind(state.as_str());
        update.execute(&self.writer).await?;
        Ok(())
    }

    /// The grant is no longer in strongDM.
    pub async fn settle_ended(&self, row: i64, at: DateTime<Utc>, audit: &AuditEntry) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE grants SET state = 'ended', ended_at = $2 WHERE seq = $1")
            .bind(row)
            .bind(at.timestamp())
            .execute(&mut *transaction)
            .await?;
        journal::insert(&mut transaction, audit).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Writes down the new attribution of grants that stay.
    pub async fn relabel(&self, relabelled: &[(i64, Vec<Cause>)]) -> Result<(), Error> {
        if relabelled.is_empty() {
            return Ok(());
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for (row, causes) in relabelled {
            relabel_one(&mut transaction, *row, causes).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn relabel_one(connection: &mut SqliteConnection, row: i64, causes: &[Cause]) -> Result<(), Error> {
    let update = sqlx::query("UPDATE grants SET causes = $2 WHERE seq = $1").bind(row).bind(to_json(&causes));
    update.execute(connection).await?;
    Ok(())
}

fn entry(row: &SqliteRow) -> Result<LedgerEntry, Error> {
    let start = from_seconds(row.try_get("start_at")?);
    let end = from_seconds(row.try_get("end_at")?);
    let corrupt = |what, value: String| Error::Corrupt { what, value };
    let window = Window::new(start, end).ok_or_else(|| corrupt("window", format!("{start} to {end}")))?;
    let email: String = row.try_get("email")?;
    let causes: Vec<Cause> = from_json("list of causes", row.try_get("causes")?)?;
    let mut rules: Vec<String> = causes.iter().map(|cause| cause.rule.clone()).collect();
    rules.dedup();
    let grant = Grant {
        id: row.try_get::<Option<String>, _>("grant_id")?.map(GrantId),
        email: email.parse().map_err(|_| corrupt("e-mail address", email.clone()))?,
        account_id: AccountId(row.try_get("account_id")?),
        resource: row.try_get("resource")?,
        resource_id: ResourceId(row.try_get("resource_id")?),
        window,
        rules,
    };
    Ok(LedgerEntry {
        own: OwnGrant { row: row.try_get("seq")?, grant, causes },
        state: State::parse(row.try_get("state")?)?,
        intended_at: from_ms(row.try_get("intended_ms")?),
    })
}
