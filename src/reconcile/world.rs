//! What one pass saw: the planner's only input beside the clock and the settings. Plain values.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{
    Account, Altered, DueRevocations, Email, Fault, ForeignGrant, Group, Incident, IncidentId, Links,
    Observed, OnCall, OwnGrant, Pair, PolicyId, Refusal, RememberedPart, Resource, ResourceSelector,
    SecondGrant, ServiceId, SkipReason, Source, Unknown, UserId, Window,
};

/// Everything a pass observed. What is absent from a map was not asked, which the planner treats like
/// [`Observed::Unknown`]: it justifies no revocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    /// Who is on call, by what PagerDuty was asked about.
    pub(crate) on_calls: BTreeMap<Source, Observed<Vec<OnCall>>>,
    /// The incidents of each service: those that are open, and what became of those that were open before.
    pub(crate) incidents: BTreeMap<ServiceId, Observed<Vec<Incident>>>,
    /// Incidents of which nobody knows what became of them.
    pub(crate) unseen_incidents: BTreeMap<IncidentId, Fault>,
    /// Who belongs to the groups whose members may get access because of an incident.
    pub(crate) members: BTreeMap<Group, Observed<BTreeSet<UserId>>>,
    /// What is missing in an answer that told some on-calls: these give access, and nothing is taken away.
    pub(crate) doubts: BTreeMap<Source, Fault>,
    /// The login e-mail of everyone on call or in an incident, as PagerDuty writes it; none for deleted users.
    pub(crate) people: BTreeMap<UserId, Observed<Option<String>>>,
    /// Where whole domains are mapped: the login e-mail of others, seen in earlier looks, who would be the same strongDM
    /// account as somebody on call.
    pub(crate) acquaintances: BTreeMap<UserId, String>,
    /// strongDM's user accounts by e-mail.
    pub(crate) accounts: BTreeMap<Email, Observed<AccountMatch>>,
    /// strongDM's resources by how rules name them.
    pub(crate) resources: BTreeMap<ResourceSelector, Observed<ResourceMatch>>,
    /// Whom an incident of a rule's service would page in vain, as far as that was looked up beforehand.
    pub(crate) paged_in_vain: Vec<PagedInVain>,
    /// What our own store tells.
    pub(crate) recorded: Recorded,
    /// The stretch of time that PagerDuty was asked about; none if it was not asked.
    pub(crate) asked: Option<Window>,
    /// When the look began: nothing in it is an answer to an earlier question than this, but what the cache trusts.
    pub(crate) asked_at: DateTime<Utc>,
    /// Whether the same look may show more.
    pub(crate) extent: Extent,
    /// When the last upstream answered; what was decided before that moment has seen less.
    pub(crate) seen_at: DateTime<Utc>,
}

/// How much of what was asked for a [`World`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that could be seen.
    #[default]
    Whole,
    /// What was seen so far: the rest is [`Observed::Unknown`], and the same look may show it later. Good for giving access
    /// that is due now; nothing else follows from it.
    Part,
}

impl World {
    /// The on-calls of all schedules and policies that answered.
    pub(crate) fn seen_on_calls(&self) -> impl Iterator<Item = &OnCall> {
        self.on_calls.values().flat_map(|answer| match answer {
            Observed::Known(on_calls) => on_calls.as_slice(),
            Observed::Unknown(_) => &[],
        })
    }

    /// The incidents of all services that answered.
    pub(crate) fn seen_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values().flat_map(|answer| match answer {
            Observed::Known(incidents) => incidents.as_slice(),
            Observed::Unknown(_) => &[],
        })
    }

    /// The IDs of all incidents that were seen.
    pub(crate) fn incident_ids(&self) -> BTreeSet<IncidentId> {
        self.seen_incidents().map(|incident| incident.about.id.clone()).collect()
    }

    /// Everybody who was seen on call, or playing a part in an incident.
    pub(crate) fn seen_users(&self) -> impl Iterator<Item = &UserId> {
        let parts = self.seen_incidents().flat_map(|incident| &incident.parts).map(|part| &part.user);
        self.seen_on_calls().map(|on_call| &on_call.user).chain(parts)
    }

    /// Those of them who were seen through one source.
    pub(crate) fn users_of(&self, source: &Source) -> BTreeSet<&UserId> {
        match source {
            Source::Service(id) => match self.incidents.get(id) {
                Some(Observed::Known(incidents)) => {
                    incidents.iter().flat_map(|incident| &incident.parts).map(|part| &part.user).collect()
                }
                Some(Observed::Unknown(_)) | None => BTreeSet::new(),
            },
            Source::Schedule(_) | Source::Policy(_) => match self.on_calls.get(source) {
                Some(Observed::Known(on_calls)) => on_calls.iter().map(|on_call| &on_call.user).collect(),
                Some(Observed::Unknown(_)) | None => BTreeSet::new(),
            },
        }
    }

    /// Whether PagerDuty was asked about this source.
    pub(crate) fn is_asked(&self, source: &Source) -> bool {
        match source {
            Source::Service(id) => self.incidents.contains_key(id),
            Source::Schedule(_) | Source::Policy(_) => self.on_calls.contains_key(source),
        }
    }

    /// Whether PagerDuty answered what it was asked about this source.
    pub(crate) fn is_answered(&self, source: &Source) -> bool {
        match source {
            Source::Service(id) => self.incidents.get(id).is_some_and(Observed::is_known),
            Source::Schedule(_) | Source::Policy(_) => {
                self.on_calls.get(source).is_some_and(Observed::is_known)
            }
        }
    }

    /// Everything that PagerDuty was asked about.
    pub(crate) fn asked_sources(&self) -> impl Iterator<Item = Source> {
        let services = self.incidents.keys().cloned().map(Source::Service);
        self.on_calls.keys().cloned().chain(services)
    }

    /// Which schedule was seen under which escalation policy.
    pub(crate) fn links(&self) -> Links {
        let both = |on_call: &OnCall| on_call.schedule.clone().zip(on_call.policy.clone());
        self.seen_on_calls().filter_map(both).collect()
    }
}

/// Somebody whom an escalation policy pages within the horizon when an incident of a rule's service reaches their level, and
/// who would get no access by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PagedInVain {
    /// The address in strongDM.
    pub(crate) email: Email,
    /// Why there would be no access.
    pub(crate) reason: SkipReason,
    /// What would page this person.
    pub(crate) through: BTreeSet<PagedThrough>,
}

/// What pages somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PagedThrough {
    /// The service whose incidents do.
    pub(crate) service: ServiceId,
    /// Its escalation policy.
    pub(crate) policy: PolicyId,
    /// The level there, the first is 1.
    pub(crate) level: Option<u32>,
}

impl fmt::Display for PagedThrough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, policy, level } = self;
        write!(f, "escalation policy {policy}")?;
        if let Some(level) = level {
            write!(f, " at level {level}")?;
        }
        write!(f, " (service {service})")
    }
}

/// The part of the [`World`] that our own store tells. Empty for whoever has no store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Our grants that have not ended.
    pub(crate) ledger: Vec<OwnGrant>,
    /// Grants that somebody else made, as last seen; they matter only where strongDM refuses a second one.
    pub(crate) foreign: Vec<ForeignGrant>,
    /// Pairs for which an earlier write has an unknown outcome.
    pub(crate) unsettled: Vec<Pair>,
    /// Rows of our ledger that cannot be read. Their pairs are among the unsettled ones.
    pub(crate) unreadable: Vec<Unknown>,
    /// What strongDM was last seen to do with a second grant.
    pub(crate) second_grant: SecondGrant,
    /// Pairs for which strongDM refused a grant although none was seen in the way, as long as that holds.
    pub(crate) refusals: Vec<Refusal>,
    /// Windows that strongDM altered and that are not to be asked for again yet.
    pub(crate) altered: Vec<Altered>,
    /// The parts in incidents that may matter still.
    pub(crate) parts: Vec<RememberedPart>,
    /// What earlier looks found due to be revoked.
    pub(crate) due: DueRevocations,
}

/// What the look-up of one e-mail address gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountMatch {
    /// Exactly one user account has this address.
    One(Account),
    /// No user account has it.
    None,
    /// Several do; nobody can say which is meant.
    Many,
}

impl ResourceMatch {
    /// What resources of one name come to.
    pub(crate) fn of_name(found: Vec<Resource>) -> Self {
        match found.len() {
            0 => Self::None,
            1 => Self::Found(found),
            _ => Self::Many,
        }
    }
}

/// What the look-up of one resource selector gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResourceMatch {
    /// The resources: one for a name, any number for a filter.
    Found(Vec<Resource>),
    /// No resource has this name.
    None,
    /// Several resources have this name.
    Many,
    /// strongDM does not accept the name or filter; the text says why.
    Refused(String),
}
