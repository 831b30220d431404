//! The labels that tell the series of one metric apart: few, and of a few values each.

use prometheus_client::encoding::EncodeLabelSet;

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
