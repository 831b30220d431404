//! Who should have what at one instant: the contract (§2, promises 2 and 4 of §5, §8, §9) in Rust, to be read beside
//! it. Whom an address and what a name means (promise 8), and which grants stay because nobody knows, is in
//! `specification/meant.rs`.
//!
//! It asks every rule about every on-call and every part in an incident, and knows no windows, unions, grants to be
//! made or order. The planner must agree with it on random worlds (`properties.rs`) and in every state of small ones
//! (`exhaustive.rs`).

mod meant;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use self::meant::Who;
use super::Settings;
use crate::{
    model::{
        Incident, IncidentId, IncidentSelector, IncidentState, KubernetesGroups, Observed, Pair,
        PeopleSelector, Role, Rule, Source, UserId,
    },
    reconcile::world::World,
};

/// The rules, and the world as seen `now`. That a part in an incident is over was first seen when it was `noticed`.
#[derive(Clone, Copy)]
pub(super) struct Specification<'a> {
    pub(super) settings: &'a Settings,
    pub(super) world: &'a World,
    pub(super) now: DateTime<Utc>,
    pub(super) noticed: DateTime<Utc>,
}

/// A rule entitles somebody. If that `is_certain` access is given; else none that it may mean is taken away.
struct Entitlement<'a> {
    rule: &'a Rule,
    user: Option<&'a UserId>,
    who: Who,
    is_certain: bool,
    /// It ends, and begins before the horizon: it is granted whole (promise 2).
    is_whole: bool,
}

/// All entitlements at one instant.
pub(super) struct Moment<'a> {
    given: Specification<'a>,
    at: DateTime<Utc>,
    entitlements: Vec<Entitlement<'a>>,
}

impl<'a> Moment<'a> {
    fn certain<'s>(&'s self, pair: &'s Pair) -> impl Iterator<Item = &'s Entitlement<'a>> {
        let all = self.entitlements.iter().filter(|one| one.is_certain);
        let theirs = all.filter(|one| one.who == Who::Account(pair.account.clone()));
        theirs.filter(|one| self.given.names(one.rule, &pair.resource))
    }

    /// Whether the account must have access to the resource, …
    pub(super) fn wants(&self, pair: &Pair) -> bool {
        self.certain(pair).next().is_some()
    }

    /// … with the groups of all rules that give it (§8), …
    pub(super) fn groups(&self, pair: &Pair) -> KubernetesGroups {
        self.certain(pair).flat_map(|one| one.rule.kubernetes_groups.iter()).collect()
    }

    /// … and by a grant that is there already: what has no end is renewed when half of the horizon is left.
    pub(super) fn is_promised(&self, pair: &Pair) -> bool {
        let is_near = self.at < self.given.now + self.given.settings.horizon / 2;
        self.certain(pair).any(|one| is_near || one.is_whole)
    }
}

impl<'a> Specification<'a> {
    pub(super) fn at(self, at: DateTime<Utc>) -> Moment<'a> {
        let mut entitlements = Vec::new();
        for rule in &self.settings.rules {
            let mut add = |user, who, is_certain, is_whole| {
                entitlements.push(Entitlement { rule, user, who, is_certain, is_whole });
            };
            // An answer that is missing, or lacks something, may mean anybody.
            let has_doubts = |source| self.world.doubts.contains_key(source);
            if rule.sources().iter().any(|source| !self.world.is_answered(source) || has_doubts(source)) {
                add(None, Who::Anyone, false, false);
            }
            if let PeopleSelector::Incidents(selector) = &rule.people {
                for (user, is_certain) in self.in_incidents(rule, selector, at) {
                    add(Some(user), self.who(user), is_certain, true);
                }
                continue;
            }
            // §2: whoever is on call through a source of the rule, with the margins.
            let is_source = |source: &Source| rule.names(source);
            let told = self.world.on_calls.iter().filter(|(source, _)| is_source(source));
            let on_calls = told.filter_map(|(_, told)| known(Some(told))).flatten();
            for one in on_calls.filter(|one| rule.selects(one)) {
                let begins = one.start.map(|start| start - rule.start_early);
                let is_on = begins.is_none_or(|begins| begins <= at);
                if is_on && one.end.is_none_or(|end| at < end + rule.end_late) {
                    let horizon = self.now + self.settings.horizon;
                    let is_whole = one.end.is_some() && begins.is_none_or(|begins| begins < horizon);
                    add(Some(&one.user), self.who(&one.user), true, is_whole);
                }
            }
        }
        Moment { given: self, at, entitlements }
    }

    /// §9: whoever plays a part in an open incident of the rule's services, or did a while ago; and whether that is certain.
    fn in_incidents(self, rule: &Rule, of: &IncidentSelector, at: DateTime<Utc>) -> Vec<(&'a UserId, bool)> {
        let seen = of.services.iter().filter_map(|id| known(self.world.incidents.get(id))).flatten();
        let seen: Vec<&Incident> = seen.collect();
        let (mut found, mut present) = (Vec::new(), BTreeSet::<(&IncidentId, &UserId)>::new());
        for incident in seen.iter().filter(|one| of.selects(one)) {
            let mut people = self.people(rule, of, incident);
            present.extend(people.iter().map(|(_, user, _)| (&incident.about.id, *user)));
            // Who came first is served first; who has used up the time takes nobody's place.
            people.retain(|(since, _, meant)| *meant != Some(false) && *since + of.max_duration > self.now);
            people.sort();
            for (place, (since, user, meant)) in people.iter().enumerate() {
                let sure = people[..place].iter().filter(|(_, _, meant)| *meant == Some(true)).count();
                if sure < of.max_people && at < *since + of.max_duration {
                    found.push((*user, *meant == Some(true) && place < of.max_people));
                }
            }
        }
        for part in self.world.recorded.parts.iter().filter(|part| part.rule == rule.name) {
            let (id, longest) = (&part.incident.id, part.since + of.max_duration);
            let is_over = part.ends.is_some_and(|ends| ends <= self.noticed);
            if is_over || present.contains(&(id, &part.user)) {
                continue;
            }
            let over_since = seen.iter().find(|one| one.about.id == *id).and_then(|one| match one.state {
                IncidentState::Resolved { at } => Some(at.unwrap_or(self.noticed)),
                IncidentState::Open if part.role == Role::Responder && !one.tells_responders => None,
                IncidentState::Open => Some(self.noticed),
            });
            let ends = |since: DateTime<Utc>| part.ends.unwrap_or(since.min(self.noticed) + rule.end_late);
            let until = over_since.map_or(longest, |since| ends(since).min(longest));
            found.extend((at < until).then_some((&part.user, over_since.is_some())));
        }
        found
    }
}

fn known<T>(answer: Option<&Observed<T>>) -> Option<&T> {
    match answer {
        Some(Observed::Known(known)) => Some(known),
        Some(Observed::Unknown(_)) | None => None,
    }
}
