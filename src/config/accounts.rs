//! `[accounts]`: people, and whole domains, whose addresses differ between PagerDuty and strongDM.

use std::collections::BTreeMap;

use super::{
    Place,
    reader::{Section, Value},
};
use crate::model::{Aliases, Email};

pub(super) fn read(section: &Section<'_>) -> Aliases {
    exact(section).with_domains(domains(section))
}

fn exact(section: &Section<'_>) -> Aliases {
    let Some(value) = section.get("aliases") else { return Aliases::default() };
    let mut aliases = BTreeMap::new();
    let mut places: BTreeMap<Email, Place> = BTreeMap::new();
    for (key, value) in value.free_section().entries() {
        let from = email(&value, key, "the PagerDuty address");
        let text = value.text("the strongDM e-mail address in quotes");
        let to = text.and_then(|text| email(&value, text, "the strongDM address"));
        let Some(from) = from else { continue };
        if let Some(Place::Line { line, .. }) = places.get(&from) {
            value.mistake(format!("is the address of line {line} in other letters; case does not count"));
            continue;
        }
        places.insert(from.clone(), value.place);
        aliases.extend(to.map(|to| (from, to)));
    }
    aliases.into_iter().collect()
}

fn email(value: &Value<'_>, text: &str, whose: &str) -> Option<Email> {
    text.parse().map_err(|error| value.mistake(format!("{whose} is {error}"))).ok()
}

fn domains(section: &Section<'_>) -> BTreeMap<String, String> {
    let Some(value) = section.get("domain_aliases") else { return BTreeMap::new() };
    let mut domains = BTreeMap::new();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for (key, value) in value.free_section().entries() {
        let from = domain(&value, key, "the PagerDuty domain");
        let text = value.text("the domain of the strongDM addresses in quotes");
        let to = text.and_then(|text| domain(&value, text, "the strongDM domain"));
        let Some(from) = from else { continue };
        if let Some(Place::Line { line, .. }) = places.get(&from) {
            value.mistake(format!("is the domain of line {line} in other letters; case does not count"));
            continue;
        }
        if to.as_ref() == Some(&from) {
            value.mistake("maps the domain to itself; remove it");
        }
        places.insert(from.clone(), value.place);
        domains.extend(to.map(|to| (from, to)));
    }
    domains
}

/// A domain in lower case, as it stands behind the @ of an address.
fn domain(value: &Value<'_>, text: &str, whose: &str) -> Option<String> {
    // Whatever makes an address unfit to be looked up does so behind the @ as well.
    let is_domain = !text.contains('@') && format!("x@{text}").parse::<Email>().is_ok();
    if !is_domain {
        value.mistake(format!(
            "{whose} must be what stands behind the @ of an address, such as corp.example; a subdomain needs a line of \
             its own"
        ));
        return None;
    }
    Some(text.to_lowercase())
}
