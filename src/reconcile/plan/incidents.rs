//! Who is entitled to something because of an incident, and what must be remembered of that.
//!
//! A person's access begins with the first part in an incident and lasts for the rule's `max_duration` at most,
//! whatever happens meanwhile. It ends earlier, after a while, when the part is over. Neither can be read off PagerDuty
//! later, so both are remembered, by rule, incident and person.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};

use super::{
    Settings,
    identity::{Identity, Person},
    namesakes::Namesakes,
};
use crate::{
    model::{
        Asked, Fault, Group, Incident, IncidentId, IncidentSelector, IncidentState, Observed, PeopleSelector,
        RememberedPart, Role, Rule, SkipReason, Source, Subject, Unknown, UserId, Window, later,
    },
    reconcile::world::World,
};

/// One rule about incidents, and what was seen that concerns it.
pub(super) struct IncidentRule<'w> {
    now: DateTime<Utc>,
    rule: &'w Rule,
    selector: &'w IncidentSelector,
    world: &'w World,
    incidents: BTreeMap<&'w IncidentId, &'w Incident>,
    remembered: BTreeMap<(&'w IncidentId, &'w UserId), &'w RememberedPart>,
}

/// What is known of one person's access because of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What is to be remembered of it.
    pub(crate) part: RememberedPart,
    pub(crate) entitlement: Entitlement,
}

/// Whether somebody gets access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entitlement {
    /// Until then.
    Until(DateTime<Utc>),
    /// Perhaps until then: nothing new is given, and nothing is taken away.
    Unclear(DateTime<Utc>),
    /// The person is in none of the rule's eligible groups.
    NotEligible,
    /// Others came first.
    TooMany,
    /// No more.
    Over,
}

/// Somebody in an open incident that the rule is about.
struct Present<'w> {
    user: &'w UserId,
    /// The strongest of the parts.
    role: Role,
    /// When the first part began.
    since: DateTime<Utc>,
    choice: Choice,
}

/// Whether the person is meant.
enum Choice {
    Meant,
    NotEligible,
    Unclear,
}

/// What came of looking at one rule.
#[derive(Default)]
pub(super) struct Standings {
    pub(super) all: Vec<Standing>,
    /// What is to be remembered and is not yet, each with the instant at which all access because of it is over.
    pub(super) news: Vec<(RememberedPart, DateTime<Utc>)>,
    pub(super) unknown: Vec<Unknown>,
}

/// How everybody stands in the incidents that a rule is about, for whoever only wants to know; nobody, if it is about none.
pub(crate) fn standings(now: DateTime<Utc>, rule: &Rule, world: &World) -> Vec<Standing> {
    match &rule.people {
        PeopleSelector::Incidents(selector) => {
            IncidentRule::new(now.trunc_subsecs(0), rule, selector, world).standings().all
        }
        PeopleSelector::Schedules(_) | PeopleSelector::Policies { .. } => Vec::new(),
    }
}

/// Somebody in an incident, for whoever only wants to know.
pub(crate) struct Seat {
    pub(crate) standing: Standing,
    /// The person, by whatever name is known.
    pub(crate) who: Subject,
    /// Why the person can get no grant, whatever the part.
    pub(crate) hindrance: Option<SkipReason>,
}

/// The same with the people, as reports name them.
pub(crate) fn seats(now: DateTime<Utc>, settings: &Settings, rule: &Rule, world: &World) -> Vec<Seat> {
    let namesakes = Namesakes::of(&settings.aliases, world);
    let seat = |standing: Standing| {
        let user = &standing.part.user;
        let person = Person::of(settings, world, &namesakes, user);
        let (hindrance, is_known) = match &person.identity {
            Identity::Account(..) => (None, true),
            Identity::Suspended(..) => (Some(SkipReason::AccountSuspended), true),
            Identity::Skipped(_, reason, _) => (Some(*reason), true),
            Identity::Shared(..) => (Some(SkipReason::AmbiguousAccount), true),
            Identity::Unknown(..) => (None, false),
        };
        let entitlement = match standing.entitlement {
            Entitlement::Until(end) if !is_known => Entitlement::Unclear(end),
            entitlement => entitlement,
        };
        let who = person.subject(user);
        Seat { who, hindrance, standing: Standing { entitlement, ..standing } }
    };
    standings(now, rule, world).into_iter().map(seat).collect()
}

impl<'w> IncidentRule<'w> {
    pub(super) fn new(
        now: DateTime<Utc>,
        rule: &'w Rule,
        selector: &'w IncidentSelector,
        world: &'w World,
    ) -> Self {
        let seen = selector.services.iter().filter_map(|service| match world.incidents.get(service) {
            Some(Observed::Known(incidents)) => Some(incidents),
            Some(Observed::Unknown(_)) | None => None,
        });
        let mut incidents: BTreeMap<&IncidentId, &Incident> = BTreeMap::new();
        for incident in seen.flatten() {
            let known = incidents.entry(&incident.about.id).or_insert(incident);
            // One that moved to another service is in two answers; while one of them says that it is open, it is.
            if incident.state == IncidentState::Open {
                *known = incident;
            }
        }
        let remembered = world.recorded.parts.iter().filter(|part| part.rule == rule.name);
        let remembered = remembered.map(|part| ((&part.incident.id, &part.user), part)).collect();
        Self { now, rule, selector, world, incidents, remembered }
    }

    /// How everybody stands who plays a part in an incident, or did. Services that were not seen are the caller's matter.
    pub(super) fn standings(&self) -> Standings {
        let mut found = Standings::default();
        let mut present: BTreeSet<(&IncidentId, &UserId)> = BTreeSet::new();
        for incident in self.incidents.values().filter(|incident| self.selector.selects(incident)) {
            let people = self.present(incident, &mut found.unknown);
            present.extend(people.iter().map(|person| (&incident.about.id, person.user)));
            found.all.extend(self.seated(incident, people));
        }
        for (key, part) in self.remembered.iter().filter(|(key, _)| !present.contains(*key)) {
            if part.over(self.selector.max_duration) > self.now {
                found.all.push(self.gone(key.0, part, &mut found.unknown));
            }
        }
        found.unknown.sort();
        found.unknown.dedup();
        let news = found.all.iter().filter(|standing| self.is_news(standing)).map(|standing| &standing.part);
        let until = |part: &RememberedPart| part.over(self.selector.max_duration);
        found.news = news.map(|part| (part.clone(), until(part))).collect();
        found
    }

    /// Whether something is to be remembered. Of somebody who may not have had access, nothing is: it must not be given
    /// when the incident is over.
    fn is_news(&self, Standing { part, entitlement }: &Standing) -> bool {
        match self.remembered.get(&(&part.incident.id, &part.user)) {
            Some(before) => **before != *part,
            None => matches!(entitlement, Entitlement::Until(_) | Entitlement::Over),
        }
    }

    /// Everybody in the incident whose part counts, whoever came first first.
    fn present(&self, incident: &'w Incident, unknown: &mut Vec<Unknown>) -> Vec<Present<'w>> {
        let mut people: BTreeMap<&UserId, Present<'w>> = BTreeMap::new();
        for part in incident.parts.iter().filter(|part| self.selector.roles.contains(&part.role)) {
            let is_meant = part.role == Role::Assignee && !incident.is_assigned_by_hand;
            let before = self.remembered.get(&(&incident.about.id, &part.user));
            let since = before.map_or(part.since, |before| before.since.min(part.since));
            let person = people.entry(&part.user).or_insert(Present {
                user: &part.user,
                role: part.role,
                since,
                choice: Choice::NotEligible,
            });
            person.since = person.since.min(since);
            person.role = person.role.min(part.role);
            if is_meant {
                person.choice = Choice::Meant;
            }
        }
        for person in people.values_mut().filter(|person| !matches!(person.choice, Choice::Meant)) {
            person.choice = self.eligible(incident, person.user, unknown);
        }
        let mut people: Vec<Present<'w>> = people.into_values().collect();
        people.sort_by_key(|person| (person.since, person.user));
        people
    }

    /// Whether somebody who was chosen by hand is in one of the eligible groups.
    fn eligible(&self, incident: &Incident, user: &UserId, unknown: &mut Vec<Unknown>) -> Choice {
        let mut faults: Vec<(&Group, Fault)> = Vec::new();
        for group in &self.selector.eligible {
            match self.world.members.get(group) {
                Some(Observed::Known(members)) if members.contains(user) => return Choice::Meant,
                Some(Observed::Known(_)) => {}
                Some(Observed::Unknown(fault)) => faults.push((group, fault.clone())),
                None => faults.push((group, "not asked".into())),
            }
        }
        if faults.is_empty() {
            return Choice::NotEligible;
        }
        unknown.extend(faults.into_iter().map(|(group, Fault { error, remedy })| {
            let error = format!("who belongs to {group} cannot be seen: {error}");
            Unknown::new(Asked::Service(incident.service.clone()), Fault { error, remedy })
        }));
        Choice::Unclear
    }

    /// Gives places to those who came first.
    fn seated(&self, incident: &Incident, people: Vec<Present<'w>>) -> Vec<Standing> {
        let most = self.selector.max_people;
        // Who takes a place for sure, and who may.
        let (mut certain, mut possible) = (0, 0);
        let mut standing = |person: Present<'w>| {
            let longest = later(person.since, self.selector.max_duration);
            let part = RememberedPart {
                rule: self.rule.name.clone(),
                incident: incident.about.clone(),
                service: incident.service.clone(),
                user: person.user.clone(),
                role: person.role,
                since: person.since,
                ends: None,
            };
            let is_over = longest <= self.now;
            let entitlement = match person.choice {
                Choice::NotEligible => Entitlement::NotEligible,
                Choice::Meant if is_over => Entitlement::Over,
                Choice::Meant | Choice::Unclear if certain >= most && !is_over => Entitlement::TooMany,
                // Whoever may not count at all takes the place of nobody who has it.
                Choice::Meant if possible >= most => Entitlement::Unclear(longest),
                Choice::Meant => Entitlement::Until(longest),
                Choice::Unclear => Entitlement::Unclear(longest),
            };
            if !is_over {
                certain += usize::from(matches!(person.choice, Choice::Meant));
                possible += usize::from(!matches!(person.choice, Choice::NotEligible));
            }
            let before = self.remembered.get(&(&incident.about.id, person.user));
            let part = match &entitlement {
                // Whoever may not have access now does not keep it for a while either.
                Entitlement::NotEligible | Entitlement::TooMany => {
                    let before = before.and_then(|before| before.ends);
                    RememberedPart { ends: Some(before.map_or(self.now, |ends| ends.min(self.now))), ..part }
                }
                Entitlement::Unclear(_) => {
                    RememberedPart { ends: before.and_then(|before| before.ends), ..part }
                }
                Entitlement::Until(_) | Entitlement::Over => part,
            };
            Standing { part, entitlement }
        };
        people.into_iter().map(&mut standing).collect()
    }

    /// Somebody who had a part in an incident, and has none any more, or none that can be seen.
    fn gone(&self, id: &IncidentId, before: &RememberedPart, unknown: &mut Vec<Unknown>) -> Standing {
        let longest = later(before.since, self.selector.max_duration);
        let unclear = || Standing { part: before.clone(), entitlement: Entitlement::Unclear(longest) };
        let Some(incident) = self.incidents.get(id) else {
            let fault = self.world.unseen_incidents.get(id);
            unknown.extend(fault.map(|fault| Unknown::new(Asked::Incident(id.clone()), fault.clone())));
            return unclear();
        };
        if incident.state == IncidentState::Open
            && before.role == Role::Responder
            && !incident.tells_responders
        {
            let error = Fault::from("PagerDuty does not tell its responders any more");
            unknown.push(Unknown::new(Asked::Incident(id.clone()), error));
            return unclear();
        }
        let over_since = match incident.state {
            IncidentState::Resolved { at } => at.map_or(self.now, |at| at.min(self.now)),
            IncidentState::Open => self.now,
        };
        let ends = before.ends.unwrap_or_else(|| later(over_since, self.rule.end_late)).min(longest);
        let entitlement = if ends > self.now { Entitlement::Until(ends) } else { Entitlement::Over };
        Standing { part: RememberedPart { ends: Some(ends), ..before.clone() }, entitlement }
    }
}

impl Standing {
    /// The window for which it matters.
    pub(super) fn window(&self, now: DateTime<Utc>) -> Option<Window> {
        match self.entitlement {
            Entitlement::Until(end) | Entitlement::Unclear(end) => Window::new(now, end),
            Entitlement::NotEligible | Entitlement::TooMany | Entitlement::Over => None,
        }
    }

    /// Through which service it was seen.
    pub(crate) fn source(&self) -> Source {
        Source::Service(self.part.service.clone())
    }
}
