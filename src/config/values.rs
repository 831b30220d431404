//! Kinds of values that several tables share: durations, addresses, lists of names.

use std::{ops::RangeInclusive, path::PathBuf};

use chrono::TimeDelta;
use url::Url;

use super::reader::{Section, Value};
use crate::{model::is_loopback, tls::pem::PemError};

impl Section<'_> {
    /// The duration under `key`; default and bounds are written as an operator would.
    pub(super) fn time_delta(&self, key: &str, default: &str, allowed: RangeInclusive<&str>) -> TimeDelta {
        self.get(key).and_then(|value| value.time_delta(allowed)).unwrap_or_else(|| own(default))
    }

    /// The file that `key` names; a relative path starts beside the configuration file.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.reader.beside(self.get(key)?.text("the path of a PEM file")?))
    }

    /// What `read` makes of the PEM file that `key` names; none if there is no such key, or if a mistake was reported.
    pub(super) fn pem<T>(&self, key: &str, read: fn(&[u8]) -> Result<T, PemError>) -> Option<T> {
        let value = self.get(key)?;
        let content = value.file(value.text("the path of a PEM file")?)?;
        read(&content).map_err(|error| value.mistake(error.to_string())).ok()
    }

    /// The address of an upstream: `https`, or `http` to this very machine.
    pub(super) fn upstream(&self, key: &str, default: &str) -> Url {
        self.get(key)
            .and_then(|value| value.upstream(default))
            .unwrap_or_else(|| Url::parse(default).expect("the default address of an upstream is a URL"))
    }

    /// The texts listed under `key`, each checked by `check` and named once.
    pub(super) fn texts(
        &self,
        key: &str,
        expected: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let mut texts: Vec<String> = Vec::new();
        for item in value.list(expected) {
            let Some(text) = item.text(expected) else { continue };
            if let Err(message) = check(text) {
                item.mistake(message);
            } else if texts.iter().any(|known| known == text) {
                item.mistake(format!("{text:?} is listed twice; name it once"));
            } else {
                texts.push(text.to_owned());
            }
        }
        texts
    }
}

impl Value<'_> {
    fn time_delta(&self, allowed: RangeInclusive<&str>) -> Option<TimeDelta> {
        let (from, to) = allowed.into_inner();
        let text = self.text("a duration in quotes such as \"90s\", \"15m\" or \"7d\"")?;
        let Ok(duration) = humantime::parse_duration(text) else {
            self.mistake(
                "is not a duration; write numbers and units such as \"90s\", \"15m\", \"7d\" or \"1h30m\"",
            );
            return None;
        };
        if duration.subsec_nanos() != 0 {
            self.mistake("must be whole seconds");
            return None;
        }
        let given = TimeDelta::from_std(duration).ok().filter(|given| (own(from)..=own(to)).contains(given));
        if given.is_none() {
            self.mistake(format!("must be from {from} to {to}"));
        }
        given
    }

    /// Reads it as the address of a web server, without anything after the port.
    pub(super) fn web_address(&self, example: &str) -> Option<Url> {
        let expected = format!("an address such as {example}");
        let url = self.web(&expected)?;
        if url.path() != "/" || has_more_than_a_path(&url) {
            self.mistake(format!(
                "must be scheme, host and port alone, without user, path, query or fragment; write {expected}"
            ));
            return None;
        }
        Some(url)
    }

    /// Reads it as the address of a web server, perhaps with a path.
    pub(super) fn web_place(&self, example: &str) -> Option<Url> {
        let expected = format!("an address such as {example}");
        let url = self.web(&expected)?;
        if has_more_than_a_path(&url) {
            self.mistake(format!("must be without user, query or fragment; write {expected}"));
            return None;
        }
        Some(url)
    }

    fn web(&self, expected: &str) -> Option<Url> {
        let url = Url::parse(self.text(expected)?).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            self.mistake(format!("is no web address; write {expected}"));
        }
        url
    }

    fn upstream(&self, example: &str) -> Option<Url> {
        let url = self.web_address(example)?;
        if url.scheme() == "http" && !is_loopback(&url) {
            self.mistake(
                "must be https: plain http would send credentials in the clear; it is allowed to \
                 localhost, 127.0.0.0/8 and [::1] only",
            );
            return None;
        }
        Some(url)
    }
}

fn has_more_than_a_path(url: &Url) -> bool {
    url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
}

/// A duration that this program itself writes.
fn own(text: &str) -> TimeDelta {
    let duration = humantime::parse_duration(text).expect("defaults and bounds are durations");
    TimeDelta::from_std(duration).expect("defaults and bounds are at most a hundred years")
}

/// Text that people read on a terminal.
pub(super) fn no_control(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters such as line breaks".to_owned());
    }
    Ok(())
}
