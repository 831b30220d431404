//! `[pagerduty]`: how this service reaches PagerDuty, and how it knows PagerDuty's webhooks.

use std::{io, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{
    PagerDuty, Place,
    reader::Section,
    secret::{Found, HALF_QUOTED, PLACEHOLDER, Setting, bare, is_half_quoted, is_placeholder},
};

const SECRETS: &str = "webhook_secrets";
const SECRETS_FILE: &str = "webhook_secrets_file";

pub(super) fn read(section: &Section<'_>) -> PagerDuty {
    let token = section.required("token", "PAGERDUTY_TOKEN");
    let (webhook_secrets, webhook_secrets_file) = webhook_secrets(section);
    PagerDuty {
        api_url: section.upstream("https://api.pagerduty.com"),
        token: token.map(|token| token.header_text(section.reader)).unwrap_or_default(),
        webhook_secrets,
        webhook_secrets_file,
    }
}

/// The secrets, and the file that they come from if they come from one.
fn webhook_secrets(section: &Section<'_>) -> (Vec<SecretString>, Option<PathBuf>) {
    section.given_twice(SECRETS);
    let secrets = match section.environment(SECRETS, "PAGERDUTY_WEBHOOK_SECRETS") {
        Found::Given(Setting { place, text }) => {
            let lists: Vec<_> = text.expose_secret().split(',').map(secrets_in).collect();
            if lists.iter().any(Vec::is_empty) {
                section.reader.report(&place, "holds an empty secret; separate secrets by single commas");
            }
            let secrets = lists.iter().flatten();
            secrets.map(|secret| sound(section, &place, secret.expose_secret())).collect()
        }
        Found::Faulty => Vec::new(),
        Found::Missing => match section.get(SECRETS) {
            Some(value) => {
                let items = value.list("a secret in quotes").into_iter();
                let secret = |item: super::reader::Value<'_>| {
                    item.text("a secret in quotes").map(|text| sound(section, &item.place, text))
                };
                items.filter_map(secret).collect()
            }
            None => return in_file(section),
        },
    };
    (secrets, None)
}

/// A file that is not there yet is no mistake, and neither is an empty one: the command that makes the first secret needs
/// this configuration, and the service takes the file in when it appears.
fn in_file(section: &Section<'_>) -> (Vec<SecretString>, Option<PathBuf>) {
    let nothing = (Vec::new(), None);
    let Some(value) = section.get(SECRETS_FILE) else { return nothing };
    let Some(path) = value.text("the path of a file") else { return nothing };
    let file = section.reader.beside(path);
    let content = match (section.reader.read_file)(&file) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), Some(file)),
        Err(error) => {
            value.unreadable(path, &error);
            return nothing;
        }
    };
    let Some(text) = value.utf8(content) else { return nothing };
    let secrets = secrets_in(&text);
    for secret in &secrets {
        sound(section, &value.place, secret.expose_secret());
    }
    (secrets, Some(file))
}

fn sound(section: &Section<'_>, place: &Place, secret: &str) -> SecretString {
    let secret = bare(secret).trim();
    if secret.is_empty() {
        section.reader.report(place, "must not be empty; write a secret in quotes");
    } else if is_placeholder(secret.as_bytes()) {
        section.reader.report(place, PLACEHOLDER);
    } else if secret.contains(char::is_control) {
        section.reader.report(place, "must be one secret, without line breaks or other control characters");
    } else if is_half_quoted(secret) {
        section.reader.report(place, HALF_QUOTED);
    }
    secret.into()
}

/// The secrets in the text of a file, one a line.
pub fn secrets_in(text: &str) -> Vec<SecretString> {
    let lines = text.lines().map(|line| bare(line.trim()).trim());
    lines.filter(|line| !line.is_empty()).map(SecretString::from).collect()
}
