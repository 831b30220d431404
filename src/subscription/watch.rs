//! Looks at our subscription now and then, and switches it on again when PagerDuty switched it off.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::diagnose::{State, delivering_to, judge, state};
use crate::{
    clock,
    metrics::{ByState, Metrics},
    model::{Finding, FindingKind},
    pagerduty::{self, Error, Subscription},
    reconcile::{PassRequest, Reconciler, report::Trigger},
};

/// How often it is looked. PagerDuty drops events while the subscription is off; the timer finds changes meanwhile.
const EVERY: Duration = Duration::from_mins(5);
/// How often it is looked when the token may not: rights change rarely.
const EVERY_IF_FORBIDDEN: Duration = Duration::from_hours(1);

/// What was last seen of our subscription.
#[derive(Debug, Default)]
pub struct Watch(RwLock<Seen>);

#[derive(Debug, Default)]
struct Seen {
    url: Option<Url>,
    state: Option<State>,
    looked_at: Option<DateTime<Utc>>,
    /// When PagerDuty last listed subscriptions, if it ever did.
    listed_at: Option<DateTime<Utc>>,
    /// Those that deliver to us.
    ids: BTreeSet<String>,
    findings: Arc<[Finding]>,
}

impl Watch {
    /// Whether this is the ID of a subscription that delivers to us.
    pub fn is_ours(&self, id: &str) -> bool {
        self.seen().ids.contains(id)
    }

    /// Whether PagerDuty has shown after `then` that no subscription of this ID delivers to us any more.
    pub fn is_gone_since(&self, then: DateTime<Utc>, id: &str) -> bool {
        let seen = self.seen();
        seen.listed_at.is_some_and(|at| at > then) && !seen.ids.contains(id)
    }

    /// Where it delivers to; none if nobody looks, because the configuration does not say where PagerDuty reaches us.
    pub fn url(&self) -> Option<Url> {
        self.seen().url.clone()
    }

    /// Says that somebody will look.
    pub fn expect(&self, url: Url) {
        self.0.write().url = Some(url);
    }

    /// The state that it was last seen in; none before the first look, and if nobody looks.
    pub fn state(&self) -> Option<State> {
        self.seen().state
    }

    /// When it was last looked.
    pub fn looked_at(&self) -> Option<DateTime<Utc>> {
        self.seen().looked_at
    }

    /// What is wrong with it.
    pub fn findings(&self) -> Arc<[Finding]> {
        Arc::clone(&self.seen().findings)
    }

    fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        self.0.read()
    }

    fn note(&self, state: State, ids: Option<BTreeSet<String>>, findings: Vec<Finding>) {
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

/// What it takes to watch the subscription.
pub struct Watched {
    /// Where it delivers to.
    pub url: Url,
    /// Looks at it.
    pub client: pagerduty::Client,
    /// Looks at everything after it was off.
    pub reconciler: Arc<Reconciler>,
    /// Shows its state.
    pub metrics: Arc<Metrics>,
    /// Remembers its state.
    pub watch: Arc<Watch>,
    /// Whether any webhook secret is known; one may appear while the service runs.
    pub has_secrets: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

impl Watched {
    /// Watches until `shutdown`.
    pub async fn watch(&self, shutdown: CancellationToken) {
        loop {
            let mut listed = self.client.subscriptions().await;
            let off = self.take_in(&listed).await;
            if self.enable(&off).await {
                let pass = self.reconciler.sync_here(Trigger::Subscription, PassRequest::default()).await;
                if let Err(error) = pass {
                    tracing::error!("the pass after switching the webhook subscription on failed: {error}");
                }
                listed = self.client.subscriptions().await;
                self.take_in(&listed).await;
            }
            let pause = if matches!(listed, Err(Error::Forbidden(_))) { EVERY_IF_FORBIDDEN } else { EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Takes in what was seen; answers the IDs of those that PagerDuty switched off.
    async fn take_in(&self, listed: &Result<Vec<Subscription>, Error>) -> Vec<String> {
        let findings = judge(listed, &self.url, (self.has_secrets)().await);
        let known = self.watch.findings();
        for finding in findings.iter().filter(|finding| !finding.is_among(&known)) {
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
                let off = ours.iter().filter(|one| state(one) == State::TemporarilyDisabled);
                let off: Vec<String> = off.map(|one| one.id.clone()).collect();
                (worst(&ours), Some(ids), off)
            }
            Err(Error::Forbidden(_)) => (State::Forbidden, None, Vec::new()),
            Err(_) => (State::Unknown, None, Vec::new()),
        };
        self.watch.note(seen, ids, findings);
        for one in State::ALL {
            let value = i64::from(one == seen);
            self.metrics.subscription.get_or_create(&ByState { state: one.as_str() }).set(value);
        }
        off
    }

    /// Switches on again what PagerDuty switched off; whether any was.
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
    let states: Vec<State> = ours.iter().map(|one| state(one)).collect();
    let order = [State::TemporarilyDisabled, State::Inactive, State::Active];
    order.into_iter().find(|one| states.contains(one)).unwrap_or(State::Missing)
}
