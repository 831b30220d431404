//! What trying both APIs showed: findings, and what they already explain.

use std::collections::BTreeSet;

use crate::model::{Asked, Finding, Source};

#[derive(Debug, Default)]
pub(super) struct Trials {
    pub(super) findings: Vec<Finding>,
    /// Whether it makes sense to ask PagerDuty more.
    pub(super) pagerduty_answers: bool,
    /// What cannot be read, for a reason that a finding names.
    pub(super) unreadable: BTreeSet<Unreadable>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unreadable {
    Source(Source),
    /// PagerDuty's users.
    Users,
    /// strongDM's accounts.
    Accounts,
    /// strongDM's resources.
    Resources,
}

impl Trials {
    /// Whether a finding already says why this could not be seen.
    pub(super) fn explain(&self, about: &Asked) -> bool {
        let unreadable = match about {
            Asked::Schedule(_) | Asked::Policy(_) | Asked::Service(_) => {
                about.source().map(Unreadable::Source)
            }
            Asked::User(_) => Some(Unreadable::Users),
            Asked::Account(_) => Some(Unreadable::Accounts),
            Asked::Resource(_) => Some(Unreadable::Resources),
            Asked::Incident(_) | Asked::Write(_) | Asked::List(_) | Asked::Other(_) => None,
        };
        unreadable.is_some_and(|unreadable| self.unreadable.contains(&unreadable))
    }
}
