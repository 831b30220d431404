//! Why PagerDuty did not tell, in words for whoever has to mend it.

use crate::{
    model::{Fault, Group, Rule, Source},
    pagerduty::Error,
};

/// About the on-calls of `source`.
pub(super) fn source(error: &Error, source: &Source, rules: &[Rule]) -> Fault {
    let (what, right) = match source {
        Source::Schedule(_) => ("schedule", "schedules.read"),
        Source::Policy(_) => ("escalation policy", "escalation_policies.read"),
        Source::Service(_) => ("service", "incidents.read"),
    };
    if !matches!(error, Error::NotFound(_)) {
        return Fault { error: error.to_string(), remedy: error.remedy(right) };
    }
    let naming = rules.iter().filter(|rule| rule.names(source));
    let naming: Vec<String> = naming.map(|rule| format!("{:?}", rule.name)).collect();
    let rules = if naming.len() == 1 { "rule" } else { "rules" };
    Fault {
        error: format!("PagerDuty knows no such {what}, or hides it from this token (404)"),
        remedy: format!("correct the ID in {rules} {}", naming.join(", ")),
    }
}

/// About the list of who is on call, where it does not tell about `source`.
pub(super) fn listing(error: &Error, source: &Source, rules: &[Rule]) -> Fault {
    match error {
        Error::NotFound(_) => self::source(error, source, rules),
        _ => Fault { error: error.to_string(), remedy: error.remedy("oncalls.read") },
    }
}

/// About an incident.
pub(super) fn incident(error: &Error) -> Fault {
    Fault { error: error.to_string(), remedy: error.remedy("incidents.read") }
}

/// About who belongs to a group.
pub(super) fn members(error: &Error, group: &Group) -> Fault {
    let right = match group {
        Group::Team(_) => "teams.read",
        Group::Schedule(_) => "schedules.read",
        Group::Policy(_) => "escalation_policies.read",
    };
    Fault { error: error.to_string(), remedy: error.remedy(right) }
}

/// About a user.
pub(super) fn user(error: &Error) -> Fault {
    Fault { error: error.to_string(), remedy: error.remedy("users.read") }
}
