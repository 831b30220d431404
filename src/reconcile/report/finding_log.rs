//! What full passes found amiss ahead: counted, and told in the log once.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    metrics::{ByKind, Metrics},
    model::{Finding, FindingKind, Names, Unknown},
};

/// The findings of the last full pass.
#[derive(Debug, Default)]
pub(super) struct FindingLog(Vec<Finding>);

impl FindingLog {
    /// Counts what a full pass found, and tells what is new. What an unanswered question may hide still counts, and is
    /// not told again when it shows.
    pub(super) fn record(
        &mut self,
        metrics: &Metrics,
        found: Vec<Finding>,
        unknown: &[Unknown],
        names: &Names,
    ) {
        let known = std::mem::take(&mut self.0);
        let told = by_subject(&known);
        for finding in found.iter().filter(|finding| !is_among(finding, &told)) {
            let told = names.tell(&finding.to_string());
            tracing::warn!(finding.kind = finding.kind.as_str(), "found ahead: {told}");
        }
        let kinds: BTreeSet<FindingKind> = known.iter().chain(&found).map(|finding| finding.kind).collect();
        let seen = by_subject(&found);
        let may_be_hidden = |finding: &&Finding| !unknown.is_empty() && !is_among(finding, &seen);
        let hidden: Vec<Finding> = known.iter().filter(may_be_hidden).cloned().collect();
        self.0 = found.into_iter().chain(hidden).collect();
        for kind in kinds {
            let count = self.0.iter().filter(|finding| finding.kind == kind).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.preflight.get_or_create(&ByKind { kind: kind.as_str() }).set(count);
        }
    }
}

/// Findings by what they are about; there may be many.
type BySubject<'f> = BTreeMap<(FindingKind, &'f str), Vec<&'f Finding>>;

fn by_subject(findings: &[Finding]) -> BySubject<'_> {
    let mut by_subject = BySubject::new();
    for finding in findings {
        by_subject.entry((finding.kind, &finding.subject)).or_default().push(finding);
    }
    by_subject
}

fn is_among(finding: &Finding, known: &BySubject<'_>) -> bool {
    let same = known.get(&(finding.kind, finding.subject.as_str()));
    same.is_some_and(|same| finding.is_among(same.iter().copied()))
}
