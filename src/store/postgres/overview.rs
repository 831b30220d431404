//! What people see of the ledger, in PostgreSQL.

use async_trait::async_trait;

use super::{Postgres, within};
use crate::{
    model::Grant,
    store::{
        Access, AccessCounts, Boundary, Error, Overview, SeenGrant, View,
        column::plain,
        ledger::{grant_columns, read_grants},
        overview::{
            ACCESSES, AccessRow, CountsRow, count_accesses, found, found_accesses, grants_of, in_view,
            in_view_and_found, next_ends, next_starts, read_seen,
        },
    },
};

const FOUND_ACCESSES: &str = found_accesses!("SELECT unnest($5::text[])");
const COUNT_ACCESSES: &str = count_accesses!("SELECT unnest($5::text[])");
const NEXT_ENDS: &str = next_ends!("SELECT unnest($5::text[])");
const NEXT_STARTS: &str = next_starts!("SELECT unnest($5::text[])");

/// What PostgreSQL takes as texts of these.
fn people(view: &View) -> Vec<String> {
    view.people.iter().map(|address| plain(address).into_owned()).collect()
}

#[async_trait]
impl Overview for Postgres {
    async fn accesses(&self, view: &View, limit: u32, after: Option<&Access>) -> Result<Vec<Access>, Error> {
        let (from, until) = view.ends();
        let (resource, email) = Access::place(after);
        within(async {
            let rows = match view.patterns() {
                (None, _) => sqlx::query_as(ACCESSES).bind(from).bind(until),
                (lower, written) => {
                    let found =
                        sqlx::query_as(FOUND_ACCESSES).bind(from).bind(until).bind(lower).bind(written);
                    found.bind(people(view))
                }
            };
            let rows = rows.bind(plain(resource)).bind(plain(email)).bind(i64::from(limit));
            let rows: Vec<AccessRow> = rows.fetch_all(&self.pool).await?;
            Ok(rows.into_iter().map(Access::from).collect())
        })
        .await
    }

    async fn count_accesses(&self, view: &View) -> Result<AccessCounts, Error> {
        let ((from, until), (lower, written)) = (view.ends(), view.patterns());
        within(async {
            let counts = sqlx::query_as(COUNT_ACCESSES).bind(from).bind(until).bind(lower).bind(written);
            let counts: CountsRow = counts.bind(people(view)).fetch_one(&self.pool).await?;
            Ok(counts.into())
        })
        .await
    }

    async fn grants_of(&self, view: &View, accesses: &[Access], limit: u32) -> Result<Vec<SeenGrant>, Error> {
        let (resources, emails): (Vec<String>, Vec<String>) = accesses
            .iter()
            .map(|access| (plain(&access.resource).into_owned(), plain(&access.email).into_owned()))
            .unzip();
        let (from, until) = view.ends();
        within(async {
            let rows = sqlx::query(grants_of!("SELECT * FROM unnest($4::text[], $5::text[])"))
                .bind(from)
                .bind(until)
                .bind(i64::from(limit))
                .bind(&resources)
                .bind(&emails)
                .fetch_all(&self.pool)
                .await?;
            Ok(read_seen(&rows))
        })
        .await
    }

    async fn next_changes(&self, view: &View, boundary: Boundary, limit: u32) -> Result<Vec<Grant>, Error> {
        let ((from, until), (lower, written)) = (view.ends(), view.patterns());
        let statement = match boundary {
            Boundary::Start => NEXT_STARTS,
            Boundary::End => NEXT_ENDS,
        };
        within(async {
            let rows = sqlx::query(statement)
                .bind(from)
                .bind(until)
                .bind(lower)
                .bind(written)
                .bind(people(view))
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
            Ok(read_grants(&rows))
        })
        .await
    }
}
