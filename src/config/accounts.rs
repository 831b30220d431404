//! `[accounts]`: people whose addresses differ between PagerDuty and strongDM.

use std::collections::BTreeMap;

use super::{
    Place,
    reader::{Section, Value},
};
use crate::model::{Aliases, Email};

pub(super) fn read(section: &Section<'_>) -> Aliases {
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
