//! The names that are known, for whoever tells people of things: the one place where a name and an ID become a text.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Name, SeenName, Source, Thing, UserId};

/// The names last seen. Everything inside speaks of IDs; names are put beside them where something is told.
#[derive(Clone, Debug, Default)]
pub struct Names {
    things: BTreeMap<Thing, Name>,
    /// By every address under which a person counts, in lower case.
    people: BTreeMap<String, Person>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Person {
    user: UserId,
    name: Name,
    /// It is the address in PagerDuty, not one that it is mapped to.
    is_own: bool,
}

/// Names beside the IDs that an entry carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NamesBeside {
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<Name>,
    /// The schedule's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub schedule_name: Option<Name>,
    /// The escalation policy's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub escalation_policy_name: Option<Name>,
    /// The service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub service_name: Option<Name>,
}

impl NamesBeside {
    /// The name of this source, if it stands beside.
    pub fn of(&self, source: &Source) -> Option<&Name> {
        match source {
            Source::Schedule(_) => self.schedule_name.as_ref(),
            Source::Policy(_) => self.escalation_policy_name.as_ref(),
            Source::Service(_) => self.service_name.as_ref(),
        }
    }
}

impl Names {
    /// Adds a name; a person's as well under these addresses.
    pub fn add(&mut self, seen: SeenName, mapped: Option<&str>) {
        let SeenName { thing, name, address } = seen;
        if let Thing::User(user) = &thing {
            let own = address.map(|address| (address.to_lowercase(), true));
            let mapped = mapped.map(|address| (address.to_lowercase(), false));
            for (address, is_own) in own.into_iter().chain(mapped) {
                let person = Person { user: user.clone(), name: name.clone(), is_own };
                // Where two people count under one address, it is that of the one who has it.
                let order = |person: &Person| (person.is_own, person.user.clone());
                match self.people.get(&address) {
                    Some(known) if known.user != *user && order(known) > order(&person) => {}
                    Some(known) if known.user == *user && known.is_own => {}
                    _ => _ = self.people.insert(address, person),
                }
            }
        }
        self.things.insert(thing, name);
    }

    /// The name of a thing, if it was ever seen.
    pub fn of(&self, thing: impl Into<Thing>) -> Option<&Name> {
        self.things.get(&thing.into())
    }

    /// The name of the person with this address, in strongDM or in PagerDuty.
    pub fn person(&self, address: &str) -> Option<&Name> {
        Some(&self.people.get(&address.to_lowercase())?.name)
    }

    /// `Ana Lima (ana@example.com)`; the address alone if the name is not known.
    pub fn person_text(&self, address: &str) -> String {
        name_and_id(self.person(address), address)
    }

    /// `Payments primary (PI7DH85)`; the ID alone if the name is not known.
    pub fn id_text(&self, thing: impl Into<Thing>) -> String {
        let thing = thing.into();
        name_and_id(self.things.get(&thing), thing.id())
    }

    /// The name of a schedule, policy or service whose kind is not told.
    pub fn of_any(&self, id: &str) -> Option<&Name> {
        let things = [Thing::Schedule(id.into()), Thing::Policy(id.into()), Thing::Service(id.into())];
        things.iter().find_map(|thing| self.things.get(thing))
    }

    /// `Payments primary (PI7DH85)` for an ID whose kind is not told.
    pub fn any_id_text(&self, id: &str) -> String {
        name_and_id(self.of_any(id), id)
    }

    /// The addresses of at most so many people in whose names this text stands, without regard to case; none for an empty
    /// text.
    pub fn addresses_of(&self, text: &str, at_most: usize) -> Vec<String> {
        let text = text.to_lowercase();
        let is_named =
            |person: &Person| !text.is_empty() && person.name.as_str().to_lowercase().contains(&text);
        let found = self.people.iter().filter(|(_, person)| is_named(person));
        found.map(|(address, _)| address.clone()).take(at_most).collect()
    }

    /// The name of a source, under its key in JSON.
    pub fn beside(&self, source: &Source) -> NamesBeside {
        let name = self.of(source).cloned();
        match source {
            Source::Schedule(_) => NamesBeside { schedule_name: name, ..NamesBeside::default() },
            Source::Policy(_) => NamesBeside { escalation_policy_name: name, ..NamesBeside::default() },
            Source::Service(_) => NamesBeside { service_name: name, ..NamesBeside::default() },
        }
    }

    /// The names of what a text is about, by the first ID of each kind and the first address in it.
    pub fn beside_text(&self, text: &str) -> NamesBeside {
        let mut beside = NamesBeside::default();
        for Mention { what, .. } in mentions(text) {
            match what {
                What::Address(address) => beside.name = beside.name.or(self.person(address).cloned()),
                What::Thing(thing @ Thing::User(_)) => {
                    beside.name = beside.name.or(self.of(thing).cloned());
                }
                What::Thing(thing @ Thing::Schedule(_)) => {
                    beside.schedule_name = beside.schedule_name.or(self.of(thing).cloned());
                }
                What::Thing(thing @ Thing::Policy(_)) => {
                    beside.escalation_policy_name = beside.escalation_policy_name.or(self.of(thing).cloned());
                }
                What::Thing(thing @ Thing::Service(_)) => {
                    beside.service_name = beside.service_name.or(self.of(thing).cloned());
                }
            }
        }
        beside
    }

    /// The text with names beside the IDs and addresses that stand in it: `schedule PI7DH85` becomes `schedule Payments
    /// primary (PI7DH85)`. What is quoted is left alone: it is a line to write, or somebody else's words.
    pub fn tell(&self, told: &str) -> String {
        let mut named = String::with_capacity(told.len());
        let mut copied = 0;
        for Mention { what, place } in mentions(told) {
            let name = match &what {
                What::Address(address) => self.person(address),
                What::Thing(thing) => self.things.get(thing),
            };
            if name.is_some() {
                named.push_str(&told[copied..place.start]);
                copied = place.end;
                named.push_str(&name_and_id(name, &told[place]));
            }
        }
        named.push_str(&told[copied..]);
        named
    }
}

/// A name and an ID as people read them.
pub fn name_and_id(name: Option<&Name>, id: &str) -> String {
    match name {
        Some(name) if name.as_str() != id => format!("{name} ({id})"),
        Some(_) | None => id.to_owned(),
    }
}

/// A place in a text where something of PagerDuty is meant.
struct Mention<'t> {
    what: What<'t>,
    place: Range<usize>,
}

enum What<'t> {
    Thing(Thing),
    Address(&'t str),
}

/// All IDs with the word for their kind before them, and all addresses, but what is quoted or in brackets already.
fn mentions(text: &str) -> impl Iterator<Item = Mention<'_>> {
    let (mut at, mut is_quoted, mut before) = (0, false, 0..0);
    std::iter::from_fn(move || {
        while let Some(next) = text[at..].chars().next() {
            let start = at;
            if !is_of_word(next) {
                at += next.len_utf8();
                is_quoted = match next {
                    '"' => !is_quoted,
                    '\n' => false,
                    _ => is_quoted,
                };
                continue;
            }
            let rest = &text[start..];
            let word = &rest[..rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())];
            at += word.len();
            let word = word.trim_end_matches(['.', '-', '_', '+', '\'']);
            let place = start..start + word.len();
            let last = std::mem::replace(&mut before, place.clone());
            let kind = if text[last.end..start] == *" " { &text[last] } else { "" };
            let opens = text[..start].chars().next_back();
            if is_quoted || matches!(opens, Some('(' | '=' | '/' | ':')) {
                continue;
            }
            if let Some(what) = what(kind, word) {
                return Some(Mention { what, place });
            }
        }
        None
    })
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || "@._+-'%".contains(c)
}

fn what<'t>(kind: &str, word: &'t str) -> Option<What<'t>> {
    if word.contains('@') {
        // Where the address itself is meant, and not the person.
        return (!matches!(kind, "address" | "maps")).then_some(What::Address(word));
    }
    let kind = match kind {
        "schedule" | "service" | "user" => kind,
        "policy" => "escalation_policy",
        _ => return None,
    };
    Thing::of_kind(kind, word).map(What::Thing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        let mut add = |thing, name: &str, address: Option<&str>, mapped: Option<&str>| {
            let seen =
                SeenName { thing, name: Name::new(name).unwrap(), address: address.map(str::to_owned) };
            names.add(seen, mapped);
        };
        add(Thing::Schedule("P1".into()), "Payments primary", None, None);
        add(Thing::Policy("P2".into()), "Payments", None, None);
        add(Thing::Service("P3".into()), "P3", None, None);
        add(Thing::User("P4".into()), "Ana Lima", Some("Ana@pd.example"), Some("ana@corp.example"));
        names
    }

    #[test]
    fn names_are_told_beside_ids_and_addresses() {
        let names = names();
        for (told, expected) in [
            ("schedule P1: down", "schedule Payments primary (P1): down"),
            (
                "(schedule P1, escalation policy P2)",
                "(schedule Payments primary (P1), escalation policy Payments (P2))",
            ),
            ("policy P1 and schedule P2", "policy P1 and schedule P2"),
            ("service P3 and schedule P11", "service P3 and schedule P11"),
            ("PagerDuty user P4.", "PagerDuty user Ana Lima (P4)."),
            (
                "ana@corp.example on db (ana@corp.example); ANA@pd.example's",
                "Ana Lima (ana@corp.example) on db (ana@corp.example); ANA@pd.example's",
            ),
            ("bo@corp.example, ana@corp.example,", "bo@corp.example, Ana Lima (ana@corp.example),"),
            (
                "rule \"schedule P1\": add \"ana@corp.example\"; schedule P1",
                "rule \"schedule P1\": add \"ana@corp.example\"; schedule Payments primary (P1)",
            ),
            ("explain --email=ana@corp.example", "explain --email=ana@corp.example"),
            ("nobody has the address ana@corp.example", "nobody has the address ana@corp.example"),
            (
                "a \"quote without an end\nschedule P1",
                "a \"quote without an end\nschedule Payments primary (P1)",
            ),
            ("GET /schedules/P1: schedule  P1", "GET /schedules/P1: schedule  P1"),
        ] {
            assert_eq!(names.tell(told), expected);
        }
    }

    #[test]
    fn what_is_told_twice_is_named_once() {
        let names = names();
        let told = "schedule P1 of ana@corp.example, user P4, escalation policy P2";
        let once = names.tell(told);
        assert_eq!(names.tell(&once), once);
    }

    #[test]
    fn json_has_the_names_under_keys_of_their_own() {
        let names = names();
        let json = |beside: &NamesBeside| serde_json::to_value(beside).unwrap();
        let beside = names.beside(&Source::Policy("P2".into()));
        assert_eq!(json(&beside), serde_json::json!({"escalation_policy_name": "Payments"}));
        let beside = names.beside_text("schedule P1 and ana@corp.example");
        assert_eq!(
            json(&beside),
            serde_json::json!({"schedule_name": "Payments primary", "name": "Ana Lima"})
        );
        assert_eq!(json(&names.beside_text("schedule P9")), serde_json::json!({}));
    }

    #[test]
    fn an_address_is_of_the_person_who_has_it() {
        let mut names = names();
        let seen = |user: &str, name: &str, address: &str| SeenName {
            thing: Thing::User(user.into()),
            name: Name::new(name).unwrap(),
            address: Some(address.to_owned()),
        };
        names.add(seen("P5", "Ana Twin", "ana@corp.example"), Some("ana@corp.example"));
        assert_eq!(names.person("Ana@Corp.example").unwrap().as_str(), "Ana Twin");
        names.add(seen("P6", "Another", "ana@other.example"), Some("ana@corp.example"));
        assert_eq!(names.person_text("ana@corp.example"), "Ana Twin (ana@corp.example)");
        assert_eq!(names.person_text("bo@corp.example"), "bo@corp.example");
        assert_eq!(names.id_text(&Source::Schedule("P1".into())), "Payments primary (P1)");
        assert_eq!(names.addresses_of("TWIN", 9), ["ana@corp.example"]);
        assert_eq!(names.addresses_of("ana", 2), ["ana@corp.example", "ana@pd.example"]);
        assert_eq!(names.addresses_of("", 9), [""; 0]);
    }
}
