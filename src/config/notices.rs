//! `[[notices]]`: who is told of changes of access.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use url::Url;

use super::{
    Endpoint, NoticeFormat, Place,
    reader::{Section, Value},
    secret::{Found, Setting},
    secret_list::secrets_in,
    values::no_control,
};
use crate::model::{NoticeKind, is_loopback};

/// What stands before the key of Standard Webhooks.
const PREFIX: &str = "whsec_";
/// Shorter keys can be guessed; longer ones are no keys.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

pub(super) fn read(root: &Section<'_>) -> Vec<Endpoint> {
    let Some(value) = root.get("notices") else { return Vec::new() };
    let sections = value.list("a table headed [[notices]]").into_iter().map(|value| value.section("notices"));
    let mut names = BTreeMap::new();
    sections.map(|section| endpoint(&section, &mut names)).collect()
}

fn endpoint(section: &Section<'_>, names: &mut BTreeMap<String, Place>) -> Endpoint {
    Endpoint {
        name: name(section, names),
        url: url(section),
        format: format(section),
        events: events(section),
    }
}

fn name(section: &Section<'_>, names: &mut BTreeMap<String, Place>) -> String {
    let Some(value) = section.get("name") else {
        section.missing("name", "is missing; give the endpoint a name of its own");
        return String::new();
    };
    let name = value.text("a name for the endpoint").unwrap_or_default();
    if let Err(message) = no_control(name) {
        value.mistake(message);
    }
    if let Some(Place::Line { line, .. }) = names.get(name) {
        value.mistake(format!("is already the name of the endpoint in line {line}; names must be unique"));
    } else if !name.is_empty() {
        names.insert(name.to_owned(), value.place);
    }
    name.to_owned()
}

/// The address, which is never shown: whoever has it can write to the channel.
fn url(section: &Section<'_>) -> SecretString {
    match section.setting_of_file("url") {
        Found::Given(Setting { place, text }) => {
            let url = Url::parse(text.expose_secret().trim()).ok().filter(Url::has_host);
            match url {
                Some(url) if url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url) => {
                    return url.to_string().into();
                }
                Some(url) if url.scheme() == "http" => section.reader.report(
                    &place,
                    "must be https: plain http would send names in the clear; it is allowed to localhost, 127.0.0.0/8 and \
                     [::1] only",
                ),
                _ => section.reader.report(&place, "is no web address; write one such as https://hooks.example.com/x"),
            }
        }
        Found::Missing => section.missing("url", "is missing; give it here or as url_file (a path)"),
        Found::Faulty => {}
    }
    SecretString::default()
}

fn format(section: &Section<'_>) -> NoticeFormat {
    let value = section.get("format");
    let text = value.as_ref().map(|value| value.text("\"standard\" or \"slack\""));
    let given = ["secret", "secret_file"].into_iter().find_map(|key| section.get(key));
    match text {
        Some(Some("slack")) => {
            if let Some(given) = given {
                given.mistake("belongs to the format \"standard\": Slack knows no signatures; remove it");
            }
            return NoticeFormat::Slack;
        }
        None | Some(Some("standard") | None) => {}
        Some(Some(_)) => {
            if let Some(value) = value {
                value.mistake("must be \"standard\" (Standard Webhooks) or \"slack\"");
            }
        }
    }
    NoticeFormat::Standard(secrets(section))
}

/// The keys that sign; several while one is replaced by another.
fn secrets(section: &Section<'_>) -> Vec<SecretSlice<u8>> {
    if section.given_twice("secret") {
        return Vec::new();
    }
    let texts: Vec<Setting> = match section.get("secret") {
        Some(value) => {
            let one = "a secret in quotes, whsec_…, or a list of them";
            let items = if value.is_list() { value.list(one) } else { vec![value] };
            let text = |item: Value<'_>| item.text(one).map(|text| section.sound_secret(&item.place, text));
            items.into_iter().filter_map(text).collect()
        }
        None => match section.own_file("secret") {
            Found::Given(Setting { place, text }) => secrets_in(text.expose_secret())
                .iter()
                .map(|secret| section.sound_secret(&place, secret.expose_secret()))
                .collect(),
            Found::Faulty => return Vec::new(),
            Found::Missing => {
                section.missing(
                    "secret",
                    "is missing: the format \"standard\" is signed; write whsec_ and the base64 of 32 random bytes, here or in \
                     a file (secret_file)",
                );
                return Vec::new();
            }
        },
    };
    let key = |Setting { place, text }: Setting| {
        let text = text.expose_secret().strip_prefix(PREFIX);
        let key =
            text.and_then(|text| STANDARD.decode(text).ok()).filter(|key| KEY_LENGTHS.contains(&key.len()));
        if key.is_none() {
            section.reader.report(&place, "must be whsec_ and the base64 of 24 to 64 bytes");
        }
        key.map(SecretSlice::from)
    };
    texts.into_iter().filter_map(key).collect()
}

fn events(section: &Section<'_>) -> Option<BTreeSet<NoticeKind>> {
    section.get("events")?;
    let check = |text: &str| {
        if NoticeKind::of(text).is_some() {
            return Ok(());
        }
        let known = NoticeKind::ALL.map(NoticeKind::as_str).join(", ");
        Err(format!("is no event; there are {known}"))
    };
    let events = section.texts("events", "an event such as \"access.granted\"", check);
    Some(events.iter().filter_map(|text| NoticeKind::of(text)).collect())
}
