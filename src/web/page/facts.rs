//! Gathers what the page shows, from the store and from memory. No upstream is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use url::Url;

use super::timeline::Known;
use crate::{
    clock,
    metrics::{HealthView, LimitView},
    model::{Finding, LedgerRow, Names, Rule, Source},
    notices::{self, EndpointView},
    reconcile::report::{
        PassReport,
        snapshot::{SourceStatus, StatusSnapshot, WrongSecret},
    },
    store::{AccessCounts, DeliveryRow, LogHead, View},
    subscription::{LastSeen, State},
    web::{error::AppError, state::AppState},
};

/// The passes and events that are read: enough to see a bad night. `/api/audit` and `/api/events` have the rest.
const PASSES: u32 = 10;
const EVENTS: u32 = 200;

/// Everything that the page is made of, at one instant.
pub(super) struct Facts<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) rules: &'a [Rule],
    pub(super) horizon: chrono::TimeDelta,
    /// Who has access now.
    pub(super) in_force: AccessCounts,
    /// The grants that the guard keeps from being revoked.
    pub(super) held: BTreeSet<LedgerRow>,
    pub(super) snapshot: StatusSnapshot,
    /// Which store this is, and how much is in its audit.
    pub(super) log: LogHead,
    /// What things and people are called.
    pub(super) names: Arc<Names>,
    pub(super) passes: Vec<PassReport>,
    pub(super) events: Vec<DeliveryRow>,
    pub(super) pagerduty: HealthView,
    pub(super) strongdm: HealthView,
    /// As far as answers told this process.
    pub(super) rate_limits: Vec<LimitView>,
    pub(super) webhooks: Webhooks,
    /// Who is told of changes.
    pub(super) endpoints: Vec<EndpointView>,
    /// Our subscription signs with a secret that we do not have, as far as is known.
    pub(super) wrong_secret: Option<WrongSecret>,
}

/// Whether webhooks can reach us.
#[derive(Debug)]
pub(super) struct Webhooks {
    /// Where they are delivered to; none if nobody watches that.
    pub(super) url: Option<Url>,
    /// None before PagerDuty was first asked.
    pub(super) state: Option<State>,
    pub(super) looked_at: Option<DateTime<Utc>>,
    pub(super) findings: Arc<[Finding]>,
    pub(super) has_secrets: bool,
}

impl<'a> Facts<'a> {
    pub(super) async fn gather(state: &'a AppState) -> Result<Self, AppError> {
        let now = clock::now();
        let settings = state.reconciler.settings();
        let reports = state.store.last_passes(PASSES).await?;
        let snapshot = state.reconciler.snapshots().read().await?;
        let events = state.store.delivery_page(EVENTS, None).await?.items;
        let in_force = View::between(now, now);
        let wrong_secret = snapshot.wrong_secret.clone();
        Ok(Self {
            now,
            rules: &settings.rules,
            horizon: settings.horizon,
            in_force: state.store.count_accesses(&in_force).await?,
            held: state.reconciler.snapshots().held().await?,
            snapshot,
            log: state.store.log_head().await?,
            names: state.reconciler.names().await,
            // A report of another version that cannot be read is left out.
            passes: reports.iter().filter_map(|report| serde_json::from_str(report).ok()).collect(),
            wrong_secret: wrong_secret.filter(|wrong| !is_mended(wrong, &events, &state.subscription)),
            events,
            pagerduty: state.metrics.pagerduty.view(),
            strongdm: state.metrics.strongdm.view(),
            rate_limits: state.metrics.rate_limits(),
            endpoints: notices::views(&state.store, &state.endpoints).await?,
            webhooks: Webhooks {
                url: state.subscription.url(),
                state: state.subscription.state(),
                looked_at: state.subscription.looked_at(),
                findings: state.subscription.findings(),
                has_secrets: !state.webhook_secrets.current().await.is_empty(),
            },
        })
    }

    /// What the timeline shows beside the grants.
    pub(super) fn known(&self) -> Known<'_> {
        Known { held: &self.held, snapshot: &self.snapshot, rules: self.rules }
    }

    /// What the schedules and policies last answered.
    pub(super) fn sources(&self) -> BTreeMap<&Source, &SourceStatus> {
        self.snapshot.sources.iter().map(|status| (&status.source, status)).collect()
    }

    /// Whether a schedule or policy of the rule could not be observed the last time.
    pub(super) fn has_unknown_source(&self, rule: &Rule) -> bool {
        let sources = rule.sources();
        self.snapshot.sources.iter().any(|status| status.error.is_some() && sources.contains(&status.source))
    }
}

/// Whether a signed webhook of that subscription was accepted since, or there is no such subscription any more.
fn is_mended(wrong: &WrongSecret, events: &[DeliveryRow], subscription: &LastSeen) -> bool {
    subscription.is_gone_since(wrong.at, &wrong.subscription) || wrong.is_mended_by(events)
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
