//! The answer, and how it is found: for each resource the chains to it, and what they come to.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    chain::{self, Chain},
    grant::Coverage,
    link::LinkKind,
    person::{AccountView, Person},
    question::{Known, Past, Question},
    subject::{Subject, subjects},
    verdict::{Access, Verdict, verdict},
};
use crate::model::{Email, Grant, Name, Names, ResourceId, ResourceSelector, Rule};

/// So much of the past is told.
const TOLD: usize = 20;

/// So many names and filters of the rules are told to whoever asks for another one.
const NAMES: usize = 20;

/// The answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    /// Whom it is about, as asked.
    pub(crate) email: Email,
    /// The person's name in PagerDuty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) name: Option<Name>,
    /// The address in strongDM.
    pub(crate) account_email: Email,
    /// The instant it is about, in UTC.
    pub(crate) at: DateTime<Utc>,
    /// When both sides were asked, in UTC.
    pub(crate) checked_at: DateTime<Utc>,
    /// The account in strongDM.
    pub(crate) account: AccountView,
    /// The best that holds for any of the resources.
    pub(crate) access: Access,
    /// One for each resource.
    pub(crate) resources: Vec<Answer>,
    /// What was done for this person, newest first.
    pub(crate) history: Vec<Past>,
}

/// Why there is, or is no, access to one resource.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExplainedResource)]
pub(crate) struct Answer {
    /// The resource's name, or the name or filter that finds none.
    pub(crate) resource: String,
    /// The resource, if there is one.
    pub(crate) resource_id: Option<ResourceId>,
    /// Whether there is access.
    pub(crate) access: Access,
    /// The first link that is missing.
    pub(crate) missing: Option<LinkKind>,
    /// Why, in a sentence.
    pub(crate) message: String,
    /// What would mend it; empty if nothing is to be mended.
    pub(crate) remedy: String,
    /// Our grant that covers the instant.
    pub(crate) grant: Option<Grant>,
    /// The way through each rule and schedule or policy, the one that comes farthest first.
    pub(crate) chains: Vec<Chain>,
}

impl Explanation {
    /// The same with names beside its IDs, for whoever reads it.
    pub(super) fn named(self, names: &Names) -> Self {
        let name = names.person(self.account_email.as_str()).or_else(|| names.person(self.email.as_str()));
        let resources = self.resources.into_iter().map(|answer| answer.named(names)).collect();
        let past = |past: Past| Past { reason: names.tell(&past.reason), ..past };
        let history = self.history.into_iter().map(past).collect();
        Self { name: name.cloned(), resources, history, ..self }
    }
}

impl Answer {
    fn named(self, names: &Names) -> Self {
        Self {
            message: names.tell(&self.message),
            grant: self.grant.map(|grant| grant.named(names)),
            chains: self.chains.into_iter().map(|chain| chain.named(names)).collect(),
            ..self
        }
    }
}

/// Answers from what is known.
pub(crate) fn explain(question: &Question, known: &Known<'_>) -> Explanation {
    let Question { email, resource, at } = question;
    let person = Person::find(email, known);
    let mut resources: Vec<Answer> = subjects(known, resource.as_deref(), &person)
        .into_iter()
        .map(|subject| answer(*at, known, &person, &subject))
        .collect();
    if resources.is_empty() {
        resources.extend(resource.as_deref().map(|name| unnamed(known, name)));
    }
    let is_about = |past: &&Past| {
        resource
            .as_deref()
            .is_none_or(|wanted| past.resource == wanted || past.resource_id.as_str() == wanted)
    };
    Explanation {
        email: email.clone(),
        name: None,
        account_email: person.account_email.clone(),
        at: *at,
        checked_at: known.now,
        account: person.view(),
        access: resources.iter().map(|answer| answer.access).min().unwrap_or(Access::No),
        resources,
        history: known.history.iter().filter(is_about).take(TOLD).cloned().collect(),
    }
}

fn answer(at: DateTime<Utc>, known: &Known<'_>, person: &Person, subject: &Subject<'_>) -> Answer {
    let coverage = Coverage::of(at, known, person, subject.id());
    let mut rules: Vec<&Rule> = subject.rules.clone();
    let mut seen = BTreeSet::new();
    rules.retain(|rule| seen.insert(rule.name.as_str()));
    let mut chains: Vec<Chain> = Vec::new();
    for rule in rules {
        let sources = rule.sources();
        chains.extend(
            sources.iter().map(|source| chain::follow(at, known, person, subject, &coverage, rule, source)),
        );
    }
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.length()));
    let Verdict { access, missing, message, remedy } =
        verdict(&coverage, at, known, person, subject.name(), &chains);
    Answer {
        resource: subject.name().to_owned(),
        resource_id: subject.id().cloned(),
        access,
        missing,
        message,
        remedy,
        grant: coverage.ours.cloned(),
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
    let more = names.len().saturating_sub(NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names: Vec<String> = names.into_iter().take(NAMES).collect();
    Answer {
        resource: name.to_owned(),
        resource_id: None,
        access: Access::No,
        missing: Some(LinkKind::Rule),
        message: format!("no rule gives access to a resource {name:?}"),
        remedy: format!("name it in a rule, or correct the name; rules give {}{more}", names.join(", ")),
        grant: None,
        chains: Vec::new(),
    }
}
