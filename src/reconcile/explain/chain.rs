//! One way to access: through one rule and one schedule or policy, link by link until one is missing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Known, Subject, grant::Standing, person::Person};
use crate::{
    model::{
        FOREVER, Fault, Observed, OnCall, OnCallSelector, ResourceSelector, Rule, SkipReason, Source, Window,
        instant::to_second, later,
    },
    reconcile::world::ResourceMatch,
};

/// The links of a chain, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A rule names the resource.
    Rule,
    /// strongDM has the resource.
    Resource,
    /// PagerDuty tells who is on call.
    Source,
    /// The person is on call.
    OnCall,
    /// The person has an account.
    Account,
    /// The shift with its margins gives access then.
    Window,
    /// A grant is there.
    Grant,
    /// Both sides were asked.
    Check,
}

impl LinkKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Resource => "resource",
            Self::Source => "source",
            Self::OnCall => "on-call",
            Self::Account => "account",
            Self::Window => "window",
            Self::Grant => "grant",
            Self::Check => "check",
        }
    }
}

/// Whether a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It does.
    Ok,
    /// It does not yet, and will without anyone's doing.
    Pending,
    /// It could not be seen.
    Unknown,
    /// It does not.
    Missing,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Link {
    /// Which.
    pub link: LinkKind,
    /// Whether it holds.
    pub state: LinkState,
    /// In words.
    pub message: String,
    /// What would mend it; empty if nothing is to be mended.
    pub remedy: String,
}

impl Link {
    fn new(link: LinkKind, state: LinkState, message: String, remedy: &str) -> Self {
        Self { link, state, message, remedy: remedy.to_owned() }
    }

    pub(super) fn holds(link: LinkKind, message: String) -> Self {
        Self::new(link, LinkState::Ok, message, "")
    }

    pub(super) fn pending(link: LinkKind, message: String) -> Self {
        Self::new(link, LinkState::Pending, message, "")
    }

    pub(super) fn unknown(link: LinkKind, message: String) -> Self {
        Self::new(link, LinkState::Unknown, message, "ask again later; what is there stays meanwhile")
    }

    /// The same with what went wrong, and what mends that.
    pub(super) fn unseen(link: LinkKind, what: &str, unseen: &Fault) -> Self {
        let Fault { error, remedy } = unseen;
        let unknown = Self::unknown(link, format!("{what}: {error}"));
        if remedy.is_empty() {
            return unknown;
        }
        Self { remedy: format!("{remedy}; what is there stays meanwhile"), ..unknown }
    }

    pub(super) fn missing(link: LinkKind, message: String, remedy: &str) -> Self {
        Self::new(link, LinkState::Missing, message, remedy)
    }
}

/// The way through one rule and one schedule or policy, up to the first link that does not hold.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Chain {
    /// The rule.
    pub rule: String,
    /// The schedule or policy.
    #[serde(flatten)]
    pub source: Source,
    /// The links in their order; only the last one may not hold.
    pub links: Vec<Link>,
}

impl Chain {
    /// The link at which it breaks.
    pub fn broken(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.state != LinkState::Ok)
    }

    /// How far it comes. What could not be seen counts less than what is certain.
    pub(super) fn length(&self) -> (usize, bool) {
        (self.links.len(), self.broken().is_none_or(|link| link.state != LinkState::Unknown))
    }

    /// Adds a link; whether the chain goes on.
    fn add(&mut self, link: Link) -> bool {
        let holds = link.state == LinkState::Ok;
        self.links.push(link);
        holds
    }
}

/// Follows the chain as far as it holds.
pub(super) fn follow(
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    subject: &Subject<'_>,
    standing: &Standing<'_>,
    rule: &Rule,
    source: &Source,
) -> Chain {
    let mut chain = Chain { rule: rule.name.clone(), source: source.clone(), links: Vec::new() };
    let name = subject.name();
    chain.add(Link::holds(LinkKind::Rule, format!("rule {:?} is about {name}", rule.name)));
    if !chain.add(resource(known, subject)) {
        return chain;
    }
    let on_calls = match known.world.on_calls.get(source) {
        Some(Observed::Known(on_calls)) => on_calls,
        Some(Observed::Unknown(error)) => {
            chain.add(Link::unseen(LinkKind::Source, &format!("{source} could not be looked at"), error));
            return chain;
        }
        None => {
            chain.add(Link::unknown(LinkKind::Source, format!("{source} was not looked at")));
            return chain;
        }
    };
    chain.add(Link::holds(LinkKind::Source, format!("PagerDuty tells who is on call for {source}")));
    let (link, shift) = on_call(at, known, person, rule, source, on_calls);
    if !chain.add(link) || !chain.add(person.link()) {
        return chain;
    }
    if let Some(shift) = shift {
        let window = margins(rule, shift);
        chain.add(Link::holds(LinkKind::Window, format!("that gives access {}", words(window))));
    }
    if chain.add(standing.link(at, known)) {
        let message = format!("PagerDuty and strongDM were asked at {}", to_second(known.now));
        chain.add(Link::holds(LinkKind::Check, message));
    }
    chain
}

fn resource(known: &Known<'_>, subject: &Subject<'_>) -> Link {
    let kind = LinkKind::Resource;
    let (name, selector) = match (&subject.resource, subject.unseen) {
        (Ok(resource), Some(selector)) => (&resource.name, selector),
        (Ok(resource), None) => {
            return Link::holds(kind, format!("{} is the strongDM resource {}", resource.name, resource.id));
        }
        (Err((name, selector)), _) => (name, *selector),
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
            Link::unseen(kind, &format!("{selector} could not be looked up"), error)
        }
        (None, _) => Link::unknown(kind, format!("{selector} was not looked up")),
    }
}

/// Whether the person is on call for `source` as `rule` counts it, and the shift.
fn on_call<'o>(
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    rule: &Rule,
    source: &Source,
    on_calls: &'o [OnCall],
) -> (Link, Option<&'o OnCall>) {
    let kind = LinkKind::OnCall;
    let mine = || on_calls.iter().filter(|on_call| person.users.contains(&on_call.user));
    let covers = |on_call: &&OnCall| margins(rule, on_call).is_some_and(|window| window.contains(at));
    if let Some(shift) = mine().filter(|shift| rule.selects(shift)).find(covers) {
        let message = format!("on call for {source}{} {}", level(shift), words(bare(shift)));
        return (Link::holds(kind, message), Some(shift));
    }
    if let Some(shift) = mine().find(covers) {
        return (uncounted(rule, source, shift), None);
    }
    if !known.asked.contains(at) {
        let message = format!("PagerDuty was not asked for that time, only {}", words(Some(known.asked)));
        return (Link::unknown(kind, message), None);
    }
    let nameless = on_calls.iter().filter(|shift| rule.selects(shift)).filter(covers).find_map(|shift| {
        match known.world.people.get(&shift.user) {
            Some(Observed::Unknown(error)) => {
                let what =
                    format!("user {} is on call then, but PagerDuty did not tell who that is", shift.user);
                Some(Link::unseen(kind, &what, error))
            }
            Some(Observed::Known(_)) | None => None,
        }
    });
    if let Some(link) = nameless {
        return (link, None);
    }
    let next = mine().filter(|shift| rule.selects(shift) && shift.start.is_some_and(|start| start > at));
    let next = next.min_by_key(|shift| shift.start);
    let next = match next {
        Some(next) => format!("the next shift is {}", words(bare(next))),
        None => format!("no shift is known {}", words(known.asked.from(at))),
    };
    let message = format!("not on call for {source} at {}; {next}", to_second(at));
    let remedy = stranger(at, known, person, rule, on_calls).unwrap_or_else(|| {
        let unheard_of = person.users.is_empty() && known.world.people.values().all(Observed::is_known);
        let spelling = if unheard_of {
            format!(
                "; no on-call {} carries the address {}, so check its spelling first",
                words(Some(known.asked)),
                person.asked
            )
        } else {
            String::new()
        };
        format!("put this person on call in PagerDuty, by an override for example{spelling}")
    });
    (Link::missing(kind, message, &remedy), None)
}

/// The person is on call, but not in a way that the rule counts.
fn uncounted(rule: &Rule, source: &Source, shift: &OnCall) -> Link {
    let OnCallSelector::Policies { levels, .. } = &rule.on_calls else {
        return Link::missing(LinkKind::OnCall, format!("not on call for {source}"), "");
    };
    let at_level = level(shift);
    if shift.start.is_none() && shift.end.is_none() {
        let message = format!(
            "always on call for {source}{at_level}, as a direct target, which the rule does not count"
        );
        return Link::missing(LinkKind::OnCall, message, "set include_always_on_call = true in the rule");
    }
    let levels: Vec<String> = levels.iter().map(u32::to_string).collect();
    let message =
        format!("on call for {source}{at_level}, but the rule counts level {} only", levels.join(", "));
    Link::missing(LinkKind::OnCall, message, "add the level to escalation_levels of the rule")
}

/// Somebody who is on call then under an address that looks like this person's.
fn stranger(
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    rule: &Rule,
    on_calls: &[OnCall],
) -> Option<String> {
    let user_of = |email: &str| email.split('@').next().unwrap_or_default().to_lowercase();
    let wanted = user_of(person.account_email.as_str());
    let then = on_calls.iter().filter(|shift| margins(rule, shift).is_some_and(|window| window.contains(at)));
    then.filter(|shift| !person.users.contains(&shift.user)).find_map(|shift| {
        let Some(Observed::Known(Some(raw))) = known.world.people.get(&shift.user) else { return None };
        let alias = format!("accounts.aliases = {{ {raw:?} = {:?} }}", person.account_email.as_str());
        (user_of(raw) == wanted)
            .then(|| format!("{raw} is on call then; if that is the same person, set {alias}"))
    })
}

fn level(shift: &OnCall) -> String {
    shift.level.map(|level| format!(" at level {level}")).unwrap_or_default()
}

/// The shift alone.
fn bare(shift: &OnCall) -> Option<Window> {
    let start = shift.start.unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    Window::new(start, shift.end.unwrap_or(FOREVER))
}

/// The shift with the margins of the rule.
fn margins(rule: &Rule, shift: &OnCall) -> Option<Window> {
    let shift = bare(shift)?;
    Window::new(later(shift.start(), -rule.start_early), later(shift.end(), rule.end_late).min(FOREVER))
}

/// A stretch of time in words; open ends are named.
pub(super) fn words(window: Option<Window>) -> String {
    let Some(window) = window else { return "at no time".to_owned() };
    let start = window.start();
    let from = if start <= DateTime::<Utc>::UNIX_EPOCH {
        "since ever".to_owned()
    } else {
        format!("from {}", to_second(start))
    };
    let until = if window.end() >= FOREVER {
        "without an end".to_owned()
    } else {
        format!("until {}", to_second(window.end()))
    };
    format!("{from} {until}")
}
