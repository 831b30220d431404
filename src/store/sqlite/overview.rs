//! What people see of the ledger, in SQLite.

use async_trait::async_trait;

use super::Sqlite;
use crate::{
    model::Grant,
    store::{
        Access, AccessCounts, Boundary, Error, Overview, SeenGrant, View,
        column::to_json,
        ledger::{grant_columns, read_grants},
        overview::{
            ACCESSES, AccessRow, CountsRow, count_accesses, found, found_accesses, grants_of, in_view,
            in_view_and_found, next_ends, next_starts, read_seen,
        },
    },
};

const FOUND_ACCESSES: &str = found_accesses!("SELECT value FROM json_each($5)");
const COUNT_ACCESSES: &str = count_accesses!("SELECT value FROM json_each($5)");
const NEXT_ENDS: &str = next_ends!("SELECT value FROM json_each($5)");
const NEXT_STARTS: &str = next_starts!("SELECT value FROM json_each($5)");

#[async_trait]
impl Overview for Sqlite {
    async fn accesses(&self, view: &View, limit: u32, after: Option<&Access>) -> Result<Vec<Access>, Error> {
        let (from, until) = view.ends();
        let (resource, email) = Access::place(after);
        let rows = match view.patterns() {
            (None, _) => sqlx::query_as(ACCESSES).bind(from).bind(until),
            (lower, written) => {
                let found = sqlx::query_as(FOUND_ACCESSES).bind(from).bind(until).bind(lower).bind(written);
                found.bind(to_json(&view.people))
            }
        };
        let rows: Vec<AccessRow> =
            rows.bind(resource).bind(email).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        Ok(rows.into_iter().map(Access::from).collect())
    }

    async fn count_accesses(&self, view: &View) -> Result<AccessCounts, Error> {
        let ((from, until), (lower, written)) = (view.ends(), view.patterns());
        let counts = sqlx::query_as(COUNT_ACCESSES).bind(from).bind(until).bind(lower).bind(written);
        let counts: CountsRow = counts.bind(to_json(&view.people)).fetch_one(&self.reader).await?;
        Ok(counts.into())
    }

    async fn grants_of(&self, view: &View, accesses: &[Access], limit: u32) -> Result<Vec<SeenGrant>, Error> {
        let pairs: Vec<[&str; 2]> =
            accesses.iter().map(|access| [access.resource.as_str(), access.email.as_str()]).collect();
        let (from, until) = view.ends();
        let rows = sqlx::query(grants_of!(
            "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each($4)"
        ))
        .bind(from)
        .bind(until)
        .bind(i64::from(limit))
        .bind(to_json(&pairs))
        .fetch_all(&self.reader)
        .await?;
        Ok(read_seen(&rows))
    }

    async fn next_changes(&self, view: &View, boundary: Boundary, limit: u32) -> Result<Vec<Grant>, Error> {
        let ((from, until), (lower, written)) = (view.ends(), view.patterns());
        let statement = match boundary {
            Boundary::Start => NEXT_STARTS,
            Boundary::End => NEXT_ENDS,
        };
        let rows = sqlx::query(statement)
            .bind(from)
            .bind(until)
            .bind(lower)
            .bind(written)
            .bind(to_json(&view.people))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        Ok(read_grants(&rows))
    }
}
