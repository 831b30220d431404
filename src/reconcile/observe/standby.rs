//! Whom incidents may pull in. Their accounts are looked up beforehand, beside everything else, so that whoever is
//! paged does not wait for that; and whoever would get nothing is told before it matters.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::TimeDelta;
use tokio::time::timeout;

use super::{FEW, cache::Demand, listing, question::Question};
use crate::{
    model::{
        Email, Group, IncidentSelector, OnCall, PeopleSelector, PolicyId, ServiceId, SkipReason, Source,
        UserId,
    },
    reconcile::world::{AccountMatch, PagedInVain, PagedThrough},
};

/// Nobody waits for this; what takes longer is left for the next time.
const LONGEST: Duration = Duration::from_mins(1);
/// A list that takes longer is not waited for.
const LIST: Duration = Duration::from_secs(10);
/// For so long it is trusted whom a policy pages.
const TRUSTED: TimeDelta = TimeDelta::minutes(5);
/// So many people are looked up; more wait until they are pulled in.
const MOST: usize = 2_000;

/// Looks up everybody whom an incident of the rules' services may pull in. Costs no call while earlier answers are trusted.
pub(super) async fn prepare(question: &Question) {
    if timeout(LONGEST, Box::pin(prepare_all(question))).await.is_err() {
        tracing::debug!("those whom incidents may pull in could not be looked up in time");
    }
}

async fn prepare_all(question: &Question) {
    let selectors: Vec<&IncidentSelector> = question
        .settings
        .rules
        .iter()
        .filter_map(|rule| match &rule.people {
            PeopleSelector::Incidents(selector) => Some(selector),
            PeopleSelector::Schedules(_) | PeopleSelector::Policies { .. } => None,
        })
        .collect();
    if selectors.is_empty() {
        return;
    }
    paged(question, &selectors).await;
    let paged = question.cache.standby.lock().paged.clone();
    let mut people: BTreeSet<Email> = paged.keys().cloned().collect();
    let groups: BTreeSet<&Group> = selectors.iter().flat_map(|selector| &selector.eligible).collect();
    people.extend(members(question, groups).await);
    accounts(question, people.into_iter().take(MOST).collect()).await;
    let in_vain = paged.into_iter().filter_map(|(email, through)| {
        let account = question.cache.accounts.get(&email, question.now, Demand::Trusted)?;
        let reason = match account {
            AccountMatch::One(account) if !account.suspended => return None,
            AccountMatch::One(_) => SkipReason::AccountSuspended,
            AccountMatch::None => SkipReason::NoAccount,
            AccountMatch::Many => SkipReason::AmbiguousAccount,
        };
        Some(PagedInVain { email, reason, through })
    });
    question.cache.standby.lock().in_vain = in_vain.collect();
}

/// Learns whom the services' policies page, unless that is known.
async fn paged(question: &Question, selectors: &[&IncidentSelector]) {
    let asked = question.cache.standby.lock().asked;
    if asked.is_some_and(|asked| asked <= question.now && question.now - asked < TRUSTED) {
        return;
    }
    let services: BTreeSet<&ServiceId> = selectors.iter().flat_map(|selector| &selector.services).collect();
    let mut by_policy: BTreeMap<PolicyId, BTreeSet<ServiceId>> = BTreeMap::new();
    for (service, policy) in policies(question, &services).await {
        by_policy.entry(policy).or_default().insert(service);
    }
    let sources: Vec<Source> = by_policy.keys().cloned().map(Source::Policy).collect();
    let on_calls = match question.client().on_calls(&sources, question.window).await {
        Ok(on_calls) => on_calls,
        Err(error) => {
            tracing::debug!(%error, "nobody knows whom the policies of the rules' services page");
            return;
        }
    };
    let mut paged: BTreeMap<Email, BTreeSet<PagedThrough>> = BTreeMap::new();
    for OnCall { email, policy, level, .. } in on_calls {
        let email = email.and_then(|raw| question.settings.aliases.account_email(&raw).ok());
        let (Some(email), Some(policy)) = (email, policy) else { continue };
        for service in by_policy.get(&policy).into_iter().flatten() {
            let through = PagedThrough { service: service.clone(), policy: policy.clone(), level };
            paged.entry(email.clone()).or_default().insert(through);
        }
    }
    let mut standby = question.cache.standby.lock();
    (standby.asked, standby.paged) = (Some(question.now), paged);
}

/// The escalation policy of each service, as far as PagerDuty tells.
async fn policies(question: &Question, services: &BTreeSet<&ServiceId>) -> Vec<(ServiceId, PolicyId)> {
    if services.len() > FEW
        && let Some(listed) = listing::services(question, services.len(), LIST).await
    {
        return listed.into_iter().filter(|(service, _)| services.contains(service)).collect();
    }
    let mut found = Vec::new();
    for service in services {
        // What cannot be seen is told where its incidents are asked for.
        if let Ok(Some(policy)) = question.client().policy_of_service(service).await {
            found.push(((*service).clone(), policy));
        }
    }
    found
}

/// The strongDM addresses of the members of these groups, as far as they can be seen.
async fn members(question: &Question, groups: BTreeSet<&Group>) -> BTreeSet<Email> {
    let Question { cache, now, demand, .. } = question;
    let mut users: BTreeSet<UserId> = BTreeSet::new();
    for group in groups {
        match cache.members.get(group, *now, *demand) {
            Some(members) => users.extend(members),
            None => users.extend(question.members(group).await.unwrap_or_default()),
        }
    }
    let users: Vec<UserId> = users.into_iter().take(MOST).collect();
    let missing: Vec<&UserId> =
        users.iter().filter(|user| cache.people.get(user, *now, *demand).is_none()).collect();
    let listed =
        if missing.len() > FEW { listing::people(question, missing.len(), LIST).await } else { None };
    for user in missing {
        match &listed {
            Some(listed) => {
                if let Some(known) = listed.get(user) {
                    cache.people.put(user.clone(), known.email.clone(), *now);
                }
            }
            // One that cannot be seen is asked for again when somebody's access depends on it.
            None => _ = question.address(user).await,
        }
    }
    let address = |user: &UserId| cache.people.get(user, *now, Demand::Trusted).flatten();
    let account = |raw: String| question.settings.aliases.account_email(&raw).ok();
    users.iter().filter_map(address).filter_map(account).collect()
}

/// Looks up these accounts, unless they are known.
async fn accounts(question: &Question, people: Vec<Email>) {
    let Question { cache, now, demand, .. } = question;
    let is_missing = |email: &Email| cache.accounts.get(email, *now, *demand).is_none();
    let mut missing: Vec<Email> = people.into_iter().filter(is_missing).collect();
    if missing.len() > FEW
        && let Some(listed) = listing::accounts(question, missing.len(), LIST).await
    {
        for (email, account) in listed {
            if let Ok(place) = missing.binary_search(&email) {
                cache.accounts.put(missing.remove(place), account, *now);
            }
        }
        if missing.len() > FEW {
            // Too many to ask for each; as in a look, one who was missed between two pages is asked for again soon.
            for email in std::mem::take(&mut missing) {
                cache.accounts.put(email, AccountMatch::None, *now);
            }
        }
    }
    for email in missing {
        // One that cannot be seen is asked for again when that person's access depends on it.
        let _ = question.account(&email).await;
    }
}
