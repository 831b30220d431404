//! Watches our subscription: lists it periodically, and enables it again when PagerDuty disabled it, which also proves that
//! the webhooks in its name that were refused before came from PagerDuty.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    diagnose::{SecretStatus, State, delivering_to, diagnose},
    wanted_events,
};
use crate::{
    clock,
    metrics::{ByCertainty, ByState, Metrics},
    model::{Certainty, Finding, FindingKind, instant::to_second},
    pagerduty::{self, Error, Subscription},
    reconcile::{PassRequest, Reconciler, report::Trigger},
};

/// How often PagerDuty is asked. It drops events while the subscription is disabled; meanwhile the timer finds changes.
const EVERY: Duration = Duration::from_mins(5);
/// How often PagerDuty is asked while the token may not read subscriptions: rights change rarely.
const EVERY_IF_FORBIDDEN: Duration = Duration::from_hours(1);

/// What PagerDuty last showed of our subscription.
#[derive(Debug, Default)]
pub(crate) struct LastSeen(RwLock<Seen>);

#[derive(Debug, Default)]
struct Seen {
    url: Option<Url>,
    state: Option<State>,
    looked_at: Option<DateTime<Utc>>,
    /// When PagerDuty last listed subscriptions, if it ever did.
    listed_at: Option<DateTime<Utc>>,
    /// The subscriptions that deliver to us.
    ids: BTreeSet<String>,
    findings: Arc<[Finding]>,
}

impl LastSeen {
    /// Whether this is the ID of a subscription that delivers to us.
    pub(crate) fn is_ours(&self, id: &str) -> bool {
        self.seen().ids.contains(id)
    }

    /// Whether PagerDuty listed subscriptions after `then`, and none of this ID that delivers to us.
    pub(crate) fn is_gone_since(&self, then: DateTime<Utc>, id: &str) -> bool {
        let seen = self.seen();
        seen.listed_at.is_some_and(|at| at > then) && !seen.ids.contains(id)
    }

    /// Where it delivers to; none if nobody watches, because the configuration does not say where PagerDuty reaches us.
    pub(crate) fn url(&self) -> Option<Url> {
        self.seen().url.clone()
    }

    /// Remembers that somebody watches the subscription that delivers to this URL.
    pub(crate) fn set_url(&self, url: Url) {
        self.0.write().url = Some(url);
    }

    /// Its last state; none before PagerDuty was first asked, and if nobody watches.
    pub(crate) fn state(&self) -> Option<State> {
        self.seen().state
    }

    /// When PagerDuty was last asked.
    pub(crate) fn looked_at(&self) -> Option<DateTime<Utc>> {
        self.seen().looked_at
    }

    /// What is wrong with it.
    pub(crate) fn findings(&self) -> Arc<[Finding]> {
        Arc::clone(&self.seen().findings)
    }

    fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        self.0.read()
    }

    fn record(&self, state: State, ids: Option<BTreeSet<String>>, findings: Vec<Finding>) {
        let mut seen = self.0.write();
        seen.state = Some(state);
        let now = Some(clock::now());
        seen.looked_at = now;
        seen.findings = findings.into();
        if let Some(ids) = ids {
            seen.ids = ids;
            seen.listed_at = now;
        }
    }
}

/// Watches the subscription.
pub(crate) struct Watcher {
    /// Where it delivers to.
    pub(crate) url: Url,
    /// Lists and enables subscriptions.
    pub(crate) client: pagerduty::Client,
    /// Runs a full pass after the subscription was disabled.
    pub(crate) reconciler: Arc<Reconciler>,
    /// Shows its state.
    pub(crate) metrics: Arc<Metrics>,
    /// Remembers its state.
    pub(crate) last_seen: Arc<LastSeen>,
    /// Whether the service knows any webhook secret now; it may learn one while it runs.
    pub(crate) secret_status: Box<dyn Fn() -> BoxFuture<'static, SecretStatus> + Send + Sync>,
}

impl Watcher {
    /// Watches until `shutdown`.
    pub(crate) async fn watch(&self, shutdown: CancellationToken) {
        loop {
            let mut listed = self.client.subscriptions().await;
            let off = self.record(&listed).await;
            if listed.is_ok()
                && let Err(error) = self.reconciler.tell_subscriptions_off(&off).await
            {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot tell others about the webhook subscription");
            }
            self.blame_secret(&off).await;
            if self.enable(&off).await {
                let pass = self.reconciler.sync_here(Trigger::Subscription, PassRequest::default()).await;
                if let Err(error) = pass {
                    tracing::error!("the pass after switching the webhook subscription on failed: {error}");
                }
                listed = self.client.subscriptions().await;
                self.record(&listed).await;
            }
            let pause = if matches!(listed, Err(Error::Forbidden(_))) { EVERY_IF_FORBIDDEN } else { EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Logs, records and counts what PagerDuty listed; answers the IDs of the subscriptions that PagerDuty disabled.
    async fn record(&self, listed: &Result<Vec<Subscription>, Error>) -> Vec<String> {
        let events = wanted_events(&self.reconciler.settings().rules);
        let findings = diagnose(listed, &self.url, &events, (self.secret_status)().await);
        let known = self.last_seen.findings();
        for finding in findings.iter().filter(|finding| !finding.is_among(&*known)) {
            match finding.kind {
                // What is done about it is logged.
                FindingKind::SubscriptionDisabled => {}
                FindingKind::SubscriptionNotReadable => {
                    tracing::info!(finding.kind = finding.kind.as_str(), "{finding}");
                }
                _ => tracing::warn!(finding.kind = finding.kind.as_str(), "{finding}"),
            }
        }
        let (seen, ids, off) = match listed {
            Ok(listed) => {
                let ours = delivering_to(listed, &self.url);
                let ids = ours.iter().map(|one| one.id.clone()).collect();
                let off = ours.iter().filter(|one| State::of(one) == State::TemporarilyDisabled);
                let off: Vec<String> = off.map(|one| one.id.clone()).collect();
                (worst(&ours), Some(ids), off)
            }
            Err(Error::Forbidden(_)) => (State::Forbidden, None, Vec::new()),
            Err(_) => (State::Unknown, None, Vec::new()),
        };
        self.last_seen.record(seen, ids, findings);
        for one in State::ALL {
            let value = i64::from(one == seen);
            self.metrics.subscription.get_or_create(&ByState { state: one.as_str() }).set(value);
        }
        off
    }

    /// Says of these subscriptions that they sign with a secret that we do not have, if webhooks in their name were refused:
    /// that PagerDuty switched them off for it proves that it was not somebody else who sent those.
    async fn blame_secret(&self, off: &[String]) {
        for id in off {
            match self.reconciler.snapshots().prove_wrong_secret(id).await {
                Ok(Some(at)) => {
                    let certainty = Certainty::Proved.as_str();
                    self.metrics.wrong_secret.get_or_create(&ByCertainty { certainty }).inc();
                    tracing::error!(
                        "our webhook subscription {id} signs with a secret that is not configured: webhooks in its name were \
                         refused, the last at {}, and PagerDuty has switched it off for that; add its secret to \
                         pagerduty.webhook_secrets (if it is lost: oncall-grants webhook rotate)",
                        to_second(at),
                    );
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot tell why PagerDuty has switched the webhook subscription {id} off"
                ),
            }
        }
    }

    /// Enables these subscriptions again; whether that worked for any.
    async fn enable(&self, off: &[String]) -> bool {
        let mut enabled = false;
        for id in off {
            match self.client.enable_subscription(id).await {
                Ok(()) => {
                    enabled = true;
                    self.metrics.subscription_enabled.inc();
                    tracing::error!(
                        "PagerDuty had switched the webhook subscription {id} off, because deliveries were refused; \
                         it is on again, and everything is looked at now, since the events in between are lost; see \
                         why deliveries were refused (is its secret configured?), or it goes off again"
                    );
                }
                Err(error) => tracing::error!(
                    "PagerDuty has switched the webhook subscription {id} off, and it cannot be switched on: {error}; \
                     changes are found by the timer only; run oncall-grants webhook enable with a token that may"
                ),
            }
        }
        enabled
    }
}

fn worst(ours: &[&Subscription]) -> State {
    let states: Vec<State> = ours.iter().map(|one| State::of(one)).collect();
    let order = [State::TemporarilyDisabled, State::Inactive, State::Active];
    order.into_iter().find(|one| states.contains(one)).unwrap_or(State::Missing)
}
