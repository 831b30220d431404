//! How old what we know of each rule is: the first number to look at when somebody has no access.

use chrono::{DateTime, Utc};

use crate::{
    metrics::{ByRule, Metrics},
    model::{Observed, Rule, Source, UserId},
    reconcile::{plan::Settings, world::World},
};

/// Records for every rule of which everything was observed that this was at `now`.
pub(crate) fn record(metrics: &Metrics, settings: &Settings, world: &World, now: DateTime<Utc>) {
    for rule in settings.rules.iter().filter(|rule| is_observed(settings, world, rule)) {
        let label = ByRule { rule: rule.name.clone() };
        metrics.rule_observed.get_or_create(&label).set(now.timestamp());
    }
}

/// Shows each rule as never observed.
pub(crate) fn reset(metrics: &Metrics, settings: &Settings) {
    for Rule { name, .. } in &settings.rules {
        metrics.rule_observed.get_or_create(&ByRule { rule: name.clone() }).set(0);
    }
}

/// Whether PagerDuty and strongDM answered all that the rule depends on: who is on call, who these people are, which
/// accounts are theirs, and which resources are meant. That somebody has no account is an answer.
fn is_observed(settings: &Settings, world: &World, rule: &Rule) -> bool {
    let resources = rule
        .resources
        .iter()
        .all(|selector| matches!(world.resources.get(selector), Some(Observed::Known(_))));
    let is_seen = |source: &Source| {
        world.is_answered(source)
            && world.users_of(source).into_iter().all(|user| is_identified(settings, world, user))
    };
    resources && rule.sources().iter().all(is_seen)
}

fn is_identified(settings: &Settings, world: &World, user: &UserId) -> bool {
    match world.people.get(user) {
        Some(Observed::Known(Some(raw))) => settings
            .aliases
            .account_email(raw)
            .map_or(true, |email| matches!(world.accounts.get(&email), Some(Observed::Known(_)))),
        Some(Observed::Known(None)) => true,
        Some(Observed::Unknown(_)) | None => false,
    }
}
