//! What is wrong with our webhook subscription, by what PagerDuty lists and by the events in the store.

use super::{store::OpenStore, wrong_secret};
use crate::{
    cli::{wait_for, webhook_events},
    config::Config,
    model::Finding,
    pagerduty::Client,
    subscription::{SecretStatus, diagnose, our_url, wanted_events, without_events},
};

/// Asks `pagerduty`, unless it is known not to answer.
pub(super) async fn findings(
    config: &Config,
    pagerduty: Option<&Client>,
    opened: Option<&OpenStore>,
) -> Vec<Finding> {
    let events = match opened {
        Some(OpenStore { store, .. }) => webhook_events::newest(store).await,
        None => None,
    };
    let wrong = opened.and_then(|opened| opened.snapshot.wrong_secret.as_ref());
    let mut wrong = wrong
        .zip(events.as_deref())
        .and_then(|(wrong, events)| (!wrong.is_mended_by(events)).then_some(wrong));
    let mut findings = Vec::new();
    if let (Some(url), Some(client)) = (our_url(config), pagerduty) {
        let listed = wait_for("PagerDuty", client.subscriptions()).await;
        let wanted = wanted_events(&config.rules);
        findings.extend(diagnose(&listed, &url, &wanted, secret_status(config)));
        if let (Ok(listed), Some(events)) = (&listed, &events) {
            let mut seen = webhook_events::subscriptions(events);
            // What is known of it is worse than that no event came.
            seen.extend(wrong.map(|wrong| wrong.subscription.clone()));
            findings.extend(without_events(listed, &url, &seen));
            wrong = wrong.filter(|wrong| wrong_secret::still_delivers(wrong, listed, &url));
        }
    }
    findings.extend(wrong.map(wrong_secret::finding));
    findings
}

fn secret_status(config: &Config) -> SecretStatus {
    if config.pagerduty.webhook_secrets.is_empty() { SecretStatus::Missing } else { SecretStatus::Configured }
}
