//! How old what we know of each rule is: the first number to look at when somebody has no access.

use chrono::{DateTime, Utc};

use crate::{
    metrics::ByRule,
    model::{Observed, OnCall, Rule},
    reconcile::{Reconciler, plan::Settings, world::World},
};

impl Reconciler {
    /// Notes for every rule of which everything was seen that it was seen at `now`.
    pub(in crate::reconcile) fn note_observed(&self, world: &World, now: DateTime<Utc>) {
        for rule in self.settings.rules.iter().filter(|rule| is_observed(&self.settings, world, rule)) {
            let label = ByRule { rule: rule.name.clone() };
            self.metrics.rule_observed.get_or_create(&label).set(now.timestamp());
        }
    }
}

/// Whether PagerDuty and strongDM answered all that the rule depends on: who is on call, who these people are, which
/// accounts are theirs, and which resources are meant. That somebody has no account is an answer.
fn is_observed(settings: &Settings, world: &World, rule: &Rule) -> bool {
    let resources = rule
        .resources
        .iter()
        .all(|selector| matches!(world.resources.get(selector), Some(Observed::Known(_))));
    let people = |on_calls: &[OnCall]| on_calls.iter().all(|on_call| is_identified(settings, world, on_call));
    resources
        && rule.sources().iter().all(|source| match world.on_calls.get(source) {
            Some(Observed::Known(on_calls)) => people(on_calls),
            Some(Observed::Unknown(_)) | None => false,
        })
}

fn is_identified(settings: &Settings, world: &World, on_call: &OnCall) -> bool {
    match world.people.get(&on_call.user) {
        Some(Observed::Known(Some(raw))) => settings
            .aliases
            .account_email(raw)
            .map_or(true, |email| matches!(world.accounts.get(&email), Some(Observed::Known(_)))),
        Some(Observed::Known(None)) => true,
        Some(Observed::Unknown(_)) | None => false,
    }
}
