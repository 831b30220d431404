//! `[pagerduty]`: how this service reaches PagerDuty, and how it knows PagerDuty's webhooks.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{
    PagerDuty,
    reader::Section,
    secret::{Found, Setting},
};

const SECRETS: &str = "webhook_secrets";

pub(super) fn read(section: &Section<'_>) -> PagerDuty {
    let token = section.required("token", "PAGERDUTY_TOKEN");
    let webhook_secrets = webhook_secrets(section);
    // What is wrong with the file was reported if nothing came of it.
    let webhook_secrets_file = if webhook_secrets.is_empty() { None } else { webhook_secrets_file(section) };
    PagerDuty {
        api_url: section.upstream("https://api.pagerduty.com"),
        token: token.map(|token| token.header_text(section.reader)).unwrap_or_default(),
        webhook_secrets,
        webhook_secrets_file,
    }
}

fn webhook_secrets(section: &Section<'_>) -> Vec<SecretString> {
    section.given_twice(SECRETS);
    match section.environment(SECRETS, "PAGERDUTY_WEBHOOK_SECRETS") {
        Found::Given(Setting { place, text }) => {
            let secrets: Vec<_> = text.expose_secret().split(',').map(str::trim).collect();
            if secrets.contains(&"") {
                section.reader.report(&place, "holds an empty secret; separate secrets by single commas");
            }
            secrets.into_iter().map(SecretString::from).collect()
        }
        Found::Faulty => Vec::new(),
        Found::Missing => match section.get(SECRETS) {
            Some(value) => {
                let items = value.list("a secret in quotes").into_iter();
                items.filter_map(|item| item.text("a secret in quotes")).map(SecretString::from).collect()
            }
            None => one_a_line(section.own_file(SECRETS)),
        },
    }
}

fn one_a_line(file: Found<Setting>) -> Vec<SecretString> {
    let Found::Given(Setting { place: _, text }) = file else { return Vec::new() };
    secrets_in(text.expose_secret())
}

/// The secrets in the text of a file, one a line.
pub fn secrets_in(text: &str) -> Vec<SecretString> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(SecretString::from).collect()
}

/// The file that the secrets come from; none if they come from elsewhere.
fn webhook_secrets_file(section: &Section<'_>) -> Option<PathBuf> {
    let elsewhere =
        (section.reader.env)("PAGERDUTY_WEBHOOK_SECRETS").is_some() || section.get(SECRETS).is_some();
    let value = section.get("webhook_secrets_file").filter(|_| !elsewhere)?;
    value.text("the path of a file").map(|path| section.reader.beside(path))
}
