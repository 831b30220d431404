//! Who is on call, asked of PagerDuty in as few requests as can be; one source without an answer hides no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use chrono::{DateTime, Utc};

use super::{cache::Cache, remedy};
use crate::{
    model::{Fault, Observed, OnCall, OnCallSelector, PolicyId, Rule, Source, Window},
    pagerduty::{Client, Error, PolicyInfo, PolicyLevel},
};

/// What is asked, of whom, and for which instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'q> {
    pub(super) client: &'q Client,
    pub(super) cache: &'q Cache,
    pub(super) rules: &'q [Rule],
    pub(super) now: DateTime<Utc>,
    /// The stretch of time that PagerDuty is asked about.
    pub(super) window: Window,
}

/// The on-calls by source, and what is missing in them where something is.
type Answers = (BTreeMap<Source, Observed<Vec<OnCall>>>, BTreeMap<Source, Fault>);

impl Question<'_> {
    /// The on-calls of each of `sources` that overlap the window.
    pub(super) async fn ask(&self, sources: &BTreeSet<Source>) -> Answers {
        let (schedules, policies): (Vec<Source>, Vec<Source>) =
            sources.iter().cloned().partition(|source| matches!(source, Source::Schedule(_)));
        let mut answers = Answers::default();
        for sources in [schedules, policies] {
            if sources.is_empty() {
                continue;
            }
            match self.client.on_calls(&sources, self.window).await {
                Ok(on_calls) => self.deal_out(&sources, &on_calls, &mut answers).await,
                // One schedule that may not be asked about, or whose entries make no sense, must not hide the others.
                Err(error) if (error.is_client_error() || error.is_invalid()) && sources.len() > 1 => {
                    for source in sources {
                        let one = slice::from_ref(&source);
                        match self.client.on_calls(one, self.window).await {
                            Ok(on_calls) => self.deal_out(one, &on_calls, &mut answers).await,
                            Err(error) => self.refused(&source, &error, &mut answers),
                        }
                    }
                }
                Err(error) => sources.iter().for_each(|source| self.refused(source, &error, &mut answers)),
            }
        }
        answers
    }

    /// `/oncalls` did not tell about `source`.
    fn refused(&self, source: &Source, error: &Error, (answers, _): &mut Answers) {
        let fault = match error {
            Error::NotFound(_) => remedy::source(error, source, self.rules),
            _ => remedy::on_calls(error),
        };
        answers.insert(source.clone(), Observed::Unknown(fault));
    }

    /// Deals the entries of one answer out to what was asked. `/oncalls` answers nothing both for a schedule without
    /// anyone and for one that it cannot see, so nothing is believed only after asking for the thing itself.
    async fn deal_out(&self, asked: &[Source], on_calls: &[OnCall], (answers, doubts): &mut Answers) {
        let mut by_source: BTreeMap<&Source, Vec<OnCall>> =
            asked.iter().map(|source| (source, Vec::new())).collect();
        for on_call in on_calls {
            for (source, of_source) in &mut by_source {
                let belongs = match source {
                    Source::Schedule(id) => on_call.schedule.as_ref() == Some(id),
                    Source::Policy(id) => on_call.policy.as_ref() == Some(id),
                };
                if belongs {
                    of_source.push(on_call.clone());
                }
            }
        }
        for (source, on_calls) in by_source {
            let answer = match (source, on_calls.is_empty()) {
                (Source::Schedule(_), false) => Ok(on_calls),
                (Source::Schedule(id), true) => self.client.schedule(id, self.window).await,
                (Source::Policy(id), is_empty) => match self.policy(id).await {
                    Ok(policy) => {
                        let doubt = self.missing(id, &policy, &on_calls).await;
                        doubts.extend(doubt.map(|doubt| (source.clone(), doubt)));
                        Ok(on_calls)
                    }
                    // What was told gives access, whatever else may be missing.
                    Err(Error::Forbidden(_) | Error::NotFound(_)) if !is_empty => Ok(on_calls),
                    Err(error) if !is_empty => {
                        doubts.insert(source.clone(), remedy::source(&error, source, self.rules));
                        Ok(on_calls)
                    }
                    Err(error) => Err(error),
                },
            };
            let answer = match answer {
                Ok(on_calls) => {
                    let whole =
                        on_calls.into_iter().map(|on_call| without_end_of_answer(on_call, self.window));
                    Observed::Known(whole.collect())
                }
                Err(error) => Observed::Unknown(remedy::source(&error, source, self.rules)),
            };
            answers.insert(source.clone(), answer);
        }
    }

    async fn policy(&self, id: &PolicyId) -> Result<PolicyInfo, Error> {
        if let Some(policy) = self.cache.policies.get(id, self.now) {
            return Ok(policy);
        }
        let policy = self.client.policy(id).await?;
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
            match self.client.schedule(id, self.window).await {
                Ok(on_calls) if on_calls.is_empty() => {}
                Ok(_) => return Some(format!("schedule {id}, which has somebody")),
                Err(error) => return Some(format!("schedule {id}, which cannot be seen: {error}")),
            }
        }
        None
    }

    /// Whether a rule gives access to whoever is on call at this level of the policy.
    fn selects(&self, id: &PolicyId, level: u32) -> bool {
        self.rules.iter().any(|rule| match &rule.on_calls {
            OnCallSelector::Schedules(_) => false,
            OnCallSelector::Policies { ids, levels, .. } => {
                ids.contains(id) && (levels.is_empty() || levels.contains(&level))
            }
        })
    }
}

/// PagerDuty cuts shifts at the end of the window that it was asked about. An end exactly there counts as open, or a
/// window that moves on would make a shift look as if it grew.
fn without_end_of_answer(mut on_call: OnCall, asked: Window) -> OnCall {
    if on_call.start.is_some() && on_call.end == Some(asked.end()) {
        on_call.end = None;
    }
    on_call
}
