//! The operator's rules: who gets access to which resources.

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{IncidentSelector, KubernetesGroups, OnCall, PolicyId, ScheduleId, Source};

/// The configuration's word on who gets access to which resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique name; it is the attribution of every grant.
    pub name: String,
    /// Who gets access.
    pub people: PeopleSelector,
    /// Which resources they get.
    pub resources: Vec<ResourceSelector>,
    /// The Kubernetes groups in which they may act there.
    pub kubernetes_groups: KubernetesGroups,
    /// Access starts this much before the shift; never before somebody's part in an incident.
    pub start_early: TimeDelta,
    /// Access ends this much after the shift, or after the part in the incident.
    pub end_late: TimeDelta,
}

/// The people that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeopleSelector {
    /// Everyone on call through one of these schedules, in whatever policy and level.
    Schedules(Vec<ScheduleId>),
    /// On-calls of these escalation policies.
    Policies {
        /// The policies.
        ids: Vec<PolicyId>,
        /// Only these levels; empty means all.
        levels: Vec<u32>,
        /// Whether on-calls without start and end (direct user targets) count.
        include_always_on_call: bool,
    },
    /// Whoever works on an open incident.
    Incidents(IncidentSelector),
}

impl Rule {
    /// What PagerDuty must be asked about for this rule.
    pub fn sources(&self) -> Vec<Source> {
        match &self.people {
            PeopleSelector::Schedules(ids) => ids.iter().cloned().map(Source::Schedule).collect(),
            PeopleSelector::Policies { ids, .. } => ids.iter().cloned().map(Source::Policy).collect(),
            PeopleSelector::Incidents(selector) => {
                selector.services.iter().cloned().map(Source::Service).collect()
            }
        }
    }

    /// Whether PagerDuty must be asked about this source for the rule.
    pub fn names(&self, source: &Source) -> bool {
        match (&self.people, source) {
            (PeopleSelector::Schedules(ids), Source::Schedule(id)) => ids.contains(id),
            (PeopleSelector::Policies { ids, .. }, Source::Policy(id)) => ids.contains(id),
            (PeopleSelector::Incidents(selector), Source::Service(id)) => selector.services.contains(id),
            (
                PeopleSelector::Schedules(_) | PeopleSelector::Policies { .. } | PeopleSelector::Incidents(_),
                _,
            ) => false,
        }
    }

    /// Whether this on-call, listed under one of the rule's sources, gives access.
    pub fn selects(&self, on_call: &OnCall) -> bool {
        match &self.people {
            PeopleSelector::Schedules(_) => true,
            PeopleSelector::Incidents(_) => false,
            PeopleSelector::Policies { levels, include_always_on_call, ids: _ } => {
                let always = on_call.start.is_none() && on_call.end.is_none();
                (*include_always_on_call || !always)
                    && (levels.is_empty() || on_call.level.is_some_and(|level| levels.contains(&level)))
            }
        }
    }
}

/// How a rule names resources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceSelector {
    /// The one resource of exactly this name.
    Name(String),
    /// Every resource that this strongDM filter expression matches now.
    Filter(String),
}

impl fmt::Display for ResourceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "resource {name:?}"),
            Self::Filter(filter) => write!(f, "resource filter {filter:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn always_on_call_is_who_neither_begins_nor_ends() {
        let rule = Rule {
            name: "levels".into(),
            people: PeopleSelector::Policies {
                ids: vec!["PPOLICY".into()],
                levels: vec![1],
                include_always_on_call: false,
            },
            resources: Vec::new(),
            kubernetes_groups: KubernetesGroups::default(),
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        };
        let at = DateTime::from_timestamp(1_800_000_000, 0);
        let selected = [(None, None), (at, None), (None, at), (at, at)].map(|(start, end)| {
            rule.selects(&OnCall {
                user: "PUSER".into(),
                email: None,
                schedule: None,
                policy: Some("PPOLICY".into()),
                level: Some(1),
                start,
                end,
            })
        });
        assert_eq!(selected, [false, true, true, true]);
    }
}
