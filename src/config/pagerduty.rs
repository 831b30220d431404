//! `[pagerduty]`: how this service reaches PagerDuty, and how it knows PagerDuty's webhooks.

use std::{io, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{
    Credentials, OAuthApp, PagerDuty,
    reader::Section,
    secret::{Found, Setting},
    secret_list::secrets_in,
};

const SECRETS: &str = "webhook_secrets";
const SECRETS_FILE: &str = "webhook_secrets_file";

pub(super) fn read(section: &Section<'_>) -> PagerDuty {
    let (webhook_secrets, webhook_secrets_file) = webhook_secrets(section);
    PagerDuty {
        api_url: section.upstream("api_url", "https://api.pagerduty.com"),
        credentials: credentials(section),
        webhook_secrets,
        webhook_secrets_file,
    }
}

/// A key or an app, not both.
fn credentials(section: &Section<'_>) -> Credentials {
    let token = section.setting("token", "PAGERDUTY_TOKEN");
    let id = section.setting("client_id", "PAGERDUTY_CLIENT_ID");
    let secret = section.setting("client_secret", "PAGERDUTY_CLIENT_SECRET");
    let of_app = ["subdomain", "identity_url"].into_iter().find_map(|key| section.get(key));
    let has_app = !matches!((&id, &secret, &of_app), (Found::Missing, Found::Missing, None));
    if !has_app {
        if matches!(token, Found::Missing) {
            section.missing(
                "token",
                "is missing; give it here, as token_file (a path) or as PAGERDUTY_TOKEN; or give an OAuth app: client_id, \
                 client_secret and subdomain",
            );
        }
        return Credentials::Key(text(section, token));
    }
    let app = OAuthApp {
        subdomain: subdomain(section),
        identity_url: section.upstream("identity_url", "https://identity.pagerduty.com"),
        client_id: of_app_together(section, "client_id", "PAGERDUTY_CLIENT_ID", id),
        client_secret: of_app_together(section, "client_secret", "PAGERDUTY_CLIENT_SECRET", secret),
    };
    if let Found::Given(Setting { place, .. }) = token {
        section.reader.report(
            &place,
            "is a key, and there is an OAuth app as well (client_id, client_secret, subdomain); keep one of the two",
        );
    }
    Credentials::App(app)
}

fn of_app_together(section: &Section<'_>, key: &str, variable: &str, found: Found<Setting>) -> SecretString {
    if matches!(found, Found::Missing) {
        let message = format!(
            "is missing; an OAuth app needs client_id, client_secret and subdomain; give it here, as {key}_file (a path) \
             or as {variable}"
        );
        section.missing(key, message);
    }
    text(section, found)
}

fn text(section: &Section<'_>, found: Found<Setting>) -> SecretString {
    match found {
        Found::Given(setting) => setting.header_text(section.reader),
        Found::Faulty | Found::Missing => SecretString::default(),
    }
}

fn subdomain(section: &Section<'_>) -> String {
    let expected =
        "the first part of the account's address in quotes, such as \"acme\" of https://acme.pagerduty.com";
    let Some(value) = section.get("subdomain") else {
        section.missing("subdomain", format!("is missing; an OAuth app needs it: {expected}"));
        return String::new();
    };
    let text = value.text(expected).unwrap_or_default();
    if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        value.mistake(format!("must be lower-case letters, digits and hyphens alone; write {expected}"));
    }
    text.to_owned()
}

/// The secrets, and the file that they come from if they come from one.
fn webhook_secrets(section: &Section<'_>) -> (Vec<SecretString>, Option<PathBuf>) {
    match section.secrets(SECRETS, "PAGERDUTY_WEBHOOK_SECRETS") {
        Some(secrets) => (secrets.into_iter().map(|secret| secret.text).collect(), None),
        None => in_file(section),
    }
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
        section.sound_secret(&value.place, secret.expose_secret());
    }
    (secrets, Some(file))
}
