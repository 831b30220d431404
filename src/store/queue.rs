//! What has been taken in and waits for a pass.

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::{Error, Store, from_ms};

/// The deliveries that no pass has served yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// How many.
    pub deliveries: f64,
    /// When the oldest arrived.
    pub since: Option<DateTime<Utc>>,
}

impl Waiting {
    /// For how long the oldest has been waiting; 0 if none waits.
    pub fn age_seconds(&self, now: DateTime<Utc>) -> f64 {
        self.since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
    }
}

impl Store {
    /// What waits for a pass.
    pub async fn waiting(&self) -> Result<Waiting, Error> {
        let row = sqlx::query(
            "SELECT CAST(count(*) AS REAL) AS deliveries, min(received_ms) AS since_ms FROM deliveries
             WHERE status = 'accepted' AND pass_id IS NULL",
        )
        .fetch_one(&self.reader)
        .await?;
        let since: Option<i64> = row.try_get("since_ms")?;
        Ok(Waiting { deliveries: row.try_get("deliveries")?, since: since.map(from_ms) })
    }
}
