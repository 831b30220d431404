//! Who may be entitled to what: nothing is granted for it, and nothing that it touches is revoked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::model::{AccountId, Cause, Email, OwnGrant, ResourceId, UserId, Window};

/// Who may be meant.
pub(super) enum Who {
    Anyone,
    Email(Email),
    Account(AccountId),
}

/// What may be meant.
#[derive(Clone, Debug)]
pub(super) enum What {
    Anything,
    Named(String),
    Resource(ResourceId),
    /// Whatever this rule gave access to.
    GivenBy(String),
}

/// All that somebody may be entitled to.
#[derive(Debug, Default)]
pub(super) struct Possibilities {
    anyone: Things,
    by_email: BTreeMap<Email, Things>,
    by_account: BTreeMap<AccountId, Things>,
    former: BTreeMap<UserId, Former>,
}

/// A person on call may still mean the grants that were made for the same PagerDuty user when PagerDuty told another
/// address: a changed, missing or unusable one takes nothing away.
#[derive(Debug)]
struct Former {
    /// The account that the present address leads to; its grants are judged by claims.
    account: Option<AccountId>,
    /// The address that PagerDuty tells now, if it tells one.
    address: Option<String>,
    things: Things,
}

impl Possibilities {
    /// Adds that somebody may be entitled to this for a while.
    pub(super) fn add(&mut self, who: &Who, what: &What, window: Window) {
        let things = match who {
            Who::Anyone => &mut self.anyone,
            Who::Email(email) => self.by_email.entry(email.clone()).or_default(),
            Who::Account(account) => self.by_account.entry(account.clone()).or_default(),
        };
        things.add(what, window);
    }

    /// Adds that this user is on call, with the account and the address that PagerDuty leads to now.
    pub(super) fn add_former(
        &mut self,
        user: &UserId,
        (account, address): (Option<&AccountId>, Option<&String>),
        whats: &[What],
        window: Window,
    ) {
        let former = self.former.entry(user.clone()).or_insert_with(|| Former {
            account: account.cloned(),
            address: address.cloned(),
            things: Things::default(),
        });
        for what in whats {
            former.things.add(what, window);
        }
    }

    /// Whether somebody may be entitled to a part of our grant that lies in `window`.
    pub(super) fn touch(&self, own: &OwnGrant, window: Window) -> bool {
        let people = [self.by_email.get(&own.grant.email), self.by_account.get(&own.grant.account_id)];
        let mut things = people.into_iter().flatten().chain([&self.anyone]);
        things.any(|things| things.touch(own, window))
            || self.former_of(own).values().any(|former| former.things.touch(own, window))
    }

    /// The people for whom the grant was made when they had another address.
    fn former_of<'f>(&'f self, own: &'f OwnGrant) -> BTreeMap<&'f UserId, &'f Former> {
        let of = |cause: &'f Cause| Some((&cause.user, self.former.get(&cause.user)?, cause));
        let former = own.causes.iter().filter_map(of).filter(|(_, former, cause)| {
            former.account.as_ref() != Some(&own.grant.account_id) && !former.has_same_address(own, cause)
        });
        former.map(|(user, former, _)| (user, former)).collect()
    }
}

impl Former {
    /// Whether PagerDuty's answer is what it was, so that only `accounts.aliases` can have changed.
    fn has_same_address(&self, own: &OwnGrant, cause: &Cause) -> bool {
        let before = cause.address.as_deref().unwrap_or(own.grant.email.as_str());
        self.address.as_deref().is_some_and(|now| now.eq_ignore_ascii_case(before))
    }
}

/// When which things may be meant.
#[derive(Debug, Default)]
struct Things {
    any: Stretches,
    by_name: BTreeMap<String, Stretches>,
    by_resource: BTreeMap<ResourceId, Stretches>,
    by_rule: BTreeMap<String, Stretches>,
}

impl Things {
    fn add(&mut self, what: &What, window: Window) {
        let stretches = match what {
            What::Anything => &mut self.any,
            What::Named(name) => self.by_name.entry(name.clone()).or_default(),
            What::Resource(id) => self.by_resource.entry(id.clone()).or_default(),
            What::GivenBy(rule) => self.by_rule.entry(rule.clone()).or_default(),
        };
        stretches.add(window);
    }

    fn touch(&self, own: &OwnGrant, window: Window) -> bool {
        let overlap = |stretches: &Stretches| stretches.overlap(window);
        overlap(&self.any)
            || self.by_name.get(&own.grant.resource).is_some_and(overlap)
            || self.by_resource.get(&own.grant.resource_id).is_some_and(overlap)
            || !self.by_rule.is_empty() && {
                let rules: BTreeSet<&String> = own.causes.iter().map(|cause| &cause.rule).collect();
                rules.into_iter().filter_map(|rule| self.by_rule.get(rule)).any(overlap)
            }
    }
}

/// A set of instants that grows: the ends of its stretches by their starts. They neither overlap nor touch.
#[derive(Debug, Default)]
struct Stretches(BTreeMap<DateTime<Utc>, DateTime<Utc>>);

impl Stretches {
    fn add(&mut self, window: Window) {
        let (mut start, mut end) = (window.start(), window.end());
        while let Some((before, until)) = self.0.range(..=end).next_back().map(|(start, end)| (*start, *end))
            && until >= start
        {
            self.0.remove(&before);
            (start, end) = (start.min(before), end.max(until));
        }
        self.0.insert(start, end);
    }

    fn overlap(&self, window: Window) -> bool {
        self.0.range(..window.end()).next_back().is_some_and(|(_, end)| *end > window.start())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::model::Windows;

    fn window((start, length): (i64, i64)) -> Window {
        let at = |second| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        Window::new(at(start), at(start + length)).unwrap()
    }

    proptest! {
        #[test]
        fn a_growing_set_is_the_union(windows in vec((0..60_i64, 1..9_i64), 0..20), asked in (0..60_i64, 1..9_i64)) {
            let mut stretches = Stretches::default();
            for added in &windows {
                stretches.add(window(*added));
            }
            let union: Windows = windows.iter().copied().map(window).collect();
            let parts = union.iter().map(|part| (part.start(), part.end()));
            prop_assert_eq!(stretches.0.iter().map(|(start, end)| (*start, *end)).collect::<Vec<_>>(), parts.collect::<Vec<_>>());
            let overlaps = windows.iter().any(|one| window(*one).overlaps(&window(asked)));
            prop_assert_eq!(stretches.overlap(window(asked)), overlaps);
        }
    }
}
