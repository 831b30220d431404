//! E-mail addresses, by which PagerDuty's users and strongDM's accounts are matched.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A whole e-mail address that is safe to look up: lower-cased, without wildcard, quote, blank or control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(example = "ana@example.com")]
pub struct Email(String);

/// The text is no address that may be looked up in strongDM, whose filters treat `*` as a wildcard even in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)")]
pub struct InvalidEmail;

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let refused = |c: char| c.is_control() || c.is_whitespace() || "*\"\\,".contains(c);
        let parts = text.split_once('@');
        if text.chars().any(refused)
            || !parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        {
            return Err(InvalidEmail);
        }
        Ok(Self(text.to_lowercase()))
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        text.parse()
    }
}

impl Email {
    /// The address in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this address, without regard to case.
    pub fn matches(&self, other: &str) -> bool {
        other.to_lowercase() == self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// PagerDuty e-mail → strongDM e-mail where they differ; keys and values compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<Email, Email>);

impl Aliases {
    /// The strongDM address of the person whom PagerDuty knows under this one.
    pub fn to_strongdm<'e>(&'e self, email: &'e Email) -> &'e Email {
        self.0.get(email).unwrap_or(email)
    }

    /// The strongDM address of the person whom PagerDuty knows under `raw`.
    pub fn account_email(&self, raw: &str) -> Result<Email, InvalidEmail> {
        let email: Email = raw.parse()?;
        Ok(self.to_strongdm(&email).clone())
    }

    /// The PagerDuty addresses that are mapped to this strongDM address.
    pub fn leading_to(&self, account: &str) -> Vec<&str> {
        self.0.iter().filter(|(_, to)| to.matches(account)).map(|(from, _)| from.as_str()).collect()
    }
}

/// From pairs of a PagerDuty address and a strongDM address.
impl FromIterator<(Email, Email)> for Aliases {
    fn from_iter<I: IntoIterator<Item = (Email, Email)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
