//! Counts and logs the webhooks whose signature is refused. Anybody can send them, so each kind of line is throttled by
//! itself: forged webhooks do not keep the line about our own subscription from being written.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{model::Certainty, telemetry::throttle::LogThrottle};

const LOG_EVERY: Duration = Duration::from_secs(10);
/// A subscription whose webhook one of our secrets signed within this time has not lost its secret. Who sends one that
/// fits none, in its name, is somebody else.
const PROVEN_FOR: Duration = Duration::from_hours(1);

/// Who can send webhooks here at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Senders {
    /// Whoever reaches us.
    Anybody,
    /// Holders of a client certificate that the configuration names: PagerDuty, and the operator's own machines.
    Named,
}

/// The refused webhooks since the last log line of each kind.
#[derive(Debug)]
pub(crate) struct RefusedSignatures {
    senders: Senders,
    ours: LogThrottle,
    strangers: LogThrottle,
    unsigned: LogThrottle,
    without_secret: LogThrottle,
    /// When one of our secrets last signed a webhook of each of our subscriptions.
    proven: Mutex<BTreeMap<String, Instant>>,
}

/// Who sent a refused webhook, as far as its unsigned headers tell.
#[derive(Clone, Copy)]
pub(super) enum Sender<'h> {
    /// The subscription of this ID, which delivers to us.
    OurSubscription(&'h str),
    /// Somebody else, with the subscription that it names.
    Stranger(Option<&'h str>),
}

impl RefusedSignatures {
    /// Nothing was refused yet.
    pub(crate) fn new(senders: Senders) -> Self {
        let [ours, strangers, unsigned, without_secret] =
            std::array::from_fn(|_| LogThrottle::every(LOG_EVERY));
        Self { senders, ours, strangers, unsigned, without_secret, proven: Mutex::default() }
    }

    /// How sure it is that PagerDuty sent what names a subscription of ours.
    pub(super) fn certainty(&self) -> Certainty {
        match self.senders {
            Senders::Anybody => Certainty::Claimed,
            Senders::Named => Certainty::Proved,
        }
    }

    /// Notes that one of our secrets signed a webhook of this subscription of ours.
    pub(super) fn record_proof(&self, subscription: &str) {
        self.proven.lock().insert(subscription.to_owned(), Instant::now());
    }

    /// Whether one of our secrets has signed a webhook of this subscription lately.
    pub(super) fn is_proven(&self, subscription: &str) -> bool {
        self.proven.lock().get(subscription).is_some_and(|at| at.elapsed() < PROVEN_FOR)
    }

    /// Counts a webhook that arrived while no secret is configured.
    pub(super) fn record_without_secret(&self) {
        let Some(count) = self.without_secret.count() else { return };
        tracing::warn!(
            webhooks.refused = count,
            "answered a webhook 503, for no webhook secret is configured; set pagerduty.webhook_secrets or its file (if the \
             secret is lost: oncall-grants webhook rotate)",
        );
    }

    /// Counts a webhook without any signature, with the subscription that it names.
    pub(super) fn record_unsigned(&self, claimed: Option<&str>) {
        let Some(count) = self.unsigned.count() else { return };
        tracing::warn!(
            webhooks.refused = count,
            "refused {} without an X-PagerDuty-Signature header{}; if PagerDuty sent it, a proxy in front of the service \
             strips that header and must let it pass, before PagerDuty switches the subscription off after three in a row",
            webhooks(count),
            named(claimed),
        );
    }

    /// Counts a webhook that none of our secrets signed.
    pub(super) fn record(&self, sender: Sender<'_>) {
        match sender {
            Sender::OurSubscription(id) => {
                let Some(count) = self.ours.count() else { return };
                match self.certainty() {
                    Certainty::Proved => tracing::error!(
                        webhooks.refused = count,
                        "our webhook subscription {id} signs with a secret that is not configured; add it to \
                         pagerduty.webhook_secrets (if it is lost: oncall-grants webhook rotate), before PagerDuty switches \
                         the subscription off after three refusals in a row. If it is configured, {REWRITES}",
                    ),
                    Certainty::Claimed => tracing::warn!(
                        webhooks.refused = count,
                        "refused {} in the name of our webhook subscription {id}, signed with none of the configured secrets: \
                         either its secret is missing in pagerduty.webhook_secrets, or {REWRITES}, or somebody else sent it; \
                         oncall-grants webhook ping {id} tells",
                        webhooks(count),
                    ),
                }
            }
            Sender::Stranger(claimed) => {
                let Some(count) = self.strangers.count() else { return };
                tracing::warn!(
                    webhooks.refused = count,
                    "refused {} whose signature was made with none of the configured secrets{}; if PagerDuty sent it, its \
                     secret is missing in pagerduty.webhook_secrets, or {REWRITES}; after three in a row PagerDuty switches \
                     the subscription off for a day",
                    webhooks(count),
                    named(claimed),
                );
            }
        }
    }
}

/// The other reason why a signature does not fit.
const REWRITES: &str = "a proxy in front of the service rewrites bodies, of which not one byte may change";

fn webhooks(count: u64) -> String {
    if count == 1 { "a webhook".to_owned() } else { format!("{count} webhooks") }
}

fn named(claimed: Option<&str>) -> String {
    claimed.map(|id| format!("; the last one names the subscription {id:?}")).unwrap_or_default()
}
