//! What an answer is about: every resource that the rules name or the person has a grant for.

use std::collections::{BTreeMap, BTreeSet};

use super::{person::Person, question::Known};
use crate::{
    model::{Observed, Resource, ResourceId, ResourceSelector, Rule},
    reconcile::world::ResourceMatch,
};

/// A resource that an answer is about, with the rules that name it.
pub(super) struct Subject<'k> {
    pub(super) meant: Meant<'k>,
    pub(super) rules: Vec<&'k Rule>,
}

/// What is meant, as far as strongDM told.
pub(super) enum Meant<'k> {
    /// A resource.
    Found(Resource),
    /// A resource that only our ledger knows; the rules may mean it by this, of which strongDM did not tell.
    Recorded(Resource, &'k ResourceSelector),
    /// A name or filter that finds no resource, or of which strongDM did not tell.
    Selector(String, &'k ResourceSelector),
}

/// Rules by what they name that was not found.
type Lost<'k> = BTreeMap<(String, &'k ResourceSelector), Vec<&'k Rule>>;

impl Subject<'_> {
    pub(super) fn name(&self) -> &str {
        match &self.meant {
            Meant::Found(resource) | Meant::Recorded(resource, _) => &resource.name,
            Meant::Selector(name, _) => name,
        }
    }

    pub(super) fn id(&self) -> Option<&ResourceId> {
        match &self.meant {
            Meant::Found(resource) | Meant::Recorded(resource, _) => Some(&resource.id),
            Meant::Selector(..) => None,
        }
    }
}

/// Everything that the rules name, and what this person has a grant for although no rule names it; or that of it
/// whose name or ID is `wanted`.
pub(super) fn subjects<'k>(known: &Known<'k>, wanted: Option<&str>, person: &Person) -> Vec<Subject<'k>> {
    let (mut found, mut lost) = named(known);
    for resource in recorded(known, person) {
        found.entry(resource).or_default();
    }
    // What strongDM did not tell may be what the ledger knows: one thing, not one without a rule and one unknown.
    let mut told: BTreeSet<String> = BTreeSet::new();
    let mut subjects: Vec<Subject<'k>> = Vec::new();
    for (resource, mut rules) in found {
        let may_mean = |(name, selector): &&(String, &ResourceSelector)| {
            let is_unknown = !known.world.resources.get(*selector).is_some_and(Observed::is_known);
            is_unknown && (matches!(selector, ResourceSelector::Filter(_)) || *name == resource.name)
        };
        let unknown: Vec<_> = lost.keys().filter(may_mean).filter(|_| rules.is_empty()).cloned().collect();
        rules.extend(unknown.iter().filter_map(|key| lost.get(key)).flatten());
        if unknown.iter().any(|(name, _)| *name == resource.name) {
            told.insert(resource.name.clone());
        }
        let meant = match unknown.first() {
            Some((_, selector)) => Meant::Recorded(resource, selector),
            None => Meant::Found(resource),
        };
        subjects.push(Subject { meant, rules });
    }
    lost.retain(|(name, _), _| !told.contains(name));
    let lost = lost.into_iter();
    subjects.extend(
        lost.map(|((name, selector), rules)| Subject { meant: Meant::Selector(name, selector), rules }),
    );
    subjects.retain(|subject| {
        wanted.is_none_or(|wanted| {
            subject.name() == wanted || subject.id().is_some_and(|id| id.as_str() == wanted)
        })
    });
    subjects
}

/// What the rules name: the resources that strongDM told, and the names and filters that gave none.
fn named<'k>(known: &Known<'k>) -> (BTreeMap<Resource, Vec<&'k Rule>>, Lost<'k>) {
    let mut found: BTreeMap<Resource, Vec<&Rule>> = BTreeMap::new();
    let mut lost = Lost::new();
    for rule in &known.settings.rules {
        for selector in &rule.resources {
            match known.world.resources.get(selector) {
                Some(Observed::Known(ResourceMatch::Found(resources))) if !resources.is_empty() => {
                    for resource in resources {
                        found.entry(resource.clone()).or_default().push(rule);
                    }
                }
                _ => {
                    let (ResourceSelector::Name(name) | ResourceSelector::Filter(name)) = selector;
                    lost.entry((name.clone(), selector)).or_default().push(rule);
                }
            }
        }
    }
    (found, lost)
}

/// The resources for which this person has or had a grant of ours.
fn recorded(known: &Known<'_>, person: &Person) -> BTreeSet<Resource> {
    let account = person.account_id();
    let grants = known.ledger.iter().map(|entry| &entry.own.grant).chain(known.made);
    let theirs = grants.filter(|grant| {
        account.is_none_or(|id| *id == grant.account_id) && grant.email == person.account_email
    });
    theirs.map(|grant| Resource { id: grant.resource_id.clone(), name: grant.resource.clone() }).collect()
}
