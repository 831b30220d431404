//! What the page shows, read from the store and from memory. No upstream is asked.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::super::{error::AppError, router::App};
use crate::{
    clock,
    metrics::HealthView,
    model::Rule,
    reconcile::picture::{Picture, Stretch},
    store::{DeliveryRow, LedgerEntry},
};

/// Enough to see a bad night; `/api/audit` and `/api/events` have the rest.
const PASSES: u32 = 12;
const EVENTS: u32 = 200;

/// Everything that the page is made of, at one instant.
pub(super) struct Facts<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) rules: &'a [Rule],
    pub(super) horizon: chrono::TimeDelta,
    pub(super) ledger: Vec<LedgerEntry>,
    pub(super) picture: Picture,
    pub(super) passes: Vec<Pass>,
    pub(super) events: Vec<DeliveryRow>,
    pub(super) pagerduty: HealthView,
    pub(super) strongdm: HealthView,
}

impl<'a> Facts<'a> {
    pub(super) async fn gather(app: &'a App) -> Result<Self, AppError> {
        let now = clock::now();
        let settings = app.reconciler.settings();
        let reports = app.store.last_passes(PASSES).await?;
        Ok(Self {
            now,
            rules: &settings.rules,
            horizon: settings.horizon,
            ledger: app.store.ledger(now).await?,
            picture: app.reconciler.picture().await?,
            // A report of another version that cannot be read is left out.
            passes: reports.iter().filter_map(|report| serde_json::from_str(report).ok()).collect(),
            events: app.store.delivery_page(EVENTS, None).await?.items,
            pagerduty: app.metrics.pagerduty.view(),
            strongdm: app.metrics.strongdm.view(),
        })
    }
}

/// A kept report, as far as the page shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pass {
    #[serde(rename = "pass_id")]
    pub(super) id: String,
    pub(super) trigger: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
    pub(super) oncalls: usize,
    pub(super) created: Vec<Stretch>,
    pub(super) revoked: Vec<Stretch>,
    pub(super) unchanged: usize,
    pub(super) held: Vec<Stretch>,
    pub(super) deferred: Vec<Stretch>,
    pub(super) skipped: Vec<serde_json::Map<String, serde_json::Value>>,
    pub(super) unknown: Vec<serde_json::Map<String, serde_json::Value>>,
    pub(super) failed: Vec<Failure>,
}

/// A write that failed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) action: String,
    pub(super) grant: Stretch,
    pub(super) error: String,
}

impl Pass {
    /// One word for what came of it.
    pub(super) fn result(&self) -> &'static str {
        if !self.failed.is_empty() {
            "failed"
        } else if !self.unknown.is_empty() {
            "incomplete"
        } else if !self.held.is_empty() {
            "held"
        } else {
            "complete"
        }
    }
}

/// Whether an upstream answered the last time, as far as this process asked.
pub(super) fn answers(health: &HealthView) -> Option<bool> {
    match (&health.last_success, &health.last_error) {
        (None, None) => None,
        (Some(_), None) => Some(true),
        (None, Some(_)) => Some(false),
        (Some(success), Some(error)) => Some(*success >= error.at),
    }
}
