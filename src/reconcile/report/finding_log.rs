//! What full passes found amiss ahead: counted, and told in the log once.

use std::collections::BTreeSet;

use crate::{
    metrics::{ByKind, Metrics},
    model::{Finding, FindingKind, Unknown},
};

/// The findings of the last full pass.
#[derive(Debug, Default)]
pub(super) struct FindingLog(Vec<Finding>);

impl FindingLog {
    /// Counts what a full pass found, and tells what is new. What an unanswered question may hide still counts, and is
    /// not told again when it shows.
    pub(super) fn record(&mut self, metrics: &Metrics, found: Vec<Finding>, unknown: &[Unknown]) {
        let known = std::mem::take(&mut self.0);
        for finding in found.iter().filter(|finding| !finding.is_among(&known)) {
            tracing::warn!(finding.kind = finding.kind.as_str(), "found ahead: {finding}");
        }
        let kinds: BTreeSet<FindingKind> = known.iter().chain(&found).map(|finding| finding.kind).collect();
        let may_be_hidden = |finding: &Finding| !unknown.is_empty() && !finding.is_among(&found);
        let hidden: Vec<Finding> = known.into_iter().filter(may_be_hidden).collect();
        self.0 = found.into_iter().chain(hidden).collect();
        for kind in kinds {
            let count = self.0.iter().filter(|finding| finding.kind == kind).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.preflight.get_or_create(&ByKind { kind: kind.as_str() }).set(count);
        }
    }
}
