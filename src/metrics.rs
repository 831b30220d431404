//! What the service counts and measures, in one registry, and each upstream's last success and error.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use serde::Serialize;

use crate::{clock, store::Standing};

/// One label, `result`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    /// What came of it.
    pub result: &'static str,
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
    /// `done` or `failed`.
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

/// Tells upstreams apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByUpstream {
    /// `pagerduty` or `strongdm`.
    pub upstream: &'static str,
}

/// All metrics; names start with `oncall_grants_`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Webhooks by what they were answered.
    pub webhooks: Family<ByResult, Counter>,
    /// How long a webhook took to be durable and answered.
    pub webhook_seconds: Histogram,
    /// Passes.
    pub passes: Family<ByTrigger, Counter>,
    /// How long passes took.
    pub pass_seconds: Histogram,
    /// Writes to strongDM.
    pub grant_writes: Family<ByAction, Counter>,
    /// When everything was last observed, in seconds since 1970.
    pub last_complete_pass: Gauge,
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
    /// What the upstream's rate limit had left, as far as it said.
    pub rate_limit_remaining: Family<ByUpstream, Gauge>,
    /// PagerDuty's last success and error.
    pub pagerduty: Health,
    /// strongDM's last success and error.
    pub strongdm: Health,
}

impl Metrics {
    /// Shows what the last passes found, wherever they ran.
    pub fn show(&self, standing: &Standing) {
        let Standing { held, deferred, skipped, unknown, grants, last_complete } = *standing;
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
        let mut registry = Registry::with_prefix("oncall_grants");
        let seconds =
            || Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0]);
        let (webhook_seconds, pass_seconds) = (seconds(), seconds());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the program", build);
        let webhooks = Family::default();
        registry.register("webhooks", "Webhooks by what they were answered", webhooks.clone());
        let help = "Time from a webhook's arrival to its answer";
        registry.register_with_unit("webhook_duration", help, Unit::Seconds, webhook_seconds.clone());
        let passes = Family::default();
        registry.register("passes", "Passes by trigger and result", passes.clone());
        let help = "Duration of a pass";
        registry.register_with_unit("pass_duration", help, Unit::Seconds, pass_seconds.clone());
        let grant_writes = Family::default();
        registry.register(
            "grant_writes",
            "Grants made and taken back, by action and result",
            grant_writes.clone(),
        );
        let mut gauge = |name: &str, help: &str| {
            let gauge: Gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let help = "When a pass last observed everything, in seconds since 1970";
        let last_complete_pass = gauge("last_complete_pass_timestamp_seconds", help);
        let held = gauge("held_revocations", "Revocations that the guard holds");
        let deferred = gauge("deferred_windows", "Wanted windows that wait for a grant in their way");
        let skipped =
            gauge("skipped_records", "People, resources and filters that nothing could be done about");
        let unknown = gauge("unknown_observations", "Schedules, policies and look-ups without an answer");
        let grants = gauge("grants", "Grants of ours in force or coming");
        let requests = Family::default();
        registry.register("upstream_requests", "Requests to PagerDuty and strongDM", requests.clone());
        let rate_limit_remaining = Family::default();
        let help = "What the upstream's rate limit had left in its last answer";
        registry.register("rate_limit_remaining", help, rate_limit_remaining.clone());
        Self {
            registry,
            webhooks,
            webhook_seconds,
            passes,
            pass_seconds,
            grant_writes,
            last_complete_pass,
            held,
            deferred,
            skipped,
            unknown,
            grants,
            requests,
            rate_limit_remaining,
            pagerduty: Health::default(),
            strongdm: Health::default(),
        }
    }

    /// The metrics in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes everything");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// An upstream's last success and last error.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<HealthView>>);

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
        let mut health = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match outcome {
            Ok(()) => health.last_success = Some(clock::now()),
            Err(message) => health.last_error = Some(LastError { at: clock::now(), message }),
        }
    }

    /// What is known.
    pub fn view(&self) -> HealthView {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
