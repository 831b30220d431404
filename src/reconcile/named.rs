//! Which sources an unsigned request names, whatever else it says: IDs that rules name, or of incidents
//! that give access, anywhere in its text.

use std::{borrow::Cow, collections::BTreeSet};

use super::scope::{Seen, marks_for};
use crate::{
    model::{Mark, Rule, Source},
    pagerduty::{Hint, Mentioned},
};

/// What `text`, which may be JSON, form data, plain words or nothing at all, makes us look at: what it names of the rules,
/// and everything if it names nothing.
pub(super) fn marks_named(rules: &[Rule], seen: &Seen, text: &[u8]) -> BTreeSet<Mark> {
    let text = String::from_utf8_lossy(text);
    let unescaped = unescaped(&text);
    let words: BTreeSet<&str> = words(&text).chain(words(&unescaped)).collect();
    let mut mentioned = Mentioned::default();
    for source in rules.iter().flat_map(Rule::sources) {
        match source {
            Source::Schedule(id) if words.contains(id.as_str()) => _ = mentioned.schedules.insert(id),
            Source::Policy(id) if words.contains(id.as_str()) => _ = mentioned.policies.insert(id),
            Source::Service(id) if words.contains(id.as_str()) => _ = mentioned.services.insert(id),
            Source::Schedule(_) | Source::Policy(_) | Source::Service(_) => {}
        }
    }
    let known = seen.incidents.keys().filter(|id| words.contains(id.as_str()));
    mentioned.incidents.extend(known.cloned());
    if mentioned == Mentioned::default() {
        return BTreeSet::from([Mark::Everything]);
    }
    marks_for(rules, seen, &Hint::About(mentioned))
}

/// The stretches of `text` that could be IDs. No structure is read, so that none can do harm.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').filter(|word| !word.is_empty())
}

/// The text as JSON means it: escapes of letters and digits are these, and other escapes end a word.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed("");
    }
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        unescaped.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let code = rest.strip_prefix('u').and_then(|digits| digits.get(..4));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        unescaped.push(code.and_then(char::from_u32).unwrap_or(' '));
        let length = if code.is_some() { 5 } else { rest.chars().next().map_or(0, char::len_utf8) };
        rest = &rest[length..];
    }
    unescaped.push_str(rest);
    Cow::Owned(unescaped)
}

#[cfg(test)]
mod hostile;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use chrono::TimeDelta;

    use super::*;
    use crate::{
        model::{KubernetesGroups, PeopleSelector, ResourceSelector},
        reconcile::plan::tests::incident_selector,
    };

    pub(super) fn marks(text: &[u8]) -> Vec<String> {
        let rule = |name: &str, people| Rule {
            name: name.to_owned(),
            people,
            resources: vec![ResourceSelector::Name("db".to_owned())],
            kubernetes_groups: KubernetesGroups::default(),
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        };
        let schedules = PeopleSelector::Schedules(vec!["PI7DH85".into(), "P-2_b".into()]);
        let policies = PeopleSelector::Policies {
            ids: vec!["PT20YPA".into()],
            levels: Vec::new(),
            include_always_on_call: false,
        };
        let incidents = PeopleSelector::Incidents(incident_selector(&["PSV1", "PSV2"]));
        let rules = [rule("one", schedules), rule("two", policies), rule("three", incidents)];
        let incidents = BTreeMap::from([("Q1".into(), BTreeSet::from(["PSV2".into()]))]);
        let seen = Seen { incidents: Arc::new(incidents), ..Seen::default() };
        marks_named(&rules, &seen, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ids_of_rules_narrow_the_look_wherever_they_stand() {
        for text in [
            r#"{"schedules": ["PI7DH85"]}"#,
            r#"[[{"a": {"PI7DH85": null}}]]"#,
            r#""PI7DH85""#,
            r#"{"text": "schedule PI7DH85 has changed", "other": "PXXXXXX"}"#,
            r#"{"html_url": "https:\/\/acme.pagerduty.com\/schedules\/PI7DH85"}"#,
            r#"{"text": "see:\nPI7DH85"}"#,
            r#"{"text": "\u0050I7DH\u0038\u0035"}"#,
            "schedule=PI7DH85&x=1",
            "PI7DH85",
            r"C:\PI7DH85",
            "{\"schedule\": \"PI7DH85\"",
            "\u{feff}PI7DH85",
        ] {
            assert_eq!(marks(text.as_bytes()), ["schedule:PI7DH85"], "{text}");
        }
        assert_eq!(marks(b"{\"incident\": \"Q1\"}"), ["service:PSV2"], "it is known here");
        assert_eq!(marks(b"PSV1"), ["service:PSV1"]);
        assert_eq!(marks(b"PT20YPA P-2_b"), ["schedule:P-2_b", "policy:PT20YPA"]);
        assert_eq!(marks(b"\xff\xfePI7DH85\xff"), ["schedule:PI7DH85"]);
    }

    #[test]
    fn what_names_nothing_of_the_rules_means_everything() {
        for text in
            ["", "null", "{}", "PI7DH8", "XPI7DH85", "pi7dh85", "PI7DH85_", "\\", "\\u", "\\u00", "\\ud800é"]
        {
            assert_eq!(marks(text.as_bytes()), ["*"], "{text}");
        }
        assert_eq!(marks("[".repeat(60_000).as_bytes()), ["*"]);
        assert_eq!(marks("{\"a\":".repeat(10_000).as_bytes()), ["*"]);
    }
}
