//! Records that could not be used, while everything else went on.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Name, Names, Thing, UserId, instant::to_second, names::name_and_id, word::words};

/// A person, resource or filter that nothing could be done about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Skipped {
    /// What it is about.
    #[serde(flatten, deserialize_with = "Subject::or_other")]
    pub subject: Subject,
    /// The person's name in PagerDuty, where it is told to people; nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<Name>,
    /// What is wrong with it.
    pub reason: SkipReason,
    /// The rules that name it.
    pub rules: BTreeSet<String>,
    /// When the first shift that it concerns starts, if it is about a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_shift: Option<DateTime<Utc>>,
}

/// Whom or what a skipped record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SkippedSubject)]
pub enum Subject {
    /// A person, by the e-mail address in strongDM or, if that is unusable, as PagerDuty has it.
    Email(String),
    /// A person without an e-mail address, by PagerDuty user ID.
    User(UserId),
    /// A resource name.
    Resource(String),
    /// A resource filter.
    Filter(String),
    /// Something that only another version has a name for, in words.
    #[serde(rename = "about")]
    Other(String),
}

words!(
    /// Why a record was skipped.
    SkipReason {
        /// No strongDM user account has the address.
        NoAccount = "no_account",
        /// The account may not log in; nothing new is granted, what exists is left to end.
        AccountSuspended = "account_suspended",
        /// Several accounts have the address, or `accounts.domain_aliases` leads several people to one account.
        AmbiguousAccount = "ambiguous_account",
        /// PagerDuty knows no e-mail address, or the user is deleted.
        NoEmail = "no_email",
        /// The address is not safe to look up.
        InvalidEmail = "invalid_email",
        /// No resource has the name.
        ResourceNotFound = "resource_not_found",
        /// Several resources have the name.
        AmbiguousResource = "ambiguous_resource",
        /// strongDM does not accept the filter or name.
        FilterRefused = "filter_refused",
        /// Somebody else than the escalation policy chose the person, who is in none of the rule's eligible groups.
        NotEligible = "not_eligible",
        /// So many people have access because of the same incident that the rule gives no more.
        TooManyPeople = "too_many_people",
    }
);

impl Subject {
    /// Reads the key that says what a record is about; one that only another version knows is no error.
    fn or_other<'de, D: Deserializer<'de>>(record: D) -> Result<Self, D::Error> {
        let known = Option::<Self>::deserialize(record)?;
        Ok(known.unwrap_or_else(|| Self::Other("a record of another version".to_owned())))
    }
}

impl Skipped {
    /// The same with the name of the person it is about, for whoever reads it.
    #[must_use]
    pub fn named(self, names: &Names) -> Self {
        let name = match &self.subject {
            Subject::Email(address) => names.person(address),
            Subject::User(user) => names.of(Thing::User(user.clone())),
            Subject::Resource(_) | Subject::Filter(_) | Subject::Other(_) => None,
        };
        Self { name: name.cloned().or(self.name), ..self }
    }
}

impl SkipReason {
    /// What brings back in who or what was skipped; empty if this version cannot say.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NoAccount => {
                "make a strongDM user account with this address, or map the PagerDuty address in accounts.aliases or \
                 domain_aliases"
            }
            Self::AccountSuspended => {
                "lift the suspension in strongDM, or put somebody else on call; existing grants are left to end"
            }
            Self::AmbiguousAccount => {
                "leave this address to one strongDM user account; for one of two people whom accounts.domain_aliases leads to \
                 one account, write an exact alias"
            }
            Self::NoEmail => "put a user with a login e-mail on call in PagerDuty",
            Self::InvalidEmail => "correct the login e-mail in PagerDuty",
            Self::ResourceNotFound => {
                "correct the name in the rule (it must be exact, upper and lower case included)"
            }
            Self::AmbiguousResource => {
                "give the resources different names in strongDM, or name them by resource_filters"
            }
            Self::FilterRefused => "correct the expression in the rule's resource_filters",
            Self::NotEligible => {
                "if the person should get access, add a team, schedule or policy of theirs to the rule's eligible"
            }
            Self::TooManyPeople => "raise the rule's max_people, or wait until somebody leaves the incident",
            Self::Other => "",
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, name, reason, rules, first_shift } = self;
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        match subject {
            Subject::Email(address) => f.write_str(&name_and_id(name.as_ref(), address))?,
            Subject::User(user) => {
                write!(f, "PagerDuty user {}", name_and_id(name.as_ref(), user.as_str()))?;
            }
            Subject::Resource(_) | Subject::Filter(_) | Subject::Other(_) => subject.fmt(f)?,
        }
        write!(f, ": {reason} (rules: {})", rules.join(", "))?;
        match first_shift {
            Some(start) => write!(f, ", on call from {}", to_second(*start)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) | Self::Other(text) => f.write_str(text),
            Self::User(user) => write!(f, "PagerDuty user {user}"),
            Self::Resource(name) => write!(f, "resource {name:?}"),
            Self::Filter(filter) => write!(f, "resource filter {filter:?}"),
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAccount => "no strongDM user account has this address",
            Self::AccountSuspended => "the strongDM account is suspended",
            Self::AmbiguousAccount => {
                "several strongDM accounts have this address, or several people in PagerDuty lead to its account"
            }
            Self::NoEmail => "PagerDuty knows no e-mail address, or the user is deleted",
            Self::InvalidEmail => "the address has characters that are not safe to look up",
            Self::ResourceNotFound => "strongDM has no resource of this name",
            Self::AmbiguousResource => "strongDM has several resources of this name",
            Self::FilterRefused => "strongDM does not accept it",
            Self::NotEligible => {
                "somebody chose this person by hand, who is in no group of the rule's eligible"
            }
            Self::TooManyPeople => "as many people of the incident have access as the rule allows",
            Self::Other => "another version of this service skipped it",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_needs_no_key_beside_its_own() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let ana = Skipped {
            subject: Subject::Email("ana@example.com".to_owned()),
            name: None,
            reason: SkipReason::NoAccount,
            rules: BTreeSet::from(["db".to_owned()]),
            first_shift: Some(at),
        };
        let written = json!({
            "email": "ana@example.com", "reason": "no_account", "rules": ["db"], "first_shift": "2027-01-15T08:00:00Z",
        });
        assert_eq!(serde_json::to_value(&ana).unwrap(), written);
        assert_eq!(serde_json::from_value::<Skipped>(written).unwrap(), ana);
        let filter =
            Skipped { subject: Subject::Filter("tags:env=prod".to_owned()), first_shift: None, ..ana };
        let written = json!({"filter": "tags:env=prod", "reason": "no_account", "rules": ["db"]});
        assert_eq!(serde_json::to_value(&filter).unwrap(), written);
        assert_eq!(serde_json::from_value::<Skipped>(written).unwrap(), filter);
    }

    #[test]
    fn what_only_a_newer_version_has_words_for_is_read_all_the_same() {
        let named = json!({"email": "ana@example.com", "name": "Ana", "reason": "on_holiday", "rules": []});
        let named: Skipped = serde_json::from_value(named).unwrap();
        assert_eq!(named.subject, Subject::Email("ana@example.com".to_owned()));
        assert_eq!(named.name, Name::new("Ana"));
        assert_eq!((named.reason, named.reason.as_str()), (SkipReason::Other, "other"));
        let foreign = json!({"incident": "Q1", "reason": "on_holiday", "rules": ["db"]});
        let foreign: Skipped = serde_json::from_value(foreign).unwrap();
        assert!(matches!(foreign.subject, Subject::Other(_)), "{foreign}");
        let written = serde_json::to_value(&foreign).unwrap();
        assert_eq!(serde_json::from_value::<Skipped>(written).unwrap(), foreign);
    }
}
