//! What the handlers share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use url::Url;

use super::{
    body::BodyBudget,
    store_check::StoreCheck,
    tokens::Tokens,
    webhook::{
        refused::{RefusedSignatures, Senders},
        secrets::WebhookSecrets,
    },
};
use crate::{
    config::Endpoint, evidence::Evidence, metrics::Metrics, reconcile::Reconciler, store::SharedStore,
    subscription::LastSeen, telemetry::throttle::LogThrottle,
};

/// A broken automation sends signed bodies without an event again and again; they are logged at most this often.
const LOG_WITHOUT_EVENT_EVERY: Duration = Duration::from_mins(5);

/// Anybody can send wrong tokens; they are logged at most this often.
const LOG_WRONG_TOKENS_EVERY: Duration = Duration::from_secs(10);

/// What the handlers share, for as long as the service runs.
#[derive(Debug)]
pub(crate) struct AppState {
    /// Keeps deliveries and answers listings.
    pub(crate) store: SharedStore,
    /// Runs passes on request and explains access.
    pub(crate) reconciler: Arc<Reconciler>,
    /// Vouches for the audit.
    pub(crate) evidence: Evidence,
    /// Counts and measures.
    pub(crate) metrics: Arc<Metrics>,
    /// The secrets that may have signed a webhook.
    pub(crate) webhook_secrets: WebhookSecrets,
    /// What PagerDuty last showed of the subscription that delivers to us.
    pub(crate) subscription: Arc<LastSeen>,
    /// The tokens that senders must show.
    pub(super) tokens: Tokens,
    /// The memory that request bodies may take together.
    pub(super) bodies: BodyBudget,
    /// Tells everybody who asks how the store fares.
    pub(super) store_check: StoreCheck,
    /// Counts and logs webhooks that none of our secrets signed.
    pub(super) refused_signatures: RefusedSignatures,
    /// Throttles the log line about wrong tokens.
    pub(super) wrong_tokens: LogThrottle,
    /// Throttles the log line about signed webhooks without an event.
    pub(super) signed_without_event: LogThrottle,
    /// Who is told of changes.
    pub(super) endpoints: Vec<Endpoint>,
    /// The path that a proxy puts before ours, such as `/grants`; empty if it puts none.
    pub(super) prefix: String,
    /// Set when the service is about to stop.
    stopping: AtomicBool,
}

impl AppState {
    /// The state of a service that has just started.
    pub(crate) fn new(
        store: SharedStore,
        reconciler: Arc<Reconciler>,
        evidence: Evidence,
        metrics: Arc<Metrics>,
        webhook_secrets: WebhookSecrets,
        tokens: Tokens,
        senders: Senders,
    ) -> Self {
        Self {
            store,
            reconciler,
            evidence,
            metrics,
            webhook_secrets,
            subscription: Arc::default(),
            tokens,
            bodies: BodyBudget::default(),
            store_check: StoreCheck::default(),
            refused_signatures: RefusedSignatures::new(senders),
            wrong_tokens: LogThrottle::every(LOG_WRONG_TOKENS_EVERY),
            signed_without_event: LogThrottle::every(LOG_WITHOUT_EVENT_EVERY),
            endpoints: Vec::new(),
            prefix: String::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// The same for a service that others reach at this address.
    #[must_use]
    pub(crate) fn reached_at(self, public_url: Option<&Url>) -> Self {
        let path = public_url.map(Url::path).unwrap_or_default();
        Self { prefix: path.trim_end_matches('/').to_owned(), ..self }
    }

    /// The same for a service that tells these endpoints of changes.
    #[must_use]
    pub(crate) fn tells(self, endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints, ..self }
    }

    /// From now on no webhook and no pass is taken, and `/readyz` sends the load balancer elsewhere.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the service is about to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
