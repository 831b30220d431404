//! `[pagerduty]`: how this service reaches PagerDuty, and how it knows PagerDuty's webhooks.

use secrecy::{ExposeSecret, SecretString};

use super::{
    PagerDuty,
    reader::Section,
    secret::{Found, Setting},
};

const SECRETS: &str = "webhook_secrets";

pub(super) fn read(section: &Section<'_>) -> PagerDuty {
    let token = section.required("token", "PAGERDUTY_TOKEN");
    PagerDuty {
        api_url: section.upstream("https://api.pagerduty.com"),
        token: token.map(|token| token.header_text(section.reader)).unwrap_or_default(),
        webhook_secrets: webhook_secrets(section),
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
    let lines = text.expose_secret().lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(SecretString::from).collect()
}
