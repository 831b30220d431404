//! Who should have access at one instant, by asking every rule about every on-call. Knows nothing of windows, unions
//! or grants that are there already.

use chrono::{DateTime, Utc};

use super::incidents::{Entitled, entitled};
use crate::{
    model::{
        AccountId, Email, IncidentSelector, KubernetesGroups, Observed, OnCall, OwnGrant, Pair,
        PeopleSelector, ResourceId, ResourceSelector, Rule, UserId,
    },
    reconcile::{
        plan::Settings,
        world::{AccountMatch, ResourceMatch, World},
    },
};

pub(super) struct Oracle<'a> {
    pub(super) settings: &'a Settings,
    pub(super) world: &'a World,
    /// When it is looked.
    pub(super) now: DateTime<Utc>,
    /// When it was first seen that somebody's part in an incident is over.
    pub(super) noticed: DateTime<Utc>,
}

/// Who somebody on call is.
enum Identity {
    Certain(AccountId),
    /// What exists may stay.
    Suspended(AccountId),
    /// Whoever has a grant under this address may be meant.
    Address(Email),
    Anyone,
    /// Known to be unusable.
    Nobody,
}

impl Oracle<'_> {
    /// Whether a rule certainly wants the account to reach the resource at that instant.
    pub(super) fn certain(&self, pair: &Pair, at: DateTime<Utc>) -> bool {
        self.wanted(pair, at, |_, _| true)
    }

    /// The Kubernetes groups that go with it.
    pub(super) fn groups(&self, pair: &Pair, at: DateTime<Utc>) -> KubernetesGroups {
        let rules = self.settings.rules.iter().filter(|rule| self.rule_wants(rule, pair, at, &|_, _| true));
        rules.flat_map(|rule| rule.kubernetes_groups.iter()).collect()
    }

    /// The same, because of a shift that ends and that gives access before `horizon`.
    pub(super) fn shift(&self, pair: &Pair, at: DateTime<Utc>, horizon: DateTime<Utc>) -> bool {
        self.wanted(pair, at, |rule, on_call| {
            on_call.end.is_some() && on_call.start.is_none_or(|start| start - rule.start_early < horizon)
        })
    }

    fn wanted(&self, pair: &Pair, at: DateTime<Utc>, counts: impl Fn(&Rule, &OnCall) -> bool) -> bool {
        self.settings.rules.iter().any(|rule| self.rule_wants(rule, pair, at, &counts))
    }

    fn rule_wants(
        &self,
        rule: &Rule,
        Pair { account, resource }: &Pair,
        at: DateTime<Utc>,
        counts: &impl Fn(&Rule, &OnCall) -> bool,
    ) -> bool {
        let known = |user: &UserId| matches!(self.who(user), Identity::Certain(id) if id == *account);
        if let PeopleSelector::Incidents(selector) = &rule.people {
            let mut entitled = self.entitled(rule, selector, at).into_iter();
            return self.names(rule, resource) && entitled.any(|one| one.is_certain && known(one.user));
        }
        self.names(rule, resource)
            && rule.sources().iter().any(|source| {
                let Some(Observed::Known(on_calls)) = self.world.on_calls.get(source) else {
                    return false;
                };
                on_calls.iter().any(|on_call| {
                    on_duty(rule, on_call, at) && known(&on_call.user) && counts(rule, on_call)
                })
            })
    }

    /// Whether somebody may, for all we know, be entitled to our grant at that instant.
    pub(super) fn possible(&self, own: &OwnGrant, at: DateTime<Utc>) -> bool {
        let grant = &own.grant;
        self.settings.rules.iter().any(|rule| {
            let perhaps = self.perhaps_names(rule, own);
            let meant = perhaps || self.names(rule, &grant.resource_id);
            let is_meant = |user: &UserId, is_certain: bool| {
                meant && self.was_somebody_else(own, user)
                    || match self.who(user) {
                        Identity::Certain(id) => (perhaps || meant && !is_certain) && id == grant.account_id,
                        Identity::Suspended(id) => meant && id == grant.account_id,
                        Identity::Address(email) => meant && email == grant.email,
                        Identity::Anyone => meant,
                        Identity::Nobody => false,
                    }
            };
            if let PeopleSelector::Incidents(selector) = &rule.people {
                let is_seen = |service| matches!(self.world.incidents.get(service), Some(Observed::Known(_)));
                let mut entitled = self.entitled(rule, selector, at).into_iter();
                return meant && !selector.services.iter().all(is_seen)
                    || entitled.any(|one| is_meant(one.user, one.is_certain));
            }
            rule.sources().iter().any(|source| {
                let Some(Observed::Known(on_calls)) = self.world.on_calls.get(source) else { return meant };
                on_calls.iter().any(|on_call| on_duty(rule, on_call, at) && is_meant(&on_call.user, true))
            })
        })
    }

    /// Who is entitled by a rule about incidents at that instant, by what is seen now.
    fn entitled(&self, rule: &Rule, selector: &IncidentSelector, at: DateTime<Utc>) -> Vec<Entitled<'_>> {
        let mut entitled = entitled(self.world, rule, selector, (self.now, self.noticed));
        entitled.retain(|one| at < one.until);
        entitled
    }

    fn names(&self, rule: &Rule, resource: &ResourceId) -> bool {
        rule.resources.iter().any(|selector| match self.world.resources.get(selector) {
            Some(Observed::Known(ResourceMatch::Found(found))) => {
                found.iter().any(|found| found.id == *resource)
            }
            _ => false,
        })
    }

    /// Whether the grant was made for this user when PagerDuty told another address.
    fn was_somebody_else(&self, own: &OwnGrant, user: &UserId) -> bool {
        let now = match self.world.people.get(user) {
            Some(Observed::Known(Some(raw))) if !self.shares_an_account(user, raw) => {
                Some(raw.to_lowercase())
            }
            _ => None,
        };
        let account = match self.who(user) {
            Identity::Certain(id) | Identity::Suspended(id) => Some(id),
            Identity::Address(_) | Identity::Anyone | Identity::Nobody => None,
        };
        account.as_ref() != Some(&own.grant.account_id)
            && own.causes.iter().filter(|cause| cause.user == *user).any(|cause| {
                let then = cause.address.as_deref().unwrap_or(own.grant.email.as_str());
                now.as_deref() != Some(&then.to_lowercase())
            })
    }

    fn perhaps_names(&self, rule: &Rule, own: &OwnGrant) -> bool {
        rule.resources.iter().any(|selector| match (self.world.resources.get(selector), selector) {
            (Some(Observed::Known(ResourceMatch::Found(found))), ResourceSelector::Filter(_)) => {
                found.is_empty() && own.causes.iter().any(|cause| cause.rule == rule.name)
            }
            (Some(Observed::Known(ResourceMatch::Found(_))), _) => false,
            (_, ResourceSelector::Name(name)) => *name == own.grant.resource,
            (_, ResourceSelector::Filter(_)) => true,
        })
    }

    /// Whether a whole domain leads this user to an account to which another user is led as well.
    fn shares_an_account(&self, user: &UserId, raw: &str) -> bool {
        let aliases = &self.settings.aliases;
        let Ok(email) = aliases.account_email(raw) else { return false };
        raw.parse().is_ok_and(|own: Email| aliases.maps_by_domain(&own))
            && self.world.people.iter().any(|(other, told)| match told {
                Observed::Known(Some(told)) if other != user => {
                    aliases.account_email(told).is_ok_and(|of_other| of_other == email)
                }
                Observed::Known(_) | Observed::Unknown(_) => false,
            })
    }

    fn who(&self, user: &UserId) -> Identity {
        let raw = match self.world.people.get(user) {
            Some(Observed::Known(Some(raw))) => raw,
            Some(Observed::Known(None)) => return Identity::Nobody,
            Some(Observed::Unknown(_)) | None => return Identity::Anyone,
        };
        let Ok(email) = raw.parse::<Email>() else { return Identity::Nobody };
        let email = self.settings.aliases.to_strongdm(&email);
        if self.shares_an_account(user, raw) {
            return Identity::Address(email);
        }
        match self.world.accounts.get(&email) {
            Some(Observed::Known(AccountMatch::One(account))) if account.suspended => {
                Identity::Suspended(account.id.clone())
            }
            Some(Observed::Known(AccountMatch::One(account))) => Identity::Certain(account.id.clone()),
            _ => Identity::Address(email),
        }
    }
}

fn on_duty(rule: &Rule, on_call: &OnCall, at: DateTime<Utc>) -> bool {
    let counts = match &rule.people {
        PeopleSelector::Schedules(_) => true,
        PeopleSelector::Incidents(_) => false,
        PeopleSelector::Policies { ids: _, levels, include_always_on_call } => {
            let permanent = on_call.start.is_none() && on_call.end.is_none();
            (levels.is_empty() || on_call.level.is_some_and(|level| levels.contains(&level)))
                && (!permanent || *include_always_on_call)
        }
    };
    counts
        && on_call.start.is_none_or(|start| start - rule.start_early <= at)
        && on_call.end.is_none_or(|end| at < end + rule.end_late)
}
