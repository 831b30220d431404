//! The open incidents that rules are about, with everybody in them: for the page alone, since titles may hold customers'
//! data. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{IncidentId, IncidentRef, Name, Names, PeopleSelector, Role, ServiceId, SkipReason, Thing},
    reconcile::{
        plan::{Entitlement, Seat, Settings, Standing, seats},
        world::World,
    },
};

/// An open incident that at least one rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenIncident {
    /// Which.
    #[serde(flatten)]
    pub(crate) about: IncidentRef,
    /// The first characters of its title.
    pub(crate) title: String,
    /// Its service.
    pub(crate) service: ServiceId,
    /// What that is called.
    #[serde(default)]
    pub(crate) service_name: Option<Name>,
    /// How urgent it is, in PagerDuty's word.
    pub(crate) urgency: String,
    /// The rules that are about it.
    pub(crate) rules: BTreeSet<String>,
    /// Everybody in it, as each rule counts it; those with access first.
    pub(crate) people: Vec<Participant>,
    /// How many people the list lacks.
    #[serde(default)]
    pub(crate) beyond: usize,
}

/// Somebody in an incident, as one rule counts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Participant {
    /// The address in strongDM, or whatever else is known of the person.
    pub(crate) who: String,
    /// The person's name.
    #[serde(default)]
    pub(crate) name: Option<Name>,
    /// The rule.
    pub(crate) rule: String,
    /// The part.
    pub(crate) role: Role,
    /// When the first part began.
    pub(crate) since: DateTime<Utc>,
    /// Whether the person has access.
    pub(crate) access: ParticipantAccess,
    /// Until when at the latest, where there is access or may be.
    pub(crate) until: Option<DateTime<Utc>>,
    /// Why there is none, where the rule or the account is why.
    pub(crate) reason: Option<SkipReason>,
}

/// Whether somebody in an incident has access because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParticipantAccess {
    /// While the part lasts.
    In,
    /// The part is over, and access goes on for a while.
    Leaving,
    /// It cannot be seen.
    Unclear,
    /// The rule leaves the person out, or there is no account.
    Skipped,
    /// No more: the longest time is used up. Also what only another version has a word for.
    #[serde(other)]
    Over,
}

impl OpenIncident {
    /// The people who have access because of it.
    pub(crate) fn people_in(&self) -> impl Iterator<Item = &str> {
        let are_in = self
            .people
            .iter()
            .filter(|person| matches!(person.access, ParticipantAccess::In | ParticipantAccess::Leaving));
        are_in.map(|person| person.who.as_str())
    }

    /// The same with the names of its service and its people, for whoever reads it.
    pub(super) fn named(mut self, names: &Names) -> Self {
        self.service_name = names.of(Thing::Service(self.service.clone())).cloned().or(self.service_name);
        for person in &mut self.people {
            person.name = names.person(&person.who).cloned().or(person.name.take());
        }
        self
    }

    /// Leaves the first `listed` people, and the number of the others.
    pub(super) fn cut(&mut self, listed: usize) {
        self.beyond += self.people.len().saturating_sub(listed);
        self.people.truncate(listed);
    }
}

impl From<Seat> for Participant {
    fn from(Seat { standing: Standing { part, entitlement }, who, hindrance }: Seat) -> Self {
        let (access, until, reason) = match (entitlement, hindrance) {
            (Entitlement::Until(_), Some(reason)) => (ParticipantAccess::Skipped, None, Some(reason)),
            (Entitlement::Until(end), None) => {
                let is_over = part.ends.is_some();
                let access = if is_over { ParticipantAccess::Leaving } else { ParticipantAccess::In };
                (access, Some(end), None)
            }
            (Entitlement::Unclear(end), _) => (ParticipantAccess::Unclear, Some(end), None),
            (Entitlement::NotEligible, _) => {
                (ParticipantAccess::Skipped, None, Some(SkipReason::NotEligible))
            }
            (Entitlement::TooMany, _) => (ParticipantAccess::Skipped, None, Some(SkipReason::TooManyPeople)),
            (Entitlement::Over, _) => (ParticipantAccess::Over, None, None),
        };
        Self {
            who: who.to_string(),
            name: None,
            rule: part.rule,
            role: part.role,
            since: part.since,
            access,
            until,
            reason,
        }
    }
}

/// All open incidents that were seen and that rules are about, the newest first.
pub(crate) fn open_incidents(now: DateTime<Utc>, settings: &Settings, world: &World) -> Vec<OpenIncident> {
    let mut found: BTreeMap<IncidentId, OpenIncident> = BTreeMap::new();
    for rule in &settings.rules {
        let PeopleSelector::Incidents(selector) = &rule.people else { continue };
        let mut of_rule: BTreeMap<IncidentId, Vec<Participant>> = BTreeMap::new();
        for seat in seats(now, settings, rule, world) {
            let id = seat.standing.part.incident.id.clone();
            of_rule.entry(id).or_default().push(seat.into());
        }
        for incident in world.seen_incidents().filter(|incident| selector.selects(incident)) {
            let open = found.entry(incident.about.id.clone()).or_insert_with(|| OpenIncident {
                about: incident.about.clone(),
                title: incident.title.clone(),
                service: incident.service.clone(),
                service_name: None,
                urgency: incident.urgency.clone(),
                rules: BTreeSet::new(),
                people: Vec::new(),
                beyond: 0,
            });
            open.rules.insert(rule.name.clone());
            open.people.extend(of_rule.remove(&incident.about.id).unwrap_or_default());
        }
    }
    let mut found: Vec<OpenIncident> = found.into_values().collect();
    for incident in &mut found {
        incident.people.sort_by(|a, b| (a.access, a.since, &a.who).cmp(&(b.access, b.since, &b.who)));
    }
    found.sort_by(|a, b| (b.about.number, &b.about.id).cmp(&(a.about.number, &a.about.id)));
    found
}

#[cfg(test)]
mod tests;
