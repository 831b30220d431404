//! Which strongDM account somebody on call has.

use super::{Settings, namesakes::Namesakes, possible::Who};
use crate::{
    model::{AccountId, Asked, Email, Fault, Observed, SkipReason, Subject, UserId},
    reconcile::world::{AccountMatch, World},
};

/// The strongDM account of a person on call, as far as it could be found out.
pub(super) enum Identity {
    Account(AccountId, Email),
    /// The account may not log in.
    Suspended(AccountId, Email),
    /// There is no usable account, or not exactly one; with the address, if there is one.
    Skipped(Subject, SkipReason, Option<Email>),
    /// Another person in PagerDuty would be the same account, with this address.
    Shared(Subject, Email),
    /// A look-up gave no answer; with the address, if that is known.
    Unknown(Asked, Fault, Option<Email>),
}

impl Identity {
    /// The account, if it is known which one it is.
    pub(super) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Account(account, _) | Self::Suspended(account, _) => Some(account),
            Self::Skipped(..) | Self::Shared(..) | Self::Unknown(..) => None,
        }
    }

    /// Who may be meant; nobody if it is known that there is no such account.
    pub(super) fn who(&self) -> Option<Who> {
        Some(match self {
            Self::Account(account, _) | Self::Suspended(account, _) => Who::Account(account.clone()),
            Self::Skipped(_, _, Some(email)) | Self::Shared(_, email) | Self::Unknown(_, _, Some(email)) => {
                Who::Email(email.clone())
            }
            Self::Unknown(_, _, None) => Who::Anyone,
            Self::Skipped(_, _, None) => return None,
        })
    }
}

/// A PagerDuty user, as far as somebody could say who that is.
pub(super) struct Person {
    pub(super) identity: Identity,
    /// The address that PagerDuty tells.
    pub(super) pagerduty_address: Option<String>,
    /// The strongDM address under which the user counts, as far as PagerDuty told a usable one.
    pub(super) address: Option<Email>,
}

impl Person {
    pub(super) fn of(settings: &Settings, world: &World, namesakes: &Namesakes<'_>, user: &UserId) -> Self {
        let pagerduty_address = match world.people.get(user) {
            Some(Observed::Known(raw)) => raw.clone(),
            Some(Observed::Unknown(_)) | None => None,
        };
        let address = pagerduty_address.as_deref().and_then(|raw| settings.aliases.account_email(raw).ok());
        Self { identity: identify(settings, world, namesakes, user), pagerduty_address, address }
    }

    /// The account and the address that PagerDuty leads to, by which it is judged whether somebody is who they were. Of one
    /// who shares an account with others nothing is known: what was given under the same address stays as well.
    pub(super) fn known_as(&self) -> (Option<&AccountId>, Option<&String>) {
        match self.identity {
            Identity::Shared(..) => (None, None),
            _ => (self.identity.account(), self.pagerduty_address.as_ref()),
        }
    }

    /// The person, as reports name people: by the address in strongDM, else by the one in PagerDuty, else by the ID.
    pub(super) fn subject(&self, user: &UserId) -> Subject {
        let address =
            self.address.as_ref().map(ToString::to_string).or_else(|| self.pagerduty_address.clone());
        address.map_or_else(|| Subject::User(user.clone()), Subject::Email)
    }
}

/// Finds the account of a PagerDuty user by the address of both.
fn identify(settings: &Settings, world: &World, namesakes: &Namesakes<'_>, user: &UserId) -> Identity {
    let unknown_user = |error: Fault| Identity::Unknown(Asked::User(user.clone()), error, None);
    let raw = match world.people.get(user) {
        Some(Observed::Known(Some(raw))) => raw,
        Some(Observed::Known(None)) => {
            return Identity::Skipped(Subject::User(user.clone()), SkipReason::NoEmail, None);
        }
        Some(Observed::Unknown(error)) => return unknown_user(error.clone()),
        None => return unknown_user("not asked".into()),
    };
    let Ok(email) = settings.aliases.account_email(raw) else {
        return Identity::Skipped(Subject::Email(raw.clone()), SkipReason::InvalidEmail, None);
    };
    if !namesakes.rivals_of(&settings.aliases, user, raw).is_empty() {
        return Identity::Shared(Subject::Email(raw.clone()), email);
    }
    let skipped = |reason| Identity::Skipped(Subject::Email(email.to_string()), reason, Some(email.clone()));
    let unknown = |error: Fault| Identity::Unknown(Asked::Account(email.clone()), error, Some(email.clone()));
    match world.accounts.get(&email) {
        Some(Observed::Known(AccountMatch::One(account))) if account.suspended => {
            Identity::Suspended(account.id.clone(), email)
        }
        Some(Observed::Known(AccountMatch::One(account))) => Identity::Account(account.id.clone(), email),
        Some(Observed::Known(AccountMatch::None)) => skipped(SkipReason::NoAccount),
        Some(Observed::Known(AccountMatch::Many)) => skipped(SkipReason::AmbiguousAccount),
        Some(Observed::Unknown(error)) => unknown(error.clone()),
        None => unknown("not asked".into()),
    }
}
