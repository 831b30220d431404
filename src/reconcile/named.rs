//! Which sources an unsigned request names, whatever else it says: IDs that rules name, anywhere in its text.

use std::{borrow::Cow, collections::BTreeSet};

use super::scope::marks_for;
use crate::{
    model::{Links, Mark, Rule, Source},
    pagerduty::Hint,
};

/// What `text`, which may be JSON, form data, plain words or nothing at all, makes us look at: what it names of the rules,
/// and everything if it names nothing.
pub(super) fn marks_named(rules: &[Rule], links: &Links, text: &[u8]) -> BTreeSet<Mark> {
    let text = String::from_utf8_lossy(text);
    let unescaped = unescaped(&text);
    let words: BTreeSet<&str> = words(&text).chain(words(&unescaped)).collect();
    let (mut schedules, mut policies) = (BTreeSet::new(), BTreeSet::new());
    for source in rules.iter().flat_map(Rule::sources) {
        match source {
            Source::Schedule(id) if words.contains(id.as_str()) => _ = schedules.insert(id),
            Source::Policy(id) if words.contains(id.as_str()) => _ = policies.insert(id),
            Source::Schedule(_) | Source::Policy(_) => {}
        }
    }
    // Whatever else rules follow narrows the look here.
    if schedules.is_empty() && policies.is_empty() {
        return BTreeSet::from([Mark::Everything]);
    }
    marks_for(rules, links, &Hint::About { schedules, policies })
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
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{OnCallSelector, ResourceSelector};

    fn marks(text: &[u8]) -> Vec<String> {
        let rule = |name: &str, on_calls| Rule {
            name: name.to_owned(),
            on_calls,
            resources: vec![ResourceSelector::Name("db".to_owned())],
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        };
        let schedules = OnCallSelector::Schedules(vec!["PI7DH85".into(), "P-2_b".into()]);
        let policies = OnCallSelector::Policies {
            ids: vec!["PT20YPA".into()],
            levels: Vec::new(),
            include_always_on_call: false,
        };
        let rules = [rule("one", schedules), rule("two", policies)];
        marks_named(&rules, &Links::default(), text).iter().map(ToString::to_string).collect()
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

    proptest! {
        #[test]
        fn no_text_does_harm(text in any::<Vec<u8>>(), json in "[\\\\u0-9a-fPI7DH85\"{}]{0,80}") {
            prop_assert!(!marks(&text).is_empty());
            prop_assert!(!marks(json.as_bytes()).is_empty());
        }
    }
}
