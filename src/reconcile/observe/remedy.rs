//! Why PagerDuty did not tell, in words for whoever has to mend it.

use crate::{
    model::{Rule, Source, Unseen},
    pagerduty::Error,
};

/// About the on-calls of `source`.
pub(in crate::reconcile) fn source(error: &Error, source: &Source, rules: &[Rule]) -> Unseen {
    let (what, right) = match source {
        Source::Schedule(_) => ("schedule", "schedules.read"),
        Source::Policy(_) => ("escalation policy", "escalation_policies.read"),
    };
    if !matches!(error, Error::NotFound(_)) {
        return Unseen { error: error.to_string(), remedy: error.remedy(right) };
    }
    let naming = rules.iter().filter(|rule| rule.sources().contains(source));
    let naming: Vec<String> = naming.map(|rule| format!("{:?}", rule.name)).collect();
    let rules = if naming.len() == 1 { "rule" } else { "rules" };
    Unseen {
        error: format!("PagerDuty knows no such {what}, or hides it from this token (404)"),
        remedy: format!("correct the ID in {rules} {}", naming.join(", ")),
    }
}

/// About who is on call at all.
pub(in crate::reconcile) fn on_calls(error: &Error) -> Unseen {
    Unseen { error: error.to_string(), remedy: error.remedy("oncalls.read") }
}

/// About a user.
pub(in crate::reconcile) fn user(error: &Error) -> Unseen {
    Unseen { error: error.to_string(), remedy: error.remedy("users.read") }
}
