//! People whom `accounts.domain_aliases` leads to one strongDM account. Whose account it is, nobody can say from addresses:
//! whoever is mapped to it with a whole domain gets nothing new by it. An exact alias says that it is meant.

use std::collections::BTreeMap;

use crate::{
    model::{Aliases, Email, Observed, UserId},
    reconcile::world::World,
};

/// Who in PagerDuty counts under each address of strongDM, as far as that was seen.
#[derive(Debug, Default)]
pub(crate) struct Namesakes<'w>(BTreeMap<Email, Vec<(&'w UserId, &'w str)>>);

impl<'w> Namesakes<'w> {
    /// Those of this world; of no interest where no domain is mapped.
    pub(crate) fn of(aliases: &Aliases, world: &'w World) -> Self {
        let people = world.people.iter().filter_map(|(user, address)| match address {
            Observed::Known(Some(raw)) => Some((user, raw.as_str())),
            Observed::Known(None) | Observed::Unknown(_) => None,
        });
        let is_news = |user: &UserId| !matches!(world.people.get(user), Some(Observed::Known(_)));
        let before = world.acquaintances.iter().filter(|(user, _)| is_news(user));
        Self::among(aliases, people.chain(before.map(|(user, raw)| (user, raw.as_str()))))
    }

    /// Those among these users and the addresses that PagerDuty tells of them.
    pub(crate) fn among(aliases: &Aliases, people: impl IntoIterator<Item = (&'w UserId, &'w str)>) -> Self {
        let mut all = Self::default();
        if aliases.domains().is_empty() {
            return all;
        }
        for (user, raw) in people {
            if let Ok(email) = aliases.account_email(raw) {
                all.0.entry(email).or_default().push((user, raw));
            }
        }
        all
    }

    /// The PagerDuty addresses of the others who would be the same strongDM account as this user, whose address is mapped
    /// with its domain; none if the user alone is meant, or without doubt.
    pub(crate) fn rivals_of(&self, aliases: &Aliases, user: &UserId, raw: &str) -> Vec<&'w str> {
        let Ok(email) = raw.parse::<Email>() else { return Vec::new() };
        if !aliases.maps_by_domain(&email) {
            return Vec::new();
        }
        let same = self.0.get(&aliases.to_strongdm(&email)).into_iter().flatten();
        same.filter(|(other, _)| *other != user).map(|(_, raw)| *raw).collect()
    }
}

/// That these are several people in PagerDuty, in words; and what to do about it.
pub(crate) fn in_words(aliases: &Aliases, raw: &str, rivals: &[&str]) -> (String, String) {
    let email = aliases.account_email(raw).map_or_else(|_| raw.to_owned(), |email| email.to_string());
    let all: Vec<&str> = std::iter::once(raw).chain(rivals.iter().copied()).collect();
    let (last, first) = all.split_last().expect("there is at least the one");
    let words = format!(
        "{} and {last} are {} people in PagerDuty, who would become the one strongDM account {email} by \
         accounts.domain_aliases; {raw} is left out",
        first.join(", "),
        if all.len() == 2 { "two".to_owned() } else { all.len().to_string() },
    );
    let remedy = format!("if {raw} is meant, say so by an exact alias: aliases = {{ {raw:?} = {email:?} }}");
    (words, remedy)
}
