//! Incidents that somebody works on.

use std::collections::BTreeSet;

use reqwest::Url;
use serde_json::Value;
use tracing::warn;

use super::{
    Client,
    list::{END_OF_LIST, Reading},
    operation::Operation,
    request::Request,
};
use crate::{
    model::{
        Incident, IncidentId, IncidentRef, IncidentState, Part, PriorityId, Role, ServiceId, Thing, UserId,
    },
    pagerduty::{
        Error,
        wire::{Id, IncidentBody, IncidentEntry, IncidentPage, Responder, User, without_values},
    },
};

/// So much of a title is kept.
const TITLE: usize = 80;
/// An address that is longer is none of PagerDuty's.
const LONGEST_URL: usize = 500;

/// The open incidents of some services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenIncidents {
    /// Those that can be read.
    pub(crate) read: Vec<Incident>,
    /// The others.
    pub(crate) unreadable: Vec<UnreadableIncident>,
}

/// An incident that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadableIncident {
    /// Which.
    pub(crate) id: IncidentId,
    /// Its service, if that can be read.
    pub(crate) service: Option<ServiceId>,
    /// What is wrong with it.
    pub(crate) error: String,
}

impl Client {
    /// All open incidents of these services, however old. PagerDuty lists nothing for services that it does not know or
    /// hides; and one that is missing may be in no page, so ask for it by ID before anything ends.
    pub(crate) async fn open_incidents(&self, of: &[ServiceId]) -> Result<OpenIncidents, Error> {
        let asked: BTreeSet<&ServiceId> = of.iter().collect();
        let url = self.incidents_url(&asked)?;
        let entries = match self.read_consistent::<IncidentPage>(&url).await? {
            Reading::Whole(entries) => entries,
            Reading::TooLong => {
                let text = format!("there are over {END_OF_LIST} open incidents");
                return Err(Error::Invalid(text));
            }
            Reading::Changed => {
                let text = "entries are missing in the list of incidents, or it kept changing";
                return Err(Error::Invalid(text.to_owned()));
            }
        };
        let mut found = OpenIncidents::default();
        let mut not_asked_for = 0;
        for entry in entries {
            let id = id_of(&entry)?;
            let service = entry["service"]["id"].as_str().map(ServiceId::from);
            match serde_json::from_value(entry) {
                Ok(entry) => match self.told(entry) {
                    incident if asked.contains(&incident.service) => found.read.push(incident),
                    _ => not_asked_for += 1,
                },
                Err(error) => {
                    let error = without_values(&error);
                    found.unreadable.push(UnreadableIncident { id, service, error });
                }
            }
        }
        if not_asked_for > 0 {
            warn!(not_asked_for, "PagerDuty listed incidents of services that were not asked for");
        }
        Ok(found)
    }

    fn incidents_url(&self, services: &BTreeSet<&ServiceId>) -> Result<Url, Error> {
        let mut url = self.url(["incidents"])?;
        let mut query = url.query_pairs_mut();
        for service in services {
            query.append_pair("service_ids[]", service.as_str());
        }
        query
            .append_pair("statuses[]", "triggered")
            .append_pair("statuses[]", "acknowledged")
            // Without it, only those of the last month are listed.
            .append_pair("date_range", "all")
            .append_pair("include[]", "assignees")
            .append_pair("sort_by", "created_at:asc")
            .append_pair("time_zone", "UTC")
            .append_pair("total", "true");
        drop(query);
        Ok(url)
    }

    /// The incident of this ID, whatever became of it; an error if there is none, or if it is hidden.
    pub(crate) async fn incident(&self, id: &IncidentId) -> Result<Incident, Error> {
        let mut url = self.url(["incidents", id.as_str()])?;
        url.query_pairs_mut().append_pair("include[]", "assignees");
        let IncidentBody { incident: entry } = self.fetch(Request::get(Operation::GetIncident, url)).await?;
        if id_of(&entry)? != *id {
            return Err(Error::Invalid(format!("incident {id}: the answer is about another incident")));
        }
        let entry = serde_json::from_value(entry);
        entry
            .map(|entry| self.told(entry))
            .map_err(|error| Error::Invalid(format!("incident {id}: {}", without_values(&error))))
    }
}

impl Client {
    /// The incident, once it is told what the things and people in it are called.
    fn told(&self, entry: IncidentEntry) -> Incident {
        self.tell_reference(|id| Thing::Service(id.into()), &entry.service);
        let assignees = entry.assignments.iter().filter_map(|given| given.assignee.as_ref());
        let acknowledgers = entry.acknowledgements.iter().filter_map(|given| given.acknowledger.as_ref());
        let responders = entry.incidents_responders.iter().flatten().filter_map(|given| given.user.as_ref());
        for user in assignees.chain(acknowledgers).chain(responders).filter(|user| is_user(user)) {
            self.tell_user(user);
        }
        incident(entry)
    }
}

fn id_of(entry: &Value) -> Result<IncidentId, Error> {
    let id = entry["id"].as_str().filter(|id| !id.is_empty());
    id.map(IncidentId::from).ok_or_else(|| Error::Invalid("an incident without an ID".to_owned()))
}

pub(super) fn incident(entry: IncidentEntry) -> Incident {
    let assignees = entry.assignments.into_iter().filter_map(|given| {
        let at = given.at.0;
        given.assignee.map(|user| part(user, Role::Assignee, at))
    });
    let acknowledgers = entry.acknowledgements.into_iter().filter_map(|given| {
        let at = given.at.0;
        given.acknowledger.filter(is_user).map(|user| part(user, Role::Acknowledger, at))
    });
    let is_pending = |responder: &&Responder| responder.state == "pending";
    let tells_responders = entry.incidents_responders.is_some();
    let responders = entry.incidents_responders.unwrap_or_default();
    let asked = responders.iter().filter(is_pending).filter_map(|given| given.user.as_ref());
    let asked = asked.map(|user| UserId::from(user.id.0.clone())).collect();
    let joined = responders.into_iter().filter(|responder| responder.state == "joined");
    let responders = joined.filter_map(|given| {
        let since = given.requested_at.0;
        given.user.map(|user| part(user, Role::Responder, since))
    });
    let state = match entry.status.as_str() {
        "resolved" => IncidentState::Resolved { at: entry.resolved_at.map(|at| at.0) },
        // New ones may be introduced, and none of them is the end.
        _ => IncidentState::Open,
    };
    Incident {
        about: IncidentRef {
            id: IncidentId::from(entry.id.0),
            number: entry.incident_number,
            html_url: entry.html_url.filter(|url| is_link(url)),
        },
        title: entry.title.unwrap_or_default().chars().filter(|c| !c.is_control()).take(TITLE).collect(),
        service: ServiceId::from(entry.service.id.0),
        state,
        urgency: entry.urgency,
        priority: entry.priority.map(|priority| PriorityId::from(priority.id.0)),
        // Whatever is not the escalation policy is somebody's choice.
        is_assigned_by_hand: entry.assigned_via != "escalation_policy",
        parts: assignees.chain(acknowledgers).chain(responders).collect(),
        asked,
        tells_responders,
    }
}

fn part(user: User, role: Role, since: chrono::DateTime<chrono::Utc>) -> Part {
    let Id(id) = user.id;
    Part { user: UserId::from(id), email: user.email.filter(|email| !email.is_empty()), role, since }
}

/// A service can acknowledge an incident as well.
fn is_user(who: &User) -> bool {
    who.kind.as_deref().is_none_or(|kind| kind.starts_with("user"))
}

/// It is shown as a link, so it must not lead into the page itself or run anything.
fn is_link(url: &str) -> bool {
    url.len() <= LONGEST_URL
        && Url::parse(url).is_ok_and(|url| url.scheme() == "https" || url.scheme() == "http")
}
