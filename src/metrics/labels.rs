//! The labels that tell the series of one metric apart: few, and of a few values each.

use prometheus_client::encoding::EncodeLabelSet;

/// One label, `task`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByTask {
    /// The name of a task beside the web side and the reconciler.
    pub(crate) task: &'static str,
}

/// One label, `certainty`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByCertainty {
    /// `claimed` or `proved`.
    pub(crate) certainty: &'static str,
}

/// One label, `result`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByResult {
    /// What came of it.
    pub(crate) result: &'static str,
}

/// Webhooks by what they were answered and by the secret that signed them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByAnswer {
    /// `accepted`, `duplicate`, `ignored`, `bad_signature`, `too_large`, `unavailable` or `error`.
    pub(crate) result: &'static str,
    /// The place of the secret among `webhook_secrets`, counted from 1; `none` if none fits. Shows during a rotation
    /// whether the old secret is still in use.
    pub(crate) secret: String,
}

/// One label, `rule`: as many as the configuration has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByRule {
    /// The rule's name.
    pub(crate) rule: String,
}

/// Passes are told apart by their trigger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByTrigger {
    /// Why the pass ran.
    pub(crate) trigger: &'static str,
    /// `complete`, `incomplete` or `error`.
    pub(crate) result: &'static str,
}

/// Writes to strongDM.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByAction {
    /// `create` or `revoke`.
    pub(crate) action: &'static str,
    /// `done`, `failed`, or `refused` where strongDM's refusal was expected.
    pub(crate) result: &'static str,
}

/// Upstream requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByCall {
    /// `pagerduty` or `strongdm`.
    pub(crate) upstream: &'static str,
    /// The operation, such as `oncalls` or `AccountGrants.Create`.
    pub(crate) operation: &'static str,
    /// The HTTP status or gRPC code, or `error` if none arrived.
    pub(crate) code: String,
    /// `pass`, `comparison`, `standby`, `question`, `subscription` or `other`.
    pub(crate) purpose: &'static str,
}

/// Limits of upstreams.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByBudget {
    /// `pagerduty` or `strongdm`.
    pub(crate) upstream: &'static str,
    /// What it is a limit of: `on_calls`, `requests`, `reads` or `writes`.
    pub(crate) budget: &'static str,
}

/// Upstream requests by what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByOperation {
    /// `pagerduty` or `strongdm`.
    pub(crate) upstream: &'static str,
    /// The operation, such as `oncalls` or `AccountGrants.Create`.
    pub(crate) operation: &'static str,
}

/// Findings are told apart by their kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByKind {
    /// One of a few fixed words.
    pub(crate) kind: &'static str,
}

/// The states that something can be in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByState {
    /// One of a few fixed words.
    pub(crate) state: &'static str,
}

/// Tells upstreams apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByUpstream {
    /// `pagerduty` or `strongdm`.
    pub(crate) upstream: &'static str,
}
