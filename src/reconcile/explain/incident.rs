//! The link from a service to a person: the part that the person plays in an incident of it, as the rule counts it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    link::{Link, LinkKind},
    person::Person,
    question::Known,
};
use crate::{
    model::{
        Fault, Group, Incident, IncidentId, IncidentRef, IncidentSelector, IncidentState, Observed,
        PriorityId, RememberedPart, Role, Rule, ServiceId, SkipReason, Source, UserId, Window,
        instant::{span, to_second},
        later,
    },
    reconcile::plan::{Entitlement, Standing},
};

/// How the person stands in one incident; the first of the variants tells most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Holds,
    Unknown,
    Refused,
    Over,
    Elsewhere,
    Nothing,
}

/// What is known of the incidents of one service that concerns one person and rule.
struct Look<'l> {
    at: DateTime<Utc>,
    known: &'l Known<'l>,
    person: &'l Person,
    rule: &'l Rule,
    selector: &'l IncidentSelector,
    service: &'l ServiceId,
    incidents: &'l [Incident],
}

/// Something that may be told, with the window of access that it gives.
type Told = (Rank, Link, Option<Window>);

/// Whether the person works on an incident of `service` as `rule` counts it, and for how long that gives access.
pub(super) fn link(
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    rule: &Rule,
    selector: &IncidentSelector,
    (service, incidents): (&ServiceId, &[Incident]),
) -> (Link, Option<Window>) {
    let look = Look { at, known, person, rule, selector, service, incidents };
    let mut told: Vec<Told> = look.standings().map(|standing| look.standing(standing)).collect();
    told.extend(look.not_counted());
    told.extend(look.remembered());
    told.extend(look.elsewhere());
    told.extend(look.doubt());
    told.push(look.nothing());
    let (rank, link, window) = told.into_iter().min_by_key(|(rank, ..)| *rank).expect("it has one at least");
    if rank != Rank::Holds && at < known.now {
        let message =
            format!("incidents of {} are seen as they are now, not as they were then", look.source());
        return (Link::unknown(LinkKind::Incident, message), None);
    }
    (link, window)
}

impl<'l> Look<'l> {
    fn source(&self) -> Source {
        Source::Service(self.service.clone())
    }

    /// How the person stands in the incidents of the service.
    fn standings(&self) -> impl Iterator<Item = &'l Standing> {
        let (rule, service, users) = (&self.rule.name, self.service, &self.person.users);
        self.known.standings.iter().filter(move |Standing { part, .. }| {
            part.rule == *rule && part.service == *service && users.contains(&part.user)
        })
    }

    fn incident(&self, id: &IncidentId) -> Option<&'l Incident> {
        self.incidents.iter().find(|incident| incident.about.id == *id)
    }

    /// An incident with its link and title.
    fn name(&self, about: &IncidentRef) -> String {
        let title = self.incident(&about.id).map(|incident| incident.title.as_str());
        name(about, title)
    }

    fn standing(&self, Standing { part, entitlement }: &Standing) -> Told {
        let told = match entitlement {
            Entitlement::Until(end) => return self.entitled(part, *end),
            Entitlement::Unclear(_) => {
                (Rank::Unknown, Link::faulty(LinkKind::Incident, &self.deed(part), &self.why_unclear(part)))
            }
            Entitlement::NotEligible => (Rank::Refused, self.not_eligible(part)),
            Entitlement::TooMany => {
                let message = format!(
                    "{}, but as many people came first as max_people gives access to ({}) [{}]",
                    self.deed(part),
                    self.selector.max_people,
                    SkipReason::TooManyPeople.as_str()
                );
                (Rank::Refused, missing(message, SkipReason::TooManyPeople.remedy()))
            }
            Entitlement::Over => (Rank::Over, self.over(part)),
        };
        (told.0, told.1, None)
    }

    /// The person has access until `end` at the latest.
    fn entitled(&self, part: &RememberedPart, end: DateTime<Utc>) -> Told {
        let window = Window::new(part.since, end);
        if !window.is_some_and(|window| window.contains(self.at)) {
            let message = format!("{}, which gives access until {} only", self.deed(part), to_second(end));
            let remedy = "it is not renewed for the same incident; raise max_duration in the rule, or put this person on call";
            return (Rank::Over, missing(message, remedy), None);
        }
        let until = to_second(end);
        let deed = self.deed(part);
        let message = if part.ends.is_some() {
            format!("{deed}; that is over, and access stays until {until}")
        } else {
            let late = self.rule.end_late;
            let after = if late.is_zero() { "until".to_owned() } else { format!("{} after", span(late)) };
            format!("{deed}, until {until} or {after} it is resolved or the part in it ends")
        };
        (Rank::Holds, Link::holds(LinkKind::Incident, message), window)
    }

    /// `assigned to incident 4211, https://…, "title", since …`.
    fn deed(&self, RememberedPart { incident, role, since, .. }: &RememberedPart) -> String {
        format!("{} {}, since {}", deed(*role), self.name(incident), to_second(*since))
    }

    fn not_eligible(&self, part: &RememberedPart) -> Link {
        let by_hand = if part.role == Role::Assignee { " by hand" } else { "" };
        let groups: Vec<String> = self.selector.eligible.iter().map(Group::to_string).collect();
        let groups = if groups.is_empty() {
            "the rule has no eligible group".to_owned()
        } else {
            format!("is in none of the rule's eligible groups: {}", groups.join(", "))
        };
        let code = SkipReason::NotEligible.as_str();
        let message = format!("{}{by_hand}, but {groups} [{code}]", self.deed(part));
        missing(message, SkipReason::NotEligible.remedy())
    }

    fn why_unclear(&self, part: &RememberedPart) -> Fault {
        let world = self.known.world;
        if let Some(fault) = world.unseen_incidents.get(&part.incident.id) {
            let error = format!("it is not known what became of it: {}", fault.error);
            return Fault { error, remedy: fault.remedy.clone() };
        }
        let faults = self.selector.eligible.iter().find_map(|group| match world.members.get(group) {
            Some(Observed::Unknown(fault)) => Some((group, fault)),
            Some(Observed::Known(_)) | None => None,
        });
        match faults {
            Some((group, Fault { error, remedy })) => {
                let error = format!("who belongs to {group} cannot be seen: {error}");
                Fault { error, remedy: remedy.clone() }
            }
            None => "it cannot be seen whether this part counts".into(),
        }
    }

    /// Nothing more comes of this part.
    fn over(&self, part: &RememberedPart) -> Link {
        let longest = later(part.since, self.selector.max_duration);
        let resolved = self.incident(&part.incident.id).and_then(|incident| match incident.state {
            IncidentState::Resolved { at } => Some(at),
            IncidentState::Open => None,
        });
        let deed = self.deed(part);
        let message = match (part.ends, resolved) {
            (_, Some(Some(at))) => format!("{deed}, which is resolved since {}", to_second(at)),
            (_, Some(None)) => format!("{deed}, which is resolved"),
            (Some(ends), None) if ends < longest => {
                format!("{deed}; that part is over, and gave access until {}", to_second(ends))
            }
            (_, None) => format!(
                "{deed}; max_duration ({}) is used up since {}",
                span(self.selector.max_duration),
                to_second(longest)
            ),
        };
        missing(
            message,
            "access is not given again for the same incident, unless the time that is left of max_duration \
                          serves a new part in it",
        )
    }

    /// Parts in open incidents that the rule does not count.
    fn not_counted(&self) -> Vec<Told> {
        let users = &self.person.users;
        let open = self.incidents.iter().filter(|incident| incident.state == IncidentState::Open);
        let told = open.filter_map(|incident| {
            let name = name(&incident.about, Some(&incident.title));
            let mine = incident.parts.iter().filter(|part| users.contains(&part.user));
            let role = mine.clone().map(|part| part.role).min();
            let asked = incident.asked.iter().any(|user| users.contains(user));
            let does = match role {
                Some(role) => format!("{} {name}", deed(role)),
                None if asked => format!("asked to help with {name}, and has not joined it yet"),
                None => return None,
            };
            self.mismatch(incident, &does).or_else(|| {
                let counts = mine.clone().any(|part| self.selector.roles.contains(&part.role));
                if counts {
                    // Its standing tells.
                    return None;
                }
                if role.is_none() && self.selector.roles.contains(&Role::Responder) {
                    return Some(missing(does, "join the incident in PagerDuty"));
                }
                let roles: Vec<&str> = self.selector.roles.iter().map(|role| role.as_str()).collect();
                let message = format!("{does}; the rule counts each {} only", roles.join(" and "));
                Some(missing(message, "add the part to people of the rule, with an eligible group"))
            })
        });
        told.map(|link| (Rank::Refused, link, None)).collect()
    }

    /// The rule is not about such an incident.
    fn mismatch(&self, incident: &Incident, does: &str) -> Option<Link> {
        if !self.selector.counts_urgency(incident) {
            let counted: Vec<&str> = self.selector.urgencies.iter().map(|urgency| urgency.as_str()).collect();
            let message = format!(
                "{does}; its urgency is {}, and the rule counts {}",
                incident.urgency,
                counted.join(", ")
            );
            return Some(missing(
                message,
                "raise its urgency in PagerDuty, or add it to urgencies of the rule",
            ));
        }
        if !self.selector.counts_priority(incident) {
            let counted: Vec<&str> = self.selector.priorities.iter().map(PriorityId::as_str).collect();
            let priority = incident.priority.as_ref().map_or("none".to_owned(), ToString::to_string);
            let message =
                format!("{does}; its priority is {priority}, and the rule counts {}", counted.join(", "));
            return Some(missing(
                message,
                "set its priority in PagerDuty, or add it to priorities of the rule",
            ));
        }
        None
    }

    /// Parts that are over, also those in incidents that nobody asks about any more.
    fn remembered(&self) -> Vec<Told> {
        let told: BTreeSet<(&IncidentId, &UserId)> =
            self.standings().map(|Standing { part, .. }| (&part.incident.id, &part.user)).collect();
        let parts = self.known.world.recorded.parts.iter().filter(|part| {
            part.rule == self.rule.name
                && part.service == *self.service
                && self.person.users.contains(&part.user)
                && !told.contains(&(&part.incident.id, &part.user))
        });
        parts.map(|part| (Rank::Over, self.over(part), None)).collect()
    }

    /// Parts in incidents of services that the rule is not about.
    fn elsewhere(&self) -> Option<Told> {
        let mut others = self.known.world.seen_incidents().filter(|incident| {
            incident.state == IncidentState::Open && !self.selector.services.contains(&incident.service)
        });
        let incident = others
            .find(|incident| incident.parts.iter().any(|part| self.person.users.contains(&part.user)))?;
        let message = format!(
            "plays no part in an open incident of {}, but in {} of service {}, which the rule is not about",
            self.source(),
            name(&incident.about, Some(&incident.title)),
            incident.service
        );
        let link = missing(message, "add the service to the rule, if its incidents should give this access");
        Some((Rank::Elsewhere, link, None))
    }

    /// Something of the service's incidents could not be seen, so the person may be meant.
    fn doubt(&self) -> Option<Told> {
        let world = self.known.world;
        if let Some(fault) = world.doubts.get(&self.source()) {
            let link = Link::faulty(LinkKind::Incident, "not every incident could be seen", fault);
            return Some((Rank::Unknown, link, None));
        }
        let selected = self.incidents.iter().filter(|incident| self.selector.selects(incident));
        let nameless = selected.flat_map(|incident| incident.parts.iter().map(move |part| (incident, part)));
        nameless.into_iter().find_map(|(incident, part)| match world.people.get(&part.user) {
            Some(Observed::Unknown(fault)) => {
                let what = format!(
                    "user {} works on {}, but PagerDuty did not tell who that is",
                    part.user, incident.about
                );
                Some((Rank::Unknown, Link::faulty(LinkKind::Incident, &what, fault), None))
            }
            Some(Observed::Known(_)) | None => None,
        })
    }

    fn nothing(&self) -> Told {
        let selected = self.incidents.iter().filter(|incident| self.selector.selects(incident)).count();
        let message = format!(
            "plays no part in an open incident of {}; the rule is about {} now",
            self.source(),
            match selected {
                0 => "none that is open".to_owned(),
                1 => "1 open incident".to_owned(),
                number => format!("{number} open incidents"),
            }
        );
        let remedy =
            "whoever works on an incident gets in: assign one to this person, or ask for this person's help";
        (Rank::Nothing, missing(message, remedy), None)
    }
}

fn missing(message: String, remedy: &str) -> Link {
    Link::missing(LinkKind::Incident, message, remedy)
}

fn deed(role: Role) -> &'static str {
    match role {
        Role::Assignee => "assigned to",
        Role::Acknowledger => "acknowledged",
        Role::Responder => "joined",
        Role::Other => "plays a part in",
    }
}

/// By its number, with its link and title.
fn name(IncidentRef { id, number, html_url }: &IncidentRef, title: Option<&str>) -> String {
    let number = number.map_or(id.to_string(), |number| number.to_string());
    let url = html_url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
    let title = title.filter(|title| !title.is_empty()).map(|title| format!(", {title:?}"));
    format!("incident {number}{url}{}", title.unwrap_or_default())
}
