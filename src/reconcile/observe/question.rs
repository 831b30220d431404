//! Who is on call through one schedule or policy, once `/oncalls` has told what it tells; and the other single questions to
//! both upstreams. Answers of earlier looks serve where they will do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{
    cache::{Cache, Demand},
    remedy,
};
use crate::{
    model::{
        Email, Fault, Group, Incident, IncidentId, OnCall, PeopleSelector, PolicyId, ResourceSelector,
        Source, UserId, Window,
    },
    pagerduty::{Client, Error, PolicyInfo, PolicyLevel, Precedence},
    reconcile::{
        plan::Settings,
        world::{AccountMatch, ResourceMatch},
    },
    strongdm,
};

/// How long a request may wait for those before it. Whoever looks gives up earlier.
const QUEUE: Duration = Duration::from_mins(2);
/// How long an answer is awaited the first time.
const ANSWER: Duration = Duration::from_secs(5);

/// What is asked, of whom, and for which instant.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) pagerduty: Client,
    pub(super) strongdm: strongdm::Client,
    pub(super) settings: Arc<Settings>,
    pub(super) cache: Arc<Cache>,
    pub(super) now: DateTime<Utc>,
    /// The stretch of time that PagerDuty is asked about.
    pub(super) window: Window,
    /// Which answers of earlier looks will do.
    pub(super) demand: Demand,
}

/// Who is on call through a source, and what is missing in that.
pub(super) type Told = (Vec<OnCall>, Option<Fault>);

impl Question {
    /// The client for one of the many requests of a look.
    pub(super) fn client(&self) -> Client {
        self.pagerduty.among_many(QUEUE, ANSWER)
    }

    /// The same question, for which nobody has to wait.
    pub(super) fn aside(&self) -> Self {
        Self { pagerduty: self.pagerduty.with_precedence(Precedence::Aside), ..self.clone() }
    }

    /// Who is on call through `source`, where `/oncalls` lists `listed` for it. It lists nothing both for a schedule without
    /// anyone and for one that it cannot see, so nothing is believed only after asking for the thing itself.
    pub(super) async fn on_calls(&self, source: &Source, listed: Vec<OnCall>) -> Result<Told, Error> {
        let told = match (source, listed.is_empty()) {
            (Source::Schedule(_), false) => (listed, None),
            (Source::Schedule(id), true) => (self.client().schedule(id, self.window).await?, None),
            (Source::Service(_), _) => {
                return Err(Error::Invalid("nobody is on call for a service".to_owned()));
            }
            (Source::Policy(id), is_empty) => match self.policy(id).await {
                Ok(policy) => {
                    let doubt = self.missing(id, &policy, &listed).await;
                    (listed, doubt)
                }
                // What was told gives access, whatever else may be missing.
                Err(Error::Forbidden(_) | Error::NotFound(_)) if !is_empty => (listed, None),
                Err(error) if !is_empty => {
                    (listed, Some(remedy::source(&error, source, &self.settings.rules)))
                }
                Err(error) => return Err(error),
            },
        };
        let (on_calls, doubt) = told;
        let whole = on_calls.into_iter().map(|on_call| without_end_of_answer(on_call, self.window));
        Ok((whole.collect(), doubt))
    }

    /// The same, asking `/oncalls` as well.
    pub(super) async fn all_of(&self, source: &Source) -> Result<Told, Fault> {
        let refused = |error: &Error| remedy::listing(error, source, &self.settings.rules);
        let listed = self.client().on_calls(std::slice::from_ref(source), self.window).await;
        let listed = listed.map_err(|error| refused(&error))?;
        let told = self.on_calls(source, listed).await;
        told.map_err(|error| remedy::source(&error, source, &self.settings.rules))
    }

    async fn policy(&self, id: &PolicyId) -> Result<PolicyInfo, Error> {
        if let Some(policy) = self.cache.policies.get(id, self.now, self.demand) {
            return Ok(policy);
        }
        let policy = self.client().policy(id).await?;
        self.cache.policies.put(id.clone(), policy.clone(), self.now);
        Ok(policy)
    }

    /// What `/oncalls` leaves out although the policy itself says that somebody must be on call: it hides what the key
    /// may not see, without a word.
    async fn missing(&self, id: &PolicyId, policy: &PolicyInfo, on_calls: &[OnCall]) -> Option<Fault> {
        for (number, level) in (1..).zip(&policy.levels).filter(|(number, _)| self.selects(id, *number)) {
            let told: Vec<&OnCall> =
                on_calls.iter().filter(|on_call| on_call.level == Some(number)).collect();
            if let Some(missing) = self.missing_at(level, &told).await {
                let error = format!("PagerDuty lists nobody on call at level {number} for {missing}");
                let remedy = "see whether this token's owner may see all of the policy".to_owned();
                return Some(Fault { error, remedy });
            }
        }
        None
    }

    async fn missing_at(&self, level: &PolicyLevel, told: &[&OnCall]) -> Option<String> {
        if let Some(user) = level.users.iter().find(|user| !told.iter().any(|on_call| on_call.user == **user))
        {
            return Some(format!("user {user}, whom the policy pages directly"));
        }
        let through = |id| told.iter().any(|on_call| on_call.schedule.as_ref() == Some(id));
        for id in level.schedules.iter().filter(|id| !through(*id)) {
            match self.client().schedule(id, self.window).await {
                Ok(on_calls) if on_calls.is_empty() => {}
                Ok(_) => return Some(format!("schedule {id}, which has somebody")),
                Err(error) => return Some(format!("schedule {id}, which cannot be seen: {error}")),
            }
        }
        None
    }

    /// Whether a rule gives access to whoever is on call at this level of the policy.
    fn selects(&self, id: &PolicyId, level: u32) -> bool {
        self.settings.rules.iter().any(|rule| match &rule.people {
            PeopleSelector::Schedules(_) | PeopleSelector::Incidents(_) => false,
            PeopleSelector::Policies { ids, levels, .. } => {
                ids.contains(id) && (levels.is_empty() || levels.contains(&level))
            }
        })
    }

    /// The address of a user; none for a deleted one, or one without.
    pub(super) async fn address(&self, user: &UserId) -> Result<Option<String>, Fault> {
        let found = self.client().user(user).await.map_err(|error| remedy::user(&error))?;
        let address = found.and_then(|user| user.email);
        self.cache.people.put(user.clone(), address.clone(), self.now);
        Ok(address)
    }

    /// What became of an incident.
    pub(super) async fn incident(&self, id: &IncidentId) -> Result<Incident, Fault> {
        let found = self.client().incident(id).await.map_err(|error| remedy::incident(&error))?;
        self.cache.incidents.put(id.clone(), found.clone(), self.now);
        Ok(found)
    }

    /// Who belongs to a group.
    pub(super) async fn members(&self, group: &Group) -> Result<BTreeSet<UserId>, Fault> {
        let found = self.client().members(group).await.map_err(|error| remedy::members(&error, group))?;
        self.cache.members.put(group.clone(), found.clone(), self.now);
        Ok(found)
    }

    /// The strongDM account with this address.
    pub(super) async fn account(&self, email: &Email) -> Result<AccountMatch, Fault> {
        let mut found = self.strongdm.accounts_by_email(email).await.map_err(|error| Fault::from(&error))?;
        let account = match (found.pop(), found.is_empty()) {
            (None, _) => AccountMatch::None,
            (Some(one), true) => AccountMatch::One(one),
            (Some(_), false) => AccountMatch::Many,
        };
        self.cache.accounts.put(email.clone(), account.clone(), self.now);
        Ok(account)
    }

    /// The resources that a rule means by this.
    pub(super) async fn resource(&self, selector: &ResourceSelector) -> Result<ResourceMatch, Fault> {
        let answer = match selector {
            ResourceSelector::Name(name) => {
                self.strongdm.resources_by_name(name).await.map(ResourceMatch::of_name)
            }
            ResourceSelector::Filter(filter) => {
                self.strongdm.resources_by_filter(filter).await.map(ResourceMatch::Found)
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error @ (strongdm::Error::InvalidArgument(_) | strongdm::Error::Refused(_))) => {
                ResourceMatch::Refused(error.to_string())
            }
            Err(error) => return Err((&error).into()),
        };
        self.cache.resources.put(selector.clone(), answer.clone(), self.now);
        Ok(answer)
    }
}

/// Deals the entries of one answer out to what was asked.
pub(super) fn deal_out(asked: Vec<Source>, on_calls: Vec<OnCall>) -> BTreeMap<Source, Vec<OnCall>> {
    let mut dealt: BTreeMap<Source, Vec<OnCall>> =
        asked.into_iter().map(|source| (source, Vec::new())).collect();
    for on_call in on_calls {
        let schedule = on_call.schedule.clone().map(Source::Schedule);
        let policy = on_call.policy.clone().map(Source::Policy);
        for source in [schedule, policy].into_iter().flatten() {
            if let Some(of_source) = dealt.get_mut(&source) {
                of_source.push(on_call.clone());
            }
        }
    }
    dealt
}

/// PagerDuty cuts shifts at the end of the window that it was asked about. An end exactly there counts as open, or a
/// window that moves on would make a shift look as if it grew.
fn without_end_of_answer(mut on_call: OnCall, asked: Window) -> OnCall {
    if on_call.start.is_some() && on_call.end == Some(asked.end()) {
        on_call.end = None;
    }
    on_call
}
