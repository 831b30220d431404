//! Why somebody has, or lacks, access: the chain from rule to grant, and the link that is missing. Pure.
//!
//! `person.rs` finds out who is meant, `chain.rs` follows one rule through one schedule or policy, `grant.rs` looks for
//! the grant at its end, and `words.rs` tells it to people.

mod chain;
mod gather;
mod grant;
mod person;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use self::{grant::Standing, person::Person};
use super::{
    plan::{Plan, Settings},
    world::{ResourceMatch, World},
};
use crate::{
    model::{
        AuditAction, AuditOutcome, Email, Grant, Observed, Recorded, Resource, ResourceId, ResourceSelector,
        Rule, Window,
    },
    store::LedgerEntry,
};

pub use self::{
    chain::{Chain, Link, LinkKind, LinkState},
    gather::explain_now,
    person::{AccountStatus, AccountView},
};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who, by the address in PagerDuty or in strongDM.
    pub email: Email,
    /// To what, by name or ID; everything that rules give if none.
    pub resource: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What the answer is made from.
#[derive(Debug)]
pub struct Known<'k> {
    /// When it was looked.
    pub now: DateTime<Utc>,
    /// The stretch for which PagerDuty was asked.
    pub asked: Window,
    /// The rules and their like.
    pub settings: &'k Settings,
    /// What was seen.
    pub world: &'k World,
    /// What would be done.
    pub plan: &'k Plan,
    /// Our grants that have not ended, with where they stand.
    pub ledger: &'k [LedgerEntry],
    /// All grants that we ever made for this person, as far as they are still kept.
    pub made: &'k [Grant],
    /// What was done for this person, newest first.
    pub history: &'k [Past],
}

/// Something that was done or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Past {
    /// When, in UTC.
    pub at: DateTime<Utc>,
    /// What.
    #[schema(value_type = String)]
    pub action: Recorded<AuditAction>,
    /// What came of it.
    #[schema(value_type = String)]
    pub outcome: Recorded<AuditOutcome>,
    /// Why, in words.
    pub reason: String,
    /// The resource's name.
    pub resource: String,
    /// The resource.
    #[serde(skip)]
    pub resource_id: ResourceId,
    /// The grant, if there was one.
    pub grant_id: Option<String>,
    /// Its window.
    #[serde(flatten)]
    pub window: Option<Window>,
}

/// Whether somebody has access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// A grant covers the instant.
    Yes,
    /// No grant yet, but one is due to be made before.
    Expected,
    /// Something could not be seen.
    Unknown,
    /// No.
    No,
}

/// The answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// Whom it is about, as asked.
    pub email: Email,
    /// The address in strongDM.
    pub account_email: Email,
    /// The instant it is about, in UTC.
    pub at: DateTime<Utc>,
    /// When both sides were asked, in UTC.
    pub checked_at: DateTime<Utc>,
    /// The account in strongDM.
    pub account: AccountView,
    /// The best that holds for any of the resources.
    pub access: Access,
    /// One for each resource.
    pub resources: Vec<Answer>,
    /// What was done for this person, newest first.
    pub history: Vec<Past>,
}

/// Why there is, or is no, access to one resource.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExplainedResource)]
pub struct Answer {
    /// The resource's name, or the name or filter that finds none.
    pub resource: String,
    /// The resource, if there is one.
    pub resource_id: Option<ResourceId>,
    /// Whether there is access.
    pub access: Access,
    /// The first link that is missing.
    pub missing: Option<LinkKind>,
    /// Why, in a sentence.
    pub message: String,
    /// What would mend it; empty if nothing is to be mended.
    pub remedy: String,
    /// Our grant that covers the instant.
    pub grant: Option<Grant>,
    /// The way through each rule and schedule or policy, the one that comes farthest first.
    pub chains: Vec<Chain>,
}

/// Answers from what is known.
pub fn explain(question: &Question, known: &Known<'_>) -> Explanation {
    let Question { email, resource, at } = question;
    let person = Person::find(email, known);
    let mut resources: Vec<Answer> = subjects(known, resource.as_deref(), &person)
        .into_iter()
        .map(|subject| answer(*at, known, &person, &subject))
        .collect();
    if resources.is_empty() {
        resources.extend(resource.as_deref().map(|name| unnamed(known, name)));
    }
    let wanted = |past: &&Past| {
        resource
            .as_deref()
            .is_none_or(|wanted| past.resource == wanted || past.resource_id.as_str() == wanted)
    };
    Explanation {
        email: email.clone(),
        account_email: person.account_email.clone(),
        at: *at,
        checked_at: known.now,
        account: person.view(),
        access: resources.iter().map(|answer| answer.access).min().unwrap_or(Access::No),
        resources,
        history: known.history.iter().filter(wanted).take(TOLD).cloned().collect(),
    }
}

/// So much of the past is told.
const TOLD: usize = 20;

/// A resource, or a name or filter that found none, with the rules that name it.
struct Subject<'k> {
    resource: Result<Resource, (String, &'k ResourceSelector)>,
    /// How the rules may mean it, if strongDM did not tell, and only our ledger knows the resource.
    unseen: Option<&'k ResourceSelector>,
    rules: Vec<&'k Rule>,
}

impl Subject<'_> {
    fn name(&self) -> &str {
        match &self.resource {
            Ok(resource) => &resource.name,
            Err((name, _)) => name,
        }
    }

    fn id(&self) -> Option<&ResourceId> {
        self.resource.as_ref().ok().map(|resource| &resource.id)
    }
}

/// Everything that the rules name, and what this person has a grant for although no rule names it.
fn subjects<'k>(known: &Known<'k>, wanted: Option<&str>, person: &Person) -> Vec<Subject<'k>> {
    let mut found: BTreeMap<Resource, Vec<&Rule>> = BTreeMap::new();
    let mut lost: BTreeMap<(String, &ResourceSelector), Vec<&Rule>> = BTreeMap::new();
    for rule in &known.settings.rules {
        for selector in &rule.resources {
            if let Some(Observed::Known(ResourceMatch::Found(resources))) =
                known.world.resources.get(selector)
                && !resources.is_empty()
            {
                for resource in resources {
                    found.entry(resource.clone()).or_default().push(rule);
                }
                continue;
            }
            let (ResourceSelector::Name(name) | ResourceSelector::Filter(name)) = selector;
            lost.entry((name.clone(), selector)).or_default().push(rule);
        }
    }
    let account = person.account_id();
    let held = known.ledger.iter().map(|entry| &entry.own.grant).chain(known.made);
    for grant in held.filter(|grant| account.is_none_or(|id| *id == grant.account_id)) {
        if grant.email == person.account_email {
            let resource = Resource { id: grant.resource_id.clone(), name: grant.resource.clone() };
            found.entry(resource).or_default();
        }
    }
    // What strongDM did not tell may be what the ledger knows: one thing, not one without a rule and one unseen.
    let mut told: BTreeSet<String> = BTreeSet::new();
    let found: Vec<Subject<'_>> = found
        .into_iter()
        .map(|(resource, mut rules)| {
            let may_mean = |(name, selector): &&(String, &ResourceSelector)| {
                let is_unseen = !known.world.resources.get(*selector).is_some_and(Observed::is_known);
                is_unseen && (matches!(selector, ResourceSelector::Filter(_)) || *name == resource.name)
            };
            let unseen: Vec<_> = lost.keys().filter(may_mean).filter(|_| rules.is_empty()).cloned().collect();
            rules.extend(unseen.iter().filter_map(|key| lost.get(key)).flatten());
            if unseen.iter().any(|(name, _)| *name == resource.name) {
                told.insert(resource.name.clone());
            }
            let unseen = unseen.first().map(|(_, selector)| *selector);
            Subject { resource: Ok(resource), unseen, rules }
        })
        .collect();
    let found = found.into_iter();
    let lost = lost.into_iter().filter(|((name, _), _)| !told.contains(name)).map(|(name, rules)| Subject {
        resource: Err(name),
        unseen: None,
        rules,
    });
    let is_wanted = |subject: &Subject<'_>| {
        wanted.is_none_or(|wanted| {
            subject.name() == wanted || subject.id().is_some_and(|id| id.as_str() == wanted)
        })
    };
    found.chain(lost).filter(is_wanted).collect()
}

fn answer(at: DateTime<Utc>, known: &Known<'_>, person: &Person, subject: &Subject<'_>) -> Answer {
    let standing = Standing::of(at, known, person, subject.id());
    let mut rules: Vec<&Rule> = subject.rules.clone();
    let mut seen = BTreeSet::new();
    rules.retain(|rule| seen.insert(rule.name.as_str()));
    let mut chains: Vec<Chain> = Vec::new();
    for rule in rules {
        let sources = rule.sources();
        chains.extend(
            sources.iter().map(|source| chain::follow(at, known, person, subject, &standing, rule, source)),
        );
    }
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.length()));
    let (access, missing, message, remedy) = standing.verdict(at, known, person, subject, &chains);
    Answer {
        resource: subject.name().to_owned(),
        resource_id: subject.id().cloned(),
        access,
        missing,
        message,
        remedy,
        grant: standing.grant().cloned(),
        chains,
    }
}

/// No rule names it.
fn unnamed(known: &Known<'_>, name: &str) -> Answer {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for selector in known.settings.rules.iter().flat_map(|rule| &rule.resources) {
        names.insert(match selector {
            ResourceSelector::Name(name) => format!("{name:?}"),
            ResourceSelector::Filter(filter) => format!("filter {filter:?}"),
        });
    }
    let names: Vec<String> = names.into_iter().collect();
    Answer {
        resource: name.to_owned(),
        resource_id: None,
        access: Access::No,
        missing: Some(LinkKind::Rule),
        message: format!("no rule gives access to a resource {name:?}"),
        remedy: format!("name it in a rule, or correct the name; rules give {}", names.join(", ")),
        grant: None,
        chains: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
