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

/// PagerDuty e-mail → strongDM e-mail where they differ: address by address, and for whole domains. All compare without
/// case. An address is mapped once: what an alias yields is not mapped again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    /// They win over domains.
    exact: BTreeMap<Email, Email>,
    /// In lower case.
    domains: BTreeMap<String, String>,
}

impl Aliases {
    /// The same, which also map these domains of PagerDuty addresses to domains of strongDM addresses, given in lower case.
    #[must_use]
    pub fn with_domains(self, domains: BTreeMap<String, String>) -> Self {
        Self { domains, ..self }
    }

    /// The mapped domains and what each is mapped to.
    pub fn domains(&self) -> &BTreeMap<String, String> {
        &self.domains
    }

    /// The strongDM address of the person whom PagerDuty knows under this one.
    pub fn to_strongdm(&self, email: &Email) -> Email {
        let exact = self.exact.get(email).cloned();
        exact.or_else(|| self.by_domain(email)).unwrap_or_else(|| email.clone())
    }

    /// Whether `email` is mapped, with all other addresses of its domain.
    pub fn maps_by_domain(&self, email: &Email) -> bool {
        !self.exact.contains_key(email) && self.by_domain(email).is_some()
    }

    fn by_domain(&self, email: &Email) -> Option<Email> {
        let (user, domain) = email.0.rsplit_once('@')?;
        Some(Email(format!("{user}@{}", self.domains.get(domain)?)))
    }

    /// The strongDM address of the person whom PagerDuty knows under `raw`.
    pub fn account_email(&self, raw: &str) -> Result<Email, InvalidEmail> {
        Ok(self.to_strongdm(&raw.parse()?))
    }

    /// The PagerDuty addresses that are mapped to this strongDM address one by one.
    pub fn leading_to(&self, account: &str) -> Vec<&str> {
        self.exact.iter().filter(|(_, to)| to.matches(account)).map(|(from, _)| from.as_str()).collect()
    }
}

/// From pairs of a PagerDuty address and a strongDM address.
impl FromIterator<(Email, Email)> for Aliases {
    fn from_iter<I: IntoIterator<Item = (Email, Email)>>(pairs: I) -> Self {
        Self { exact: pairs.into_iter().collect(), domains: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_mapped_once_and_an_exact_alias_wins() {
        let email = |text: &str| -> Email { text.parse().unwrap() };
        let exact = [("al@old.example", "alice@new.example"), ("bo@new.example", "bo@old.example")];
        let domains = [("old.example", "new.example"), ("new.example", "newest.example")];
        let aliases: Aliases = exact.map(|(from, to)| (email(from), email(to))).into_iter().collect();
        let aliases = aliases.with_domains(domains.map(|(from, to)| (from.to_owned(), to.to_owned())).into());
        for (raw, expected, by_domain) in [
            ("Al@Old.example", "alice@new.example", false),
            ("ana@OLD.example", "ana@new.example", true),
            ("ana@new.example", "ana@newest.example", true),
            ("bo@new.example", "bo@old.example", false),
            ("ana@sub.old.example", "ana@sub.old.example", false),
            ("ana@xold.example", "ana@xold.example", false),
            ("old.example@other.example", "old.example@other.example", false),
        ] {
            assert_eq!(aliases.account_email(raw).unwrap().as_str(), expected, "{raw}");
            assert_eq!(aliases.maps_by_domain(&email(raw)), by_domain, "{raw}");
        }
    }
}
