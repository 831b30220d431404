//! What the service counts and measures, in one registry, and each upstream's last success and error.

use std::{
    fmt::Debug,
    hash::Hash,
    sync::{Arc, atomic::AtomicU64},
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Metric, Registry, Unit},
};
use serde::Serialize;

use crate::{clock, model::PassCounts};

/// One label, `result`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    /// What came of it.
    pub result: &'static str,
}

/// Webhooks by what they were answered and by the secret that signed them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByAnswer {
    /// `accepted`, `duplicate`, `ignored`, `bad_signature`, `too_large`, `unavailable` or `error`.
    pub result: &'static str,
    /// The place of the secret among `webhook_secrets`, counted from 1; `none` if none fits. Shows during a rotation
    /// whether the old secret is still in use.
    pub secret: String,
}

/// One label, `rule`: as many as the configuration has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByRule {
    /// The rule's name.
    pub rule: String,
}

/// Passes are told apart by their trigger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByTrigger {
    /// Why the pass ran.
    pub trigger: &'static str,
    /// `complete`, `incomplete` or `error`.
    pub result: &'static str,
}

/// Writes to strongDM.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByAction {
    /// `create` or `revoke`.
    pub action: &'static str,
    /// `done`, `failed`, or `refused` where strongDM's refusal was expected.
    pub result: &'static str,
}

/// Upstream requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCall {
    /// `pagerduty` or `strongdm`.
    pub upstream: &'static str,
    /// The operation, such as `oncalls` or `AccountGrants.Create`.
    pub operation: &'static str,
    /// The HTTP status or gRPC code, or `error` if none arrived.
    pub code: String,
}

/// Upstream requests by what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByOperation {
    /// `pagerduty` or `strongdm`.
    pub upstream: &'static str,
    /// The operation, such as `oncalls` or `AccountGrants.Create`.
    pub operation: &'static str,
}

/// Findings are told apart by their kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByKind {
    /// One of a few fixed words.
    pub kind: &'static str,
}

/// The states that something can be in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByState {
    /// One of a few fixed words.
    pub state: &'static str,
}

/// Tells upstreams apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByUpstream {
    /// `pagerduty` or `strongdm`.
    pub upstream: &'static str,
}

/// A histogram for each set of labels, in seconds.
pub type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics; names start with `oncall_grants_`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Webhooks by what they were answered.
    pub webhooks: Family<ByAnswer, Counter>,
    /// How long a webhook took to be durable and answered.
    pub webhook_seconds: Histogram,
    /// How long a webhook took to become access.
    pub webhook_to_grant_seconds: Histogram,
    /// Webhooks that no pass has served yet.
    pub waiting_webhooks: Gauge<f64, AtomicU64>,
    /// For how long the oldest of them has been waiting.
    pub oldest_waiting_webhook: Gauge<f64, AtomicU64>,
    /// Passes.
    pub passes: Family<ByTrigger, Counter>,
    /// How long passes took.
    pub pass_seconds: Histogram,
    /// Writes to strongDM.
    pub grant_writes: Family<ByAction, Counter>,
    /// When everything was last observed, in seconds since 1970.
    pub last_complete_pass: Gauge,
    /// When everything that a rule depends on was last observed, in seconds since 1970.
    pub rule_observed: Family<ByRule, Gauge>,
    /// Revocations that the guard holds.
    pub held: Gauge,
    /// Windows that wait for a grant in their way.
    pub deferred: Gauge,
    /// Skipped records.
    pub skipped: Gauge,
    /// Unobserved sources and look-ups.
    pub unknown: Gauge,
    /// Grants of ours in force or coming.
    pub grants: Gauge,
    /// Upstream requests.
    pub requests: Family<ByCall, Counter>,
    /// How long upstream requests took.
    pub request_seconds: Durations<ByOperation>,
    /// What the upstream's rate limit had left, as far as it said.
    pub rate_limit_remaining: Family<ByUpstream, Gauge>,
    /// TLS handshakes by how they ended.
    pub tls_handshakes: Family<ByResult, Counter>,
    /// Changes of the certificate files by whether they could be taken over.
    pub tls_reloads: Family<ByResult, Counter>,
    /// When the certificate in use expires, in seconds since 1970; 0 without TLS.
    pub tls_certificate_expiry: Gauge,
    /// What the last full pass found amiss within the horizon.
    pub preflight: Family<ByKind, Gauge>,
    /// 1 for the state that our webhook subscription was last seen in.
    pub subscription: Family<ByState, Gauge>,
    /// How often our subscription was switched on again.
    pub subscription_enabled: Counter,
    /// Bad signatures that came with our subscription's name.
    pub wrong_secret: Counter,
    /// How far each upstream's clock was ahead of ours in its last answer.
    pub clock_ahead: Family<ByUpstream, Gauge>,
    /// PagerDuty's last success and error.
    pub pagerduty: Health,
    /// strongDM's last success and error.
    pub strongdm: Health,
}

impl Metrics {
    /// Shows what the last passes found, wherever they ran.
    pub fn show(&self, standing: &PassCounts) {
        let PassCounts { held, deferred, skipped, unknown, grants, last_complete } = *standing;
        let count = |list: usize| i64::try_from(list).unwrap_or(i64::MAX);
        self.held.set(count(held));
        self.deferred.set(count(deferred));
        self.skipped.set(count(skipped));
        self.unknown.set(count(unknown));
        self.grants.set(count(grants));
        if let Some(at) = last_complete {
            self.last_complete_pass.set(at.timestamp());
        }
    }

    /// A fresh set of metrics.
    pub fn new() -> Self {
        let mut names = Names(Registry::with_prefix("oncall_grants"));
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        names.0.register("build", "Version of the program", build);
        let metrics = Self {
            webhooks: names.add("webhooks", "Webhooks by answer and by the secret that signed them", new()),
            webhook_seconds: names.seconds("webhook_duration", "Time from a webhook's arrival to its answer"),
            webhook_to_grant_seconds: names.seconds(
                "webhook_to_grant_duration",
                "Time from the arrival of the oldest webhook that a pass serves to the end of that pass's writes",
            ),
            waiting_webhooks: names.add("waiting_webhooks", "Webhooks that no pass has served yet", new()),
            oldest_waiting_webhook: names.add(
                "oldest_waiting_webhook_age_seconds",
                "For how long the oldest webhook that no pass has served yet has been waiting",
                new(),
            ),
            passes: names.add("passes", "Passes by trigger and result", new()),
            pass_seconds: names.seconds("pass_duration", "Duration of a pass"),
            grant_writes: names.add("grant_writes", "Grants made and taken back, by action and result", new()),
            last_complete_pass: names.add(
                "last_complete_pass_timestamp_seconds",
                "When a pass last observed everything, here, elsewhere or before a restart, in seconds since 1970; 0 if none \
                 is known to have",
                new(),
            ),
            rule_observed: names.add(
                "rule_observed_timestamp_seconds",
                "When all that a rule depends on was last observed, in seconds since 1970; 0 if not since the start",
                new(),
            ),
            held: names.add("held_revocations", "Revocations that the guard holds", new()),
            deferred: names.add("deferred_windows", "Wanted windows that wait for a grant in their way", new()),
            skipped: names.add(
                "skipped_records",
                "People, resources and filters that nothing could be done about",
                new(),
            ),
            unknown: names.add(
                "unknown_observations",
                "Schedules, policies and look-ups without an answer",
                new(),
            ),
            grants: names.add("grants", "Grants of ours in force or coming", new()),
            requests: names.add("upstream_requests", "Requests to PagerDuty and strongDM", new()),
            request_seconds: names.durations(
                "upstream_request_duration",
                "Time from a request to PagerDuty or strongDM to its answer",
            ),
            rate_limit_remaining: names.add(
                "rate_limit_remaining",
                "What the upstream's rate limit had left in its last answer",
                new(),
            ),
            preflight: names.add(
                "preflight_findings",
                "What the last full pass found amiss within the horizon, by kind",
                new(),
            ),
            subscription: names.add(
                "subscription_state",
                "1 for the state that PagerDuty last showed of our webhook subscription",
                new(),
            ),
            subscription_enabled: names.add(
                "subscription_enabled",
                "How often the webhook subscription was switched on again after PagerDuty had switched it off",
                new(),
            ),
            wrong_secret: names.add(
                "webhooks_wrong_secret",
                "Webhooks of our own subscription whose signature none of the configured secrets made",
                new(),
            ),
            clock_ahead: names.gauge_seconds(
                "upstream_clock_ahead",
                "How far the upstream's clock was ahead of ours in its last answer, in whole seconds",
            ),
            tls_handshakes: names.add("tls_handshakes", "TLS handshakes by how they ended", new()),
            tls_reloads: names.add(
                "tls_reloads",
                "Changes of the certificate files by whether they were taken over",
                new(),
            ),
            tls_certificate_expiry: names.add(
                "tls_certificate_expiry_timestamp_seconds",
                "When the certificate in use expires, in seconds since 1970; 0 without TLS",
                new(),
            ),
            pagerduty: Health::default(),
            strongdm: Health::default(),
            registry: names.0,
        };
        metrics.begin_at_zero();
        metrics
    }

    /// Counters that alerts watch start with a 0: the step from nothing to 1 is no increase to Prometheus.
    fn begin_at_zero(&self) {
        for result in ["bad_signature", "unavailable"] {
            self.webhooks.get_or_create(&ByAnswer { result, secret: "none".to_owned() }).inc_by(0);
        }
        for action in ["create", "revoke"] {
            for result in ["done", "failed"] {
                self.grant_writes.get_or_create(&ByAction { action, result }).inc_by(0);
            }
        }
        for result in ["client_refused", "refused_by_client", "failed"] {
            self.tls_handshakes.get_or_create(&ByResult { result }).inc_by(0);
        }
        for result in ["done", "failed"] {
            self.tls_reloads.get_or_create(&ByResult { result }).inc_by(0);
        }
    }

    /// Notes how one request to an upstream went.
    pub fn note_request(&self, call: &ByCall, seconds: f64, rate_limit_remaining: Option<i64>) {
        let ByCall { upstream, operation, code: _ } = *call;
        self.request_seconds.get_or_create(&ByOperation { upstream, operation }).observe(seconds);
        self.requests.get_or_create(call).inc();
        if let Some(remaining) = rate_limit_remaining {
            self.rate_limit_remaining.get_or_create(&ByUpstream { upstream }).set(remaining);
        }
    }

    /// Notes which deliveries wait: how many, and for how many seconds the oldest; `None` if that cannot be told.
    pub fn note_waiting(&self, waiting: Option<(f64, f64)>) {
        let (count, age) = waiting.unwrap_or((f64::NAN, f64::NAN));
        self.waiting_webhooks.set(count);
        self.oldest_waiting_webhook.set(age);
    }

    /// The metrics in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes everything");
        text
    }
}

/// The registry while it is filled.
struct Names(Registry);

impl Names {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = histogram();
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }

    fn gauge_seconds<L>(&mut self, name: &str, help: &str) -> Family<L, Gauge>
    where
        L: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static,
    {
        let gauges = Family::default();
        self.0.register_with_unit(name, help, Unit::Seconds, gauges.clone());
        gauges
    }

    fn durations<L>(&mut self, name: &str, help: &str) -> Durations<L>
    where
        L: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static,
    {
        let durations = Durations::new_with_constructor(histogram as fn() -> Histogram);
        self.0.register_with_unit(name, help, Unit::Seconds, durations.clone());
        durations
    }
}

fn new<M: Default>() -> M {
    M::default()
}

/// From a webhook's answer, a millisecond or two, to a pass that is cut off after two minutes.
fn histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// An upstream's last success and last error.
#[derive(Clone, Debug, Default)]
pub struct Health {
    view: Arc<Mutex<HealthView>>,
    clocks: Arc<Mutex<Option<Clocks>>>,
}

/// What two clocks showed at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The upstream's, which tells whole seconds.
    pub theirs: DateTime<Utc>,
    /// Ours.
    pub ours: DateTime<Utc>,
}

/// An upstream's health as `/readyz` shows it.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct HealthView {
    /// When a request last succeeded, in UTC.
    pub last_success: Option<DateTime<Utc>>,
    /// The last failure.
    pub last_error: Option<LastError>,
}

/// A failure of an upstream.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LastError {
    /// When, in UTC.
    pub at: DateTime<Utc>,
    /// What went wrong, without secrets.
    pub message: String,
}

impl Health {
    /// Notes the outcome of a request.
    pub fn note(&self, outcome: Result<(), String>) {
        let mut health = self.view.lock();
        match outcome {
            Ok(()) => health.last_success = Some(clock::now()),
            Err(message) => health.last_error = Some(LastError { at: clock::now(), message }),
        }
    }

    /// Notes what the upstream's clock showed just now; how far it is ahead, in seconds.
    pub fn note_clock(&self, theirs: DateTime<Utc>) -> i64 {
        let clocks = Clocks { theirs, ours: clock::now() };
        *self.clocks.lock() = Some(clocks);
        (clocks.theirs - clocks.ours).num_seconds()
    }

    /// What the clocks showed at its last answer.
    pub fn clocks(&self) -> Option<Clocks> {
        *self.clocks.lock()
    }

    /// What is known.
    pub fn view(&self) -> HealthView {
        self.view.lock().clone()
    }
}

#[cfg(test)]
mod tests;
