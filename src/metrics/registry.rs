//! Every metric with its name and its help text, in one registry.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use super::{
    ByAction, ByAnswer, ByBudget, ByCall, ByCertainty, ByKind, ByOperation, ByResult, ByRule, ByState,
    ByTask, ByTrigger, ByUpstream, Durations, Exposition, Health,
    names::{Names, new},
    rate_limits::{Budget, LimitView, RateLimits, Told},
    work::Work,
};
use crate::{
    clock,
    model::{AuditAction, AuditOutcome, Certainty, PassCounts, Upstream},
};

/// All metrics; names start with `oncall_grants_`.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Webhooks by what they were answered.
    pub(crate) webhooks: Family<ByAnswer, Counter>,
    /// How long a webhook took to be durable and answered.
    pub(crate) webhook_seconds: Histogram,
    /// How long a webhook took to become access.
    pub(crate) webhook_to_grant_seconds: Histogram,
    /// Webhooks that no pass has served yet.
    pub(crate) waiting_webhooks: Gauge<f64, AtomicU64>,
    /// For how long the oldest of them has been waiting.
    pub(crate) oldest_waiting_webhook: Gauge<f64, AtomicU64>,
    /// Passes.
    pub(crate) passes: Family<ByTrigger, Counter>,
    /// How long passes took.
    pub(crate) pass_seconds: Histogram,
    /// Writes to strongDM.
    pub(crate) grant_writes: Family<ByAction, Counter>,
    /// When everything was last observed, in seconds since 1970.
    pub(crate) last_complete_pass: Gauge,
    /// When everything that a rule depends on was last observed, in seconds since 1970.
    pub(crate) rule_observed: Family<ByRule, Gauge>,
    /// Revocations that the guard holds.
    pub(crate) held: Gauge,
    /// Windows that wait for a grant in their way.
    pub(crate) deferred: Gauge,
    /// Skipped records.
    pub(crate) skipped: Gauge,
    /// Unobserved sources and look-ups.
    pub(crate) unknown: Gauge,
    /// Grants of ours in force or coming.
    pub(crate) grants: Gauge,
    /// Open incidents that rules are about.
    pub(crate) open_incidents: Gauge,
    /// People who have access because of one of them.
    pub(crate) people_in_incidents: Gauge,
    /// Upstream requests.
    pub(crate) requests: Family<ByCall, Counter>,
    /// How long upstream requests took.
    pub(crate) request_seconds: Durations<ByOperation>,
    /// How many requests the upstreams' limits allow, what their last answers left of them, and which part was used lately.
    rate_limit: Family<ByBudget, Gauge>,
    rate_limit_remaining: Family<ByBudget, Gauge>,
    rate_limit_used: Family<ByBudget, Gauge<f64, AtomicU64>>,
    /// What they are shown from.
    rate_limits: RateLimits,
    being_shown: Mutex<()>,
    /// TLS handshakes by how they ended.
    pub(crate) tls_handshakes: Family<ByResult, Counter>,
    /// Changes of the certificate files by whether they could be taken over.
    pub(crate) tls_reloads: Family<ByResult, Counter>,
    /// When the certificate in use expires, in seconds since 1970; 0 without TLS.
    pub(crate) tls_certificate_expiry: Gauge,
    /// What the last full pass found amiss within the horizon.
    pub(crate) preflight: Family<ByKind, Gauge>,
    /// 1 for the state that our webhook subscription was last seen in.
    pub(crate) subscription: Family<ByState, Gauge>,
    /// How often our subscription was switched on again.
    pub(crate) subscription_enabled: Counter,
    /// Bad signatures that came with our subscription's name, and how often it was proved that they were its own.
    pub(crate) wrong_secret: Family<ByCertainty, Counter>,
    /// Unsigned requests to look, by what they were answered.
    pub(crate) triggers: Family<ByResult, Counter>,
    /// Notices by what came of sending them.
    pub(crate) notices: Family<ByResult, Counter>,
    /// Requests to a route that asks for a token without the right one.
    pub(crate) admin_refused: Family<ByResult, Counter>,
    /// How far each upstream's clock was ahead of ours in its last answer.
    pub(crate) clock_ahead: Family<ByUpstream, Gauge>,
    /// How often a background task died and was begun again.
    pub(crate) task_failures: Family<ByTask, Counter>,
    /// Which background task died last.
    pub(crate) tasks: Health,
    /// PagerDuty's last success and error.
    pub(crate) pagerduty: Health,
    /// strongDM's last success and error.
    pub(crate) strongdm: Health,
}

/// A request to an upstream that is over.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Whom it was sent to.
    pub(crate) upstream: Upstream,
    /// What it asked for, such as `on_calls` or `AccountGrants.Create`.
    pub(crate) operation: &'static str,
    /// The HTTP status or gRPC code, or `error` if none arrived.
    pub(crate) code: String,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Metrics {
    /// Shows what the last passes found, wherever they ran.
    pub(crate) fn show(&self, counts: &PassCounts) {
        let PassCounts {
            held,
            deferred,
            skipped,
            unknown,
            grants,
            incidents,
            people_in_incidents,
            last_complete,
        } = *counts;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.held.set(count(held));
        self.deferred.set(count(deferred));
        self.skipped.set(count(skipped));
        self.unknown.set(count(unknown));
        self.grants.set(count(grants));
        self.open_incidents.set(count(incidents));
        self.people_in_incidents.set(count(people_in_incidents));
        if let Some(at) = last_complete {
            self.last_complete_pass.set(at.timestamp());
        }
    }

    /// A fresh set of metrics.
    #[expect(clippy::too_many_lines, reason = "a list of all metrics")]
    pub(crate) fn new() -> Self {
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
            open_incidents: names.add("open_incidents", "Open incidents that rules are about", new()),
            people_in_incidents: names.add(
                "people_in_incidents",
                "People who have access because of an open incident",
                new(),
            ),
            requests: names.add("upstream_requests", "Requests to PagerDuty and strongDM", new()),
            request_seconds: names.durations(
                "upstream_request_duration",
                "Time from a request to PagerDuty or strongDM to its answer",
            ),
            rate_limit: names.add(
                "rate_limit",
                "How many requests a limit of the upstream allows, as its last answer told; absent if none told it lately",
                new(),
            ),
            rate_limit_remaining: names.add(
                "rate_limit_remaining",
                "What a limit of the upstream had left in its last answer; absent if none told it lately",
                new(),
            ),
            rate_limit_used: names.add(
                "rate_limit_used_ratio",
                "The largest part of a limit of the upstream that was used in any answer of the last five minutes; absent if \
                 none told how much is allowed",
                new(),
            ),
            rate_limits: RateLimits::default(),
            being_shown: Mutex::default(),
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
                "Webhooks in the name of our own subscription whose signature none of the configured secrets made, and \
                 proofs that PagerDuty sent them",
                new(),
            ),
            triggers: names.add("triggers", "Requests to look that carried a token, by answer", new()),
            notices: names.add(
                "notices",
                "Notices to endpoints: sent, attempts that failed, and those that were dropped after a day of them",
                new(),
            ),
            admin_refused: names.add(
                "admin_requests_refused",
                "Requests without the admin or trigger token that their route asks for, or with a wrong one",
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
            task_failures: names.add(
                "task_failures",
                "How often a background task died and was begun again",
                new(),
            ),
            tasks: Health::default(),
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
        for action in [AuditAction::Create, AuditAction::Revoke].map(AuditAction::as_str) {
            for result in [AuditOutcome::Done, AuditOutcome::Failed].map(AuditOutcome::as_str) {
                self.grant_writes.get_or_create(&ByAction { action, result }).inc_by(0);
            }
        }
        for certainty in Certainty::ALL.map(Certainty::as_str) {
            self.wrong_secret.get_or_create(&ByCertainty { certainty }).inc_by(0);
        }
        for result in ["client_refused", "refused_by_client", "failed"] {
            self.tls_handshakes.get_or_create(&ByResult { result }).inc_by(0);
        }
        self.triggers.get_or_create(&ByResult { result: "unavailable" }).inc_by(0);
        for result in ["sent", "failed", "dropped"] {
            self.notices.get_or_create(&ByResult { result }).inc_by(0);
        }
        for result in ["no_token", "wrong_token"] {
            self.admin_refused.get_or_create(&ByResult { result }).inc_by(0);
        }
        for result in ["done", "failed"] {
            self.tls_reloads.get_or_create(&ByResult { result }).inc_by(0);
        }
    }

    /// Counts one request to an upstream, and notes what its answer told of a limit.
    pub(crate) fn record_request(&self, sent: Sent, told: Option<(Budget, Told)>) {
        let Sent { upstream, operation, code, seconds } = sent;
        let purpose = Work::count(upstream, operation);
        let upstream = upstream.as_str();
        self.request_seconds.get_or_create(&ByOperation { upstream, operation }).observe(seconds);
        self.requests.get_or_create(&ByCall { upstream, operation, code, purpose }).inc();
        if let Some((budget, told)) = told {
            self.rate_limits.record(budget, told, clock::now());
        }
    }

    /// The limits of the upstreams, as far as their answers of the last minutes told.
    pub(crate) fn rate_limits(&self) -> Vec<LimitView> {
        self.rate_limits.view(clock::now())
    }

    /// What is not known any more is not shown any more.
    fn show_rate_limits(&self) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.rate_limit.clear();
        self.rate_limit_remaining.clear();
        self.rate_limit_used.clear();
        for LimitView { upstream, kind, last, used } in self.rate_limits() {
            let budget = ByBudget { upstream: upstream.as_str(), budget: kind };
            self.rate_limit_remaining.get_or_create(&budget).set(number(last.remaining));
            if let Some(limit) = last.limit {
                self.rate_limit.get_or_create(&budget).set(number(limit));
            }
            if let Some(used) = used {
                self.rate_limit_used.get_or_create(&budget).set(used);
            }
        }
    }

    /// Shows how many deliveries wait, and for how many seconds the oldest has; `None` if the store does not say.
    pub(crate) fn set_waiting(&self, waiting: Option<(f64, f64)>) {
        let (count, age) = waiting.unwrap_or((f64::NAN, f64::NAN));
        self.waiting_webhooks.set(count);
        self.oldest_waiting_webhook.set(age);
    }

    /// The metrics as text.
    pub(crate) fn text(&self, format: Exposition) -> String {
        let mut text = String::new();
        // One at a time, so that nobody reads what is not shown again yet.
        let _shown = self.being_shown.lock();
        self.show_rate_limits();
        encode(&mut text, &self.registry).expect("a String takes everything");
        format.of(text)
    }
}
