//! Compares the scopes that the OAuth app was granted with those that the configuration needs.

use std::collections::BTreeSet;

use crate::{
    cli::wait_for,
    config::{Config, Credentials},
    model::{Finding, FindingKind},
    pagerduty::{Client, Scope},
    wiring::scopes::{Purpose, needed},
};

/// Where scopes are granted.
const GRANT: &str = "grant it to the app in PagerDuty (Integrations, App Registration), and ask again";

/// What is missing. Nothing for an API key; that no token comes is told by whoever asks for something.
pub(super) async fn findings(config: &Config, client: &Client) -> Vec<Finding> {
    let Credentials::App(_) = &config.pagerduty.credentials else { return Vec::new() };
    let Ok(Some(granted)) = wait_for("PagerDuty", client.granted_scopes()).await else { return Vec::new() };
    let mut findings: Vec<Finding> = needed(config, Purpose::Access)
        .into_iter()
        .filter(|(scope, _)| !granted.contains(scope.name()))
        .map(|(scope, by)| {
            let message = format!("is not granted to the OAuth app; needed by {}", by.join(", "));
            Finding::problem(FindingKind::RightMissing, subject(scope.name()), message).mended_by(GRANT)
        })
        .collect();
    if !granted.iter().any(|scope| scope.starts_with("as_account-")) {
        let message = "the OAuth app is not granted as_account, so that it acts for no account";
        findings.push(
            Finding::problem(FindingKind::RightMissing, subject("as_account"), message)
                .mended_by("see pagerduty.subdomain, and pagerduty.api_url, which tells the service region"),
        );
    }
    if config.server.public_url.is_some() && !granted.contains(Scope::WriteSubscriptions.name()) {
        let message = "is not granted to the OAuth app: the webhook commands need it, and the service cannot switch the \
                       subscription on again after PagerDuty switched it off";
        let subject = subject(Scope::WriteSubscriptions.name());
        findings.push(Finding::note(FindingKind::RightMissing, subject, message).mended_by(GRANT));
    }
    findings
}

/// Of two findings about one right, the one that says which rules need it is enough.
pub(super) fn without_repetition(findings: &mut Vec<Finding>, told: &[Finding]) {
    let known: BTreeSet<&str> = told.iter().map(|finding| finding.subject.as_str()).collect();
    findings.retain(|finding| {
        finding.kind != FindingKind::RightMissing || !known.contains(finding.subject.as_str())
    });
}

fn subject(name: &str) -> String {
    format!("PagerDuty right {name}")
}
