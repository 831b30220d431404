//! Whole lists, where so many things are asked for that single questions would be more.

use std::{collections::BTreeMap, future::Future, time::Duration};

use tokio::time::timeout;

use super::question::Question;
use crate::{
    model::{Email, PolicyId, ResourceSelector, ServiceId, UserId},
    pagerduty::User,
    reconcile::world::{AccountMatch, ResourceMatch},
};

/// PagerDuty's users; none if asking for `wanted` of them one by one takes fewer requests, or if the list
/// does not come.
pub(super) async fn people(
    question: &Question,
    wanted: usize,
    longest: Duration,
) -> Option<BTreeMap<UserId, User>> {
    let users = in_time(longest, question.client().users(pages(wanted) as u64)).await??;
    Some(users.into_iter().map(|user| (user.id.clone(), user)).collect())
}

/// The escalation policies of PagerDuty's services, likewise.
pub(super) async fn services(
    question: &Question,
    wanted: usize,
    longest: Duration,
) -> Option<BTreeMap<ServiceId, PolicyId>> {
    let services = in_time(longest, question.client().policies_of_services(pages(wanted) as u64)).await??;
    Some(services.into_iter().collect())
}

/// strongDM's accounts, likewise.
pub(super) async fn accounts(
    question: &Question,
    wanted: usize,
    longest: Duration,
) -> Option<BTreeMap<Email, AccountMatch>> {
    let accounts = in_time(longest, question.strongdm.accounts(pages(wanted))).await??;
    let mut found = BTreeMap::new();
    for (email, account) in accounts {
        // What is no plain address is nobody's who is looked for.
        let Ok(email) = email.parse::<Email>() else { continue };
        found
            .entry(email)
            .and_modify(|found| *found = AccountMatch::Many)
            .or_insert(AccountMatch::One(account));
    }
    Some(found)
}

/// What these names mean, likewise.
pub(super) async fn resources(
    question: &Question,
    names: &[ResourceSelector],
    longest: Duration,
) -> Option<BTreeMap<ResourceSelector, ResourceMatch>> {
    let listed = in_time(longest, question.strongdm.all_resources(pages(names.len()))).await??;
    let mut by_name: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for resource in listed {
        by_name.entry(resource.name.clone()).or_default().push(resource);
    }
    let found = names.iter().filter_map(|selector| {
        let ResourceSelector::Name(name) = selector else { return None };
        // One that is not listed may have been missed between two pages.
        let answer = ResourceMatch::of_name(by_name.remove(name)?);
        question.cache.resources.put(selector.clone(), answer.clone(), question.now);
        question.cache.failures.resources.answered(selector);
        Some((selector.clone(), answer))
    });
    Some(found.collect())
}

/// So many pages may be read instead of so many single questions.
fn pages(wanted: usize) -> usize {
    (wanted / 2).max(1)
}

async fn in_time<T, E: std::fmt::Display>(
    longest: Duration,
    list: impl Future<Output = Result<T, E>>,
) -> Option<T> {
    match timeout(longest, list).await {
        Ok(Ok(listed)) => Some(listed),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a list did not come; asking one by one");
            None
        }
        Err(_) => None,
    }
}
