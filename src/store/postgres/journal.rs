//! Audit, passes and deliveries in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Postgres, decision_log, notices, within};
use crate::store::{
    AuditEntry, AuditRow, DeliveryRow, Error, Findings, Journal, Page,
    journal::{self, AUDIT_PAGE, LAST_PASSES, RECORD_PASS},
};

#[async_trait]
impl Journal for Postgres {
    async fn audit(&self, entry: &AuditEntry) -> Result<(), Error> {
        within(async {
            let mut connection = self.pool.acquire().await?;
            decision_log::append(&mut connection, entry).await
        })
        .await
    }

    async fn audit_page(&self, limit: u32, before: Option<i64>) -> Result<Page<AuditRow>, Error> {
        within(async {
            let stored = sqlx::query_as(AUDIT_PAGE)
                .bind(before.unwrap_or(i64::MAX))
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.pool)
                .await?;
            journal::audit_page(stored, limit)
        })
        .await
    }

    async fn delivery_page(&self, limit: u32, before: Option<i64>) -> Result<Page<DeliveryRow>, Error> {
        within(async {
            let stored = sqlx::query_as(
                "SELECT seq, received_ms, event_id, event_type, webhook_id, subscription, status, marks,
                   CASE status WHEN 'accepted' THEN coalesce(nullif(pass_id, ''), (
                     SELECT looks.pass_id
                     FROM jsonb_array_elements_text(deliveries.marks::jsonb) WITH ORDINALITY AS marked (mark, place)
                     LEFT JOIN jsonb_array_elements_text(deliveries.versions::jsonb) WITH ORDINALITY
                       AS given (version, place) USING (place)
                     LEFT JOIN looks ON looks.seq = (
                       SELECT seq FROM looks AS look
                       WHERE look.mark = marked.mark AND look.version >= coalesce(given.version::bigint, 0)
                       ORDER BY look.version, look.seq LIMIT 1)
                     ORDER BY looks.seq IS NULL DESC, looks.seq DESC LIMIT 1)) END AS pass_id
                 FROM deliveries WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
            )
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit) + 1)
            .fetch_all(&self.pool)
            .await?;
            journal::delivery_page(stored, limit)
        })
        .await
    }

    async fn record_pass(
        &self,
        id: &str,
        started_at: DateTime<Utc>,
        report: &str,
        findings: &[Findings],
    ) -> Result<(), Error> {
        within(async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query(RECORD_PASS)
                .bind(id)
                .bind(started_at.timestamp_millis())
                .bind(report)
                .execute(&mut *transaction)
                .await?;
            notices::tell(&mut transaction, findings).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn last_passes(&self, limit: u32) -> Result<Vec<String>, Error> {
        within(async {
            Ok(sqlx::query_scalar(LAST_PASSES).bind(i64::from(limit)).fetch_all(&self.pool).await?)
        })
        .await
    }
}
