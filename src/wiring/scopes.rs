//! Which scopes of PagerDuty's OAuth tokens the configuration uses, and what for.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::Config,
    model::{Group, PeopleSelector, Rule},
    pagerduty::Scope,
};

/// For what PagerDuty is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Passes, and whatever looks at what they look at.
    Access,
    /// The commands that manage the webhook subscription.
    Webhooks,
}

/// What each scope is needed for, in words: rules and keys of the configuration, or commands.
pub(crate) fn needed(config: &Config, purpose: Purpose) -> BTreeMap<Scope, Vec<String>> {
    let mut needed: BTreeMap<Scope, Vec<String>> = BTreeMap::new();
    match purpose {
        Purpose::Access => {
            for rule in &config.rules {
                for scope in of_rule(rule) {
                    needed.entry(scope).or_default().push(format!("rule {:?}", rule.name));
                }
            }
            if config.server.public_url.is_some() {
                let what = "server.public_url, to watch the webhook subscription".to_owned();
                needed.entry(Scope::ReadSubscriptions).or_default().push(what);
            }
        }
        Purpose::Webhooks => {
            for scope in [Scope::ReadSubscriptions, Scope::WriteSubscriptions] {
                needed.entry(scope).or_default().push("every webhook command".to_owned());
            }
            for scope in [Scope::ReadIncidents, Scope::ReadServices] {
                needed.entry(scope).or_default().push("webhook create and webhook rotate".to_owned());
            }
        }
    }
    needed
}

/// What is asked for: what is needed, and what would be used as well if the app had it.
pub(super) fn asked_for(config: &Config, purpose: Purpose) -> BTreeSet<Scope> {
    let mut scopes: BTreeSet<Scope> = needed(config, purpose).into_keys().collect();
    if scopes.contains(&Scope::ReadSubscriptions) {
        // With it, the service switches its subscription on again by itself.
        scopes.insert(Scope::WriteSubscriptions);
    }
    let has_priorities = |rule: &Rule| match &rule.people {
        PeopleSelector::Incidents(selector) => !selector.priorities.is_empty(),
        PeopleSelector::Schedules(_) | PeopleSelector::Policies { .. } => false,
    };
    if purpose == Purpose::Access && config.rules.iter().any(has_priorities) {
        // With it, `check` tells of a priority that does not exist. Passes do without.
        scopes.insert(Scope::ReadPriorities);
    }
    scopes
}

fn of_rule(rule: &Rule) -> BTreeSet<Scope> {
    match &rule.people {
        PeopleSelector::Schedules(_) => {
            BTreeSet::from([Scope::ReadOnCalls, Scope::ReadSchedules, Scope::ReadUsers])
        }
        // Its schedules are looked at where nobody is told to be on call through them.
        PeopleSelector::Policies { .. } => {
            BTreeSet::from([Scope::ReadOnCalls, Scope::ReadSchedules, Scope::ReadUsers, Scope::ReadPolicies])
        }
        PeopleSelector::Incidents(selector) => {
            let mut scopes = BTreeSet::from([Scope::ReadIncidents, Scope::ReadServices, Scope::ReadUsers]);
            for group in &selector.eligible {
                match group {
                    Group::Team(_) => scopes.extend([Scope::ReadTeams]),
                    Group::Schedule(_) => scopes.extend([Scope::ReadSchedules]),
                    Group::Policy(_) => scopes.extend([Scope::ReadPolicies, Scope::ReadSchedules]),
                }
            }
            scopes
        }
    }
}
