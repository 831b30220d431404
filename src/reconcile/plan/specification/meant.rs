//! Whom an address and what a name means (promise 8), and which grants stay because nobody knows (promise 4).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Moment, Specification, known};
use crate::{
    model::{
        AccountId, Email, Incident, IncidentSelector, OwnGrant, Part, ResourceId, ResourceSelector, Role,
        Rule, UserId,
    },
    reconcile::world::{AccountMatch, ResourceMatch},
};

/// Whom an entitlement means.
#[derive(PartialEq)]
pub(super) enum Who {
    Account(AccountId),
    /// Gets nothing; what exists stays.
    Suspended(AccountId),
    /// Whoever has a grant under this address may be meant.
    Address(Email),
    Anyone,
    Nobody,
}

impl Moment<'_> {
    /// Whether somebody may, for all we know, be entitled to our grant: then it stays.
    pub(in crate::reconcile::plan) fn may_want(&self, own: &OwnGrant) -> bool {
        self.entitlements.iter().any(|one| {
            let may_name = self.given.may_name(one.rule, own);
            let is_former = |user: &UserId| self.given.had_other_address(own, user, &one.who);
            (may_name || self.given.names(one.rule, &own.grant.resource_id))
                && match &one.who {
                    _ if one.user.is_some_and(is_former) => true,
                    Who::Account(id) => *id == own.grant.account_id && (may_name || !one.is_certain),
                    Who::Suspended(id) => *id == own.grant.account_id,
                    Who::Address(email) => *email == own.grant.email,
                    Who::Anyone => true,
                    Who::Nobody => false,
                }
        })
    }
}

impl<'a> Specification<'a> {
    /// Whose account a PagerDuty user has: the whole address must be the same, and one account must have it.
    pub(super) fn who(&self, user: &UserId) -> Who {
        let raw = match known(self.world.people.get(user)) {
            Some(Some(raw)) => raw,
            Some(None) => return Who::Nobody,
            None => return Who::Anyone,
        };
        let Ok(email) = self.settings.aliases.account_email(raw) else { return Who::Nobody };
        match known(self.world.accounts.get(&email)) {
            _ if self.is_shared(user, raw, &email) => Who::Address(email),
            Some(AccountMatch::One(account)) if account.suspended => Who::Suspended(account.id.clone()),
            Some(AccountMatch::One(account)) => Who::Account(account.id.clone()),
            Some(AccountMatch::None | AccountMatch::Many) | None => Who::Address(email),
        }
    }

    /// Whether a mapped domain leads this user to an address to which another user is led as well.
    fn is_shared(&self, user: &UserId, raw: &str, email: &Email) -> bool {
        let aliases = &self.settings.aliases;
        let is_same = |raw: &str| aliases.account_email(raw).is_ok_and(|other| other == *email);
        let others = self.world.people.iter().filter(|(other, _)| *other != user);
        raw.parse().is_ok_and(|own: Email| aliases.maps_by_domain(&own))
            && others.filter_map(|(_, told)| known(Some(told))?.as_deref()).any(is_same)
    }

    /// Whether the rule certainly gives this resource.
    pub(super) fn names(&self, rule: &Rule, resource: &ResourceId) -> bool {
        let found = rule.resources.iter().filter_map(|selector| known(self.world.resources.get(selector)));
        found.into_iter().any(|found| match found {
            ResourceMatch::Found(found) => found.iter().any(|found| found.id == *resource),
            ResourceMatch::None | ResourceMatch::Many | ResourceMatch::Refused(_) => false,
        })
    }

    /// Whether it may mean the grant's resource beside, because a look-up told nothing usable, or no resource any more.
    fn may_name(&self, rule: &Rule, own: &OwnGrant) -> bool {
        rule.resources.iter().any(|selector| match (known(self.world.resources.get(selector)), selector) {
            (Some(ResourceMatch::Found(found)), ResourceSelector::Filter(_)) => {
                found.is_empty() && own.causes.iter().any(|cause| cause.rule == rule.name)
            }
            (Some(ResourceMatch::Found(_)), ResourceSelector::Name(_)) => false,
            (_, ResourceSelector::Name(name)) => *name == own.grant.resource,
            (_, ResourceSelector::Filter(_)) => true,
        })
    }

    /// Whether the grant was made for this user when PagerDuty told another address: a changed one takes nothing away.
    fn had_other_address(&self, own: &OwnGrant, user: &UserId, who: &Who) -> bool {
        let has_this_account =
            matches!(who, Who::Account(id) | Who::Suspended(id) if *id == own.grant.account_id);
        let told = known(self.world.people.get(user)).and_then(Option::as_deref);
        let now = told.filter(|raw| match self.settings.aliases.account_email(raw) {
            Ok(email) => !self.is_shared(user, raw, &email),
            Err(_) => true,
        });
        let is_other = |then: &str| now.is_none_or(|now| now.to_lowercase() != then.to_lowercase());
        let of_user = own.causes.iter().filter(|cause| cause.user == *user);
        let mut addresses = of_user.map(|cause| cause.address.as_deref().unwrap_or(own.grant.email.as_str()));
        !has_this_account && addresses.any(is_other)
    }

    /// Everybody in an incident: since when, who, and whether the person is meant, if that is known. Whom the policy did not
    /// choose must be a member of an eligible group.
    pub(super) fn people(
        self,
        rule: &Rule,
        of: &IncidentSelector,
        incident: &'a Incident,
    ) -> Vec<(DateTime<Utc>, &'a UserId, Option<bool>)> {
        let parts = || incident.parts.iter().filter(|part| of.roles.contains(&part.role));
        let by_policy = |part: &Part| part.role == Role::Assignee && !incident.is_assigned_by_hand;
        let person = |user: &'a UserId| {
            let key = (rule.name.as_str(), &incident.about.id, user);
            let before = self.world.recorded.parts.iter().filter(|part| part.key() == key);
            let mine = || parts().filter(|part| part.user == *user);
            let since = mine().map(|part| part.since).chain(before.map(|part| part.since)).min();
            let groups = of.eligible.iter().map(|group| known(self.world.members.get(group)));
            let groups: BTreeSet<_> = groups.map(|members| Some(members?.contains(user))).collect();
            let is_meant = mine().any(by_policy) || groups.contains(&Some(true));
            (since.unwrap_or(self.now), user, (is_meant || !groups.contains(&None)).then_some(is_meant))
        };
        parts().map(|part| &part.user).collect::<BTreeSet<_>>().into_iter().map(person).collect()
    }
}
