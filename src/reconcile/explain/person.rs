//! Who is meant by an address: users in PagerDuty, an account in strongDM.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    link::{Link, LinkKind},
    question::Known,
};
use crate::{
    model::{AccountId, Email, Fault, Observed, SkipReason, UserId},
    reconcile::{
        plan::{Namesakes, namesakes_in_words},
        world::AccountMatch,
    },
};

/// The person whom an address names.
pub(super) struct Person {
    /// The address that was asked for.
    pub(super) asked: Email,
    /// The address in strongDM.
    pub(super) account_email: Email,
    /// The PagerDuty addresses that are mapped to it, and the key that does it.
    mapped: Option<(String, &'static str)>,
    /// The users in PagerDuty with this address, or with one that an alias maps to the same account.
    pub(super) users: BTreeSet<UserId>,
    account: Account,
}

enum Account {
    Found(AccountId),
    Suspended(AccountId),
    Missing,
    Ambiguous,
    /// Several people in PagerDuty would be it: in words, and what to do.
    Shared(String, String),
    Unknown(Fault),
}

impl Account {
    fn of(found: Option<&Observed<AccountMatch>>) -> Self {
        match found {
            Some(Observed::Known(AccountMatch::One(one))) if one.suspended => Self::Suspended(one.id.clone()),
            Some(Observed::Known(AccountMatch::One(one))) => Self::Found(one.id.clone()),
            Some(Observed::Known(AccountMatch::None)) => Self::Missing,
            Some(Observed::Known(AccountMatch::Many)) => Self::Ambiguous,
            Some(Observed::Unknown(error)) => Self::Unknown(error.clone()),
            None => Self::Unknown("it was not looked up".into()),
        }
    }
}

/// The account in strongDM as the answer shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExplainedAccount)]
pub(crate) struct AccountView {
    /// What the look-up gave.
    pub(crate) status: AccountStatus,
    /// The account, if there is exactly one.
    pub(crate) id: Option<AccountId>,
}

/// What the look-up of the account gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountStatus {
    /// There is one.
    Found,
    /// There is one that may not log in.
    Suspended,
    /// There is none.
    Missing,
    /// There are several, or several people would be it.
    Ambiguous,
    /// It could not be looked up.
    Unknown,
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found => "found",
            Self::Suspended => "suspended",
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Unknown => "unknown",
        })
    }
}

impl Person {
    pub(super) fn find(email: &Email, known: &Known<'_>) -> Self {
        let aliases = &known.settings.aliases;
        let account_email = aliases.to_strongdm(email);
        let is_meant = |raw: &str| {
            email.matches(raw) || aliases.account_email(raw).is_ok_and(|mapped| mapped == account_email)
        };
        let told = known.world.people.iter().filter_map(|(user, address)| match address {
            Observed::Known(Some(raw)) if is_meant(raw) => Some((user, raw.as_str())),
            Observed::Known(_) | Observed::Unknown(_) => None,
        });
        let namesakes = Namesakes::of(aliases, known.world);
        let rivals = |user, raw| namesakes.rivals_of(aliases, user, raw);
        let (meant, left_out): (Vec<_>, Vec<_>) = told.partition(|(user, raw)| rivals(user, raw).is_empty());
        // Whoever does not get the account is meant by the very address, or where nobody gets it.
        let left_out = left_out.into_iter().find(|(_, raw)| email.matches(raw) || meant.is_empty());
        let (users, account) = match left_out {
            Some((user, raw)) => {
                let (words, remedy) = namesakes_in_words(aliases, raw, &rivals(user, raw));
                (BTreeSet::from([user.clone()]), Account::Shared(words, remedy))
            }
            None => (
                meant.into_iter().map(|(user, _)| user.clone()).collect(),
                Account::of(known.world.accounts.get(&account_email)),
            ),
        };
        let exact = aliases.leading_to(account_email.as_str());
        let mapped = if aliases.maps_by_domain(email) {
            Some((email.to_string(), "domain_aliases"))
        } else {
            (!exact.is_empty()).then(|| (exact.join(", "), "aliases"))
        };
        Self { asked: email.clone(), users, account, account_email, mapped }
    }

    /// The account, suspended or not.
    pub(super) fn account_id(&self) -> Option<&AccountId> {
        match &self.account {
            Account::Found(id) | Account::Suspended(id) => Some(id),
            Account::Missing | Account::Ambiguous | Account::Shared(..) | Account::Unknown(_) => None,
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        matches!(self.account, Account::Suspended(_))
    }

    pub(super) fn view(&self) -> AccountView {
        let status = match &self.account {
            Account::Found(_) => AccountStatus::Found,
            Account::Suspended(_) => AccountStatus::Suspended,
            Account::Missing => AccountStatus::Missing,
            Account::Ambiguous | Account::Shared(..) => AccountStatus::Ambiguous,
            Account::Unknown(_) => AccountStatus::Unknown,
        };
        AccountView { status, id: self.account_id().cloned() }
    }

    /// The link from the person to the account.
    pub(super) fn link(&self) -> Link {
        let (kind, email) = (LinkKind::Account, &self.account_email);
        match &self.account {
            Account::Found(id) => Link::holds(kind, format!("{email} is the strongDM account {id}")),
            Account::Suspended(id) => Link::missing(
                kind,
                format!(
                    "the strongDM account {id} of {email} is suspended [{}]",
                    SkipReason::AccountSuspended.as_str()
                ),
                "lift the suspension in strongDM",
            ),
            Account::Missing => {
                let message = format!("no strongDM user account has the address {email}");
                let code = SkipReason::NoAccount.as_str();
                let Some((from, key)) = &self.mapped else {
                    return Link::missing(
                        kind,
                        format!("{message} [{code}]"),
                        "make the account in strongDM, or map the PagerDuty address to its address in \
                         accounts.aliases or domain_aliases",
                    );
                };
                Link::missing(
                    kind,
                    format!("{message}, to which accounts.{key} maps {from} [{code}]"),
                    &format!(
                        "correct the alias of {from} in accounts.{key}, or make the account in strongDM"
                    ),
                )
            }
            Account::Ambiguous => Link::missing(
                kind,
                format!(
                    "several strongDM accounts have the address {email} [{}]",
                    SkipReason::AmbiguousAccount.as_str()
                ),
                "leave the address to one of them",
            ),
            Account::Shared(words, remedy) => {
                Link::missing(kind, format!("{words} [{}]", SkipReason::AmbiguousAccount.as_str()), remedy)
            }
            Account::Unknown(error) => {
                Link::faulty(kind, &format!("the strongDM account of {email} could not be looked up"), error)
            }
        }
    }
}
