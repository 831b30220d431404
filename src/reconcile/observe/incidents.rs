//! Asks who works on incidents: all services of all rules in one list; what is missing there, and was there before, by
//! its ID; and who belongs to the groups whose members may get access by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use parking_lot::Mutex;
use tokio::{
    sync::{OnceCell, mpsc},
    time::Instant,
};

use super::{
    aside::aside,
    cache::Demand,
    division::{Division, Query, Sent},
    failures::{Reason, Standing},
    question::Question,
    remedy,
    sight::Sight,
};
use crate::{
    clock,
    model::{
        Email, Fault, Group, Incident, IncidentId, IncidentSelector, IncidentState, Observed, Part,
        PeopleSelector, RememberedPart, Role, ServiceId, Source, UserId,
    },
    pagerduty::{self, IDS_AT_ONCE, OpenIncidents, UnreadableIncident},
    reconcile::scope::Scope,
};

/// What each is asked about once: a group, and whether the answer has to be fresh.
pub(super) type AskedOnce = Mutex<BTreeMap<(Group, bool), Arc<OnceCell<()>>>>;

/// Asks for the incidents of many services.
pub(super) struct Incidents<'g> {
    pub(super) question: &'g Question,
    pub(super) scope: &'g Scope,
    pub(super) sight: &'g Sight,
    /// The parts that may matter still.
    pub(super) remembered: &'g [RememberedPart],
    /// Where users go whose address is not told.
    pub(super) people: mpsc::UnboundedSender<UserId>,
    /// Where the addresses go of those whose account is wanted.
    pub(super) accounts: mpsc::UnboundedSender<Email>,
    /// The groups that are asked about.
    pub(super) members_asked: AskedOnce,
}

impl Incidents<'_> {
    /// Asks about `services`.
    pub(super) async fn ask_all(&self, division: &Division<'_, Self>, services: Vec<ServiceId>) {
        let patience = self.question.pagerduty.patience();
        let (fine, failed): (Vec<ServiceId>, Vec<ServiceId>) = services.into_iter().partition(|service| {
            let source = Source::Service(service.clone());
            let failures = &self.question.cache.failures.sources;
            failures.standing(&source, Reason::of(self.scope, &source), Instant::now()) == Standing::Fine
        });
        let chunks = join_all(fine.chunks(IDS_AT_ONCE).map(|chunk| division.ask(chunk.to_vec(), patience)));
        let suspects = join_all(failed.into_iter().map(|service| self.again(service)));
        tokio::join!(chunks, suspects, self.members_ahead());
    }

    /// An event may tell that somebody was chosen by hand: who belongs to the groups is asked at the same time as the
    /// incidents.
    async fn members_ahead(&self) {
        let Scope::Sources(named) = self.scope else { return };
        let is_about = |selector: &IncidentSelector| {
            selector.services.iter().any(|service| named.contains(&Source::Service(service.clone())))
        };
        let mut groups: BTreeSet<&Group> = BTreeSet::new();
        for rule in &self.question.settings.rules {
            match &rule.people {
                PeopleSelector::Incidents(selector) if is_about(selector) => {
                    groups.extend(&selector.eligible);
                }
                _ => {}
            }
        }
        let asked =
            groups.into_iter().map(|group| self.members(group.clone(), Demand::Since(self.question.now)));
        asked.collect::<FuturesUnordered<_>>().collect::<()>().await;
    }

    /// Asks once more about a service that failed before.
    async fn again(&self, service: ServiceId) {
        let (source, asked) = (Source::Service(service.clone()), service.clone());
        let ask = |question: Question| async move {
            let rules = &question.settings.rules;
            let source = Source::Service(asked.clone());
            let open = question.client().open_incidents(&[asked]).await;
            open.map_err(|error| remedy::source(&error, &source, rules))
        };
        let reason = Reason::of(self.scope, &source);
        match aside(self.question, |failures| &failures.sources, &source, reason, ask).await {
            Observed::Known(open) => self.listed(vec![service], open).await,
            Observed::Unknown(fault) => self.record_unknown(service, fault),
        }
    }

    /// Takes in the list for some services, and asks on where that is no answer yet.
    async fn listed(&self, services: Vec<ServiceId>, open: OpenIncidents) {
        let OpenIncidents { read, unreadable } = open;
        let mut listed: BTreeSet<IncidentId> =
            read.iter().map(|incident| incident.about.id.clone()).collect();
        let mut doubts: BTreeMap<ServiceId, Fault> = BTreeMap::new();
        for UnreadableIncident { id, service, error } in unreadable {
            let fault = Fault::from(format!("incident {id} cannot be read: {error}"));
            // Nobody knows who works on it.
            let concerned =
                services.iter().filter(|one| service.as_ref().is_none_or(|service| service == *one));
            doubts.extend(concerned.map(|service| (service.clone(), fault.clone())));
            self.sight.record(|world| _ = world.unseen_incidents.insert(id.clone(), fault));
            listed.insert(id);
        }
        let mut by_service: BTreeMap<ServiceId, Vec<Incident>> =
            services.iter().map(|service| (service.clone(), Vec::new())).collect();
        for incident in read {
            self.see(&incident);
            by_service.entry(incident.service.clone()).or_default().push(incident);
        }
        let groups = self.groups_to_ask(by_service.values().flatten());
        let missing = self.missing(&services, &listed);
        for (_, id) in &missing {
            // Nobody knows until it is asked for.
            let fault = Fault::from("no answer yet");
            self.sight.record(|world| _ = world.unseen_incidents.insert(id.clone(), fault));
        }
        for (service, incidents) in by_service {
            self.question.cache.seen.lock().insert(Source::Service(service.clone()), clock::now());
            self.question.cache.failures.sources.answered(&Source::Service(service.clone()));
            let doubt = doubts.remove(&service);
            self.sight.record(|world| {
                let source = Source::Service(service.clone());
                match doubt {
                    Some(doubt) => _ = world.doubts.insert(source, doubt),
                    None => _ = world.doubts.remove(&source),
                }
                world.incidents.insert(service, Observed::Known(incidents));
            });
        }
        // Whose part is over may keep access for a while.
        for part in self.remembered.iter().filter(|part| services.contains(&part.service)) {
            // Whoever receives it ends after this.
            let _ = self.people.send(part.user.clone());
        }
        self.sight.has_on_calls();
        let members = groups.into_iter().map(|(group, demand)| self.members(group, demand));
        let missing = missing.into_iter().map(|(service, id)| self.became_of(service, id));
        tokio::join!(
            members.collect::<FuturesUnordered<_>>().collect::<()>(),
            missing.collect::<FuturesUnordered<_>>().collect::<()>(),
        );
    }

    /// Passes on who plays a part in an incident.
    fn see(&self, incident: &Incident) {
        for Part { user, email, .. } in &incident.parts {
            let Some(email) = email else {
                // Whoever receives it ends after this.
                let _ = self.people.send(user.clone());
                continue;
            };
            let person = Observed::Known(Some(email.clone()));
            if let Some(email) = self.sight.email_of(&person) {
                let _ = self.accounts.send(email);
            }
            self.sight.record_person(self.question, user.clone(), person);
        }
    }

    /// The incidents that were open before and that the list does not show, each with the service where it was seen.
    fn missing(
        &self,
        services: &[ServiceId],
        listed: &BTreeSet<IncidentId>,
    ) -> BTreeSet<(ServiceId, IncidentId)> {
        let here = self.remembered.iter().filter(|part| services.contains(&part.service));
        let missing = here.filter(|part| !listed.contains(&part.incident.id));
        missing.map(|part| (part.service.clone(), part.incident.id.clone())).collect()
    }

    /// Asks what became of an incident that the list does not show.
    async fn became_of(&self, service: ServiceId, id: IncidentId) {
        let Question { cache, now, demand, .. } = self.question;
        let answer = if let Some(incident) = cache.incidents.get(&id, *now, *demand) {
            Observed::Known(incident)
        } else {
            let asked = id.clone();
            let ask = |question: Question| async move { question.incident(&asked).await };
            let reason = Reason::of(self.scope, &Source::Service(service.clone()));
            aside(self.question, |failures| &failures.incidents, &id, reason, ask).await
        };
        if let Observed::Known(incident) = &answer {
            self.see(incident);
        }
        self.sight.record(|world| match answer {
            Observed::Known(incident) => {
                world.unseen_incidents.remove(&id);
                if let Some(Observed::Known(incidents)) = world.incidents.get_mut(&service) {
                    incidents.push(incident);
                }
            }
            Observed::Unknown(fault) => _ = world.unseen_incidents.insert(id, fault),
        });
        self.sight.has_on_calls();
    }

    /// The groups in which somebody may be a member who was chosen by hand. Whoever would get access by it is believed
    /// only by a fresh answer.
    fn groups_to_ask<'i>(&self, incidents: impl Iterator<Item = &'i Incident>) -> BTreeMap<Group, Demand> {
        let incidents: Vec<&Incident> = incidents.collect();
        let mut groups: BTreeMap<Group, Demand> = BTreeMap::new();
        for rule in &self.question.settings.rules {
            let PeopleSelector::Incidents(selector) = &rule.people else { continue };
            let chosen = incidents.iter().flat_map(|incident| chosen_by_hand(selector, incident));
            let mut fresh = None;
            for (id, user) in chosen {
                let is_known = self.remembered.iter().any(|part| part.key() == (&rule.name, id, user));
                let demand = if is_known { self.question.demand } else { Demand::Since(self.question.now) };
                fresh = Some(match fresh {
                    Some(Demand::Since(then)) => Demand::Since(then),
                    _ => demand,
                });
            }
            let Some(demand) = fresh else { continue };
            for group in &selector.eligible {
                let known = groups.entry(group.clone()).or_insert(demand);
                if matches!(demand, Demand::Since(_)) {
                    *known = demand;
                }
            }
        }
        groups
    }

    /// Asks once who belongs to a group, and once more if that has to be fresher.
    async fn members(&self, group: Group, demand: Demand) {
        let is_fresh = matches!(demand, Demand::Since(_));
        let asked = Arc::clone(self.members_asked.lock().entry((group.clone(), is_fresh)).or_default());
        asked.get_or_init(|| self.ask_members(group, demand)).await;
    }

    async fn ask_members(&self, group: Group, demand: Demand) {
        let Question { cache, now, .. } = self.question;
        let answer = if let Some(members) = cache.members.get(&group, *now, demand) {
            Observed::Known(members)
        } else {
            let asked = group.clone();
            let ask = |question: Question| async move { question.members(&asked).await };
            aside(self.question, |failures| &failures.members, &group, Reason::Everything, ask).await
        };
        self.sight.record(|world| _ = world.members.insert(group, answer));
        self.sight.has_on_calls();
    }

    fn record_unknown(&self, service: ServiceId, fault: Fault) {
        self.sight.record(|world| _ = world.incidents.insert(service, Observed::Unknown(fault)));
    }
}

/// Who counts only as a member of an eligible group.
fn chosen_by_hand<'i>(
    selector: &IncidentSelector,
    incident: &'i Incident,
) -> impl Iterator<Item = (&'i IncidentId, &'i UserId)> {
    let concerns = incident.state == IncidentState::Open && selector.services.contains(&incident.service);
    let by_hand = |part: &&Part| part.role != Role::Assignee || incident.is_assigned_by_hand;
    let parts = incident
        .parts
        .iter()
        .filter(move |part| concerns && selector.roles.contains(&part.role) && by_hand(part));
    parts.map(|part| (&incident.about.id, &part.user))
}

impl Query for Incidents<'_> {
    type Item = ServiceId;
    type Answer = OpenIncidents;

    async fn ask(&self, part: &[ServiceId], sent: Sent) -> Result<OpenIncidents, pagerduty::Error> {
        let client = self.question.client();
        let client = if part.len() > 1 { client.once(sent) } else { client };
        client.open_incidents(part).await
    }

    async fn take(&self, part: Vec<ServiceId>, answer: Result<OpenIncidents, pagerduty::Error>) {
        match answer {
            Ok(open) => self.listed(part, open).await,
            Err(error) => {
                let is_its_own = part.len() == 1 && error.may_be_of_a_part();
                for service in part {
                    let source = Source::Service(service.clone());
                    let fault = remedy::source(&error, &source, &self.question.settings.rules);
                    if is_its_own {
                        self.question.cache.failures.sources.failed(&source, fault.clone(), Instant::now());
                    }
                    self.record_unknown(service, fault);
                }
            }
        }
    }
}
