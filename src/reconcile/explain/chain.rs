//! One way to access: through one rule and one schedule, policy or service, link by link until one is missing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    grant::Coverage,
    incident,
    link::{Link, LinkKind, LinkState, stretch},
    on_call,
    person::Person,
    question::Known,
    subject::{Meant, Subject},
};
use crate::{
    model::{
        Names, NamesBeside, Observed, PeopleSelector, ResourceSelector, Rule, SkipReason, Source,
        instant::to_second,
    },
    reconcile::world::ResourceMatch,
};

/// The way through one rule and one schedule, policy or service, up to the first link that does not hold.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Chain {
    /// The rule.
    pub(crate) rule: String,
    /// The schedule, policy or service.
    #[serde(flatten)]
    pub(crate) source: Source,
    /// What that is called.
    #[serde(flatten)]
    pub(crate) names: NamesBeside,
    /// The links in their order; only the last one may not hold.
    pub(crate) links: Vec<Link>,
}

impl Chain {
    /// The link at which it breaks.
    pub(crate) fn broken(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.state != LinkState::Ok)
    }

    /// How far it comes. What could not be seen counts less than what is certain.
    pub(super) fn length(&self) -> (usize, bool) {
        (self.links.len(), self.broken().is_none_or(|link| link.state != LinkState::Unknown))
    }

    /// The same with names beside its IDs, for whoever reads it.
    pub(super) fn named(self, names: &Names) -> Self {
        let link = |link: Link| Link { message: names.tell(&link.message), ..link };
        let links = self.links.into_iter().map(link).collect();
        Self { names: names.beside(&self.source), links, ..self }
    }

    /// Adds the link to what PagerDuty answered about a source; nothing if there is no answer.
    fn take<'o, T>(&mut self, source: &Source, told: &str, answer: Option<&'o Observed<T>>) -> Option<&'o T> {
        let kind = LinkKind::Source;
        let (link, answer) = match answer {
            Some(Observed::Known(answer)) => (Link::holds(kind, told.to_owned()), Some(answer)),
            Some(Observed::Unknown(error)) => {
                (Link::faulty(kind, &format!("{source} could not be looked at"), error), None)
            }
            None => (Link::unknown(kind, format!("{source} was not looked at")), None),
        };
        self.add(link);
        answer
    }

    /// Adds a link; whether the chain goes on.
    fn add(&mut self, link: Link) -> bool {
        let holds = link.state == LinkState::Ok;
        self.links.push(link);
        holds
    }
}

/// Follows the chain through `rule` and `source` as far as it holds.
pub(super) fn follow(
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    subject: &Subject<'_>,
    coverage: &Coverage<'_>,
    rule: &Rule,
    source: &Source,
) -> Chain {
    let mut chain = Chain {
        rule: rule.name.clone(),
        source: source.clone(),
        names: NamesBeside::default(),
        links: Vec::new(),
    };
    let name = subject.name();
    chain.add(Link::holds(LinkKind::Rule, format!("rule {:?} is about {name}", rule.name)));
    if !chain.add(resource(known, subject)) {
        return chain;
    }
    let (link, window) =
        if let (PeopleSelector::Incidents(selector), Source::Service(service)) = (&rule.people, source) {
            let told = format!("PagerDuty tells the open incidents of {source}");
            let Some(incidents) = chain.take(source, &told, known.world.incidents.get(service)) else {
                return chain;
            };
            incident::link(at, known, person, rule, selector, (service, incidents))
        } else {
            let told = format!("PagerDuty tells who is on call for {source}");
            let Some(on_calls) = chain.take(source, &told, known.world.on_calls.get(source)) else {
                return chain;
            };
            let (link, shift) = on_call::link(at, known, person, rule, source, on_calls);
            (link, shift.and_then(|shift| on_call::margins(rule, shift)))
        };
    if !chain.add(link) || !chain.add(person.link()) {
        return chain;
    }
    if let Some(window) = window {
        chain.add(Link::holds(
            LinkKind::Window,
            format!("that gives access{} {}", rule.kubernetes_groups, stretch(Some(window))),
        ));
    }
    if chain.add(coverage.link(at, known, rule)) {
        let message = format!("PagerDuty and strongDM were asked at {}", to_second(known.now));
        chain.add(Link::holds(LinkKind::Check, message));
    }
    chain
}

fn resource(known: &Known<'_>, subject: &Subject<'_>) -> Link {
    let kind = LinkKind::Resource;
    let (name, selector) = match &subject.meant {
        Meant::Found(resource) => {
            return Link::holds(kind, format!("{} is the strongDM resource {}", resource.name, resource.id));
        }
        Meant::Recorded(resource, selector) => (&resource.name, *selector),
        Meant::Selector(name, selector) => (name, *selector),
    };
    match (known.world.resources.get(selector), selector) {
        (Some(Observed::Known(ResourceMatch::Many)), _) => Link::missing(
            kind,
            format!(
                "strongDM has several resources of the name {name:?} [{}]",
                SkipReason::AmbiguousResource.as_str()
            ),
            "give them different names, or name them by resource_filters",
        ),
        (Some(Observed::Known(ResourceMatch::Refused(error))), _) => Link::missing(
            kind,
            format!("{selector}: {error} [{}]", SkipReason::FilterRefused.as_str()),
            "correct the expression in the rule",
        ),
        (Some(Observed::Known(ResourceMatch::None | ResourceMatch::Found(_))), ResourceSelector::Name(_)) => {
            Link::missing(
                kind,
                format!(
                    "strongDM has no resource of the name {name:?} [{}]",
                    SkipReason::ResourceNotFound.as_str()
                ),
                "correct the name in the rule; it must be exact, upper and lower case included",
            )
        }
        (
            Some(Observed::Known(ResourceMatch::None | ResourceMatch::Found(_))),
            ResourceSelector::Filter(_),
        ) => Link::missing(
            kind,
            format!("{selector} matches nothing now"),
            "correct the filter, or tag resources",
        ),
        (Some(Observed::Unknown(error)), _) => {
            Link::faulty(kind, &format!("{selector} could not be looked up"), error)
        }
        (None, _) => Link::unknown(kind, format!("{selector} was not looked up")),
    }
}
