//! `oncall-grants check`: finds what will break before it breaks, and says how to mend it.

mod probe;
mod report;
mod store;
mod wrong_secret;

use std::{collections::BTreeSet, sync::Arc};

use clap::Args;
use secrecy::ExposeSecret;

use self::{probe::Probed, report::Report, store::Beside};
use super::{Ending, Format, patiently, print};
use crate::{
    config::{Config, PagerDuty},
    metrics::Metrics,
    model::{Finding, FindingKind, Severity, Unknown, is_loopback},
    reconcile::{
        Survey,
        report::preflight::{ahead, preflight},
    },
    store::{DeliveryRow, SharedStore},
    subscription::{self, SecretStatus},
    wiring,
};

/// Nobody guesses 16 random characters over a network.
const SHORTEST_TOKEN: usize = 16;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Reads the configuration only and asks nobody
    #[arg(long)]
    offline: bool,
    /// How the findings are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn check(config: &Config, options: Options) -> anyhow::Result<Ending> {
    let Options { offline, format } = options;
    let mut report = Report::new(config);
    report.findings.extend(configuration(config));
    if !offline {
        ask(config, &mut report).await?;
    }
    report.findings.sort_by_key(|finding| finding.severity);
    match format {
        Format::Text => print(&report.text()),
        Format::Json => print(&serde_json::to_string_pretty(&report.json())?),
    }
    let problem = report.findings.iter().any(|finding| finding.severity == Severity::Problem);
    Ok(if problem { Ending::Incomplete } else { Ending::Done })
}

/// What the configuration alone tells.
fn configuration(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(webhook_secrets(&config.pagerduty));
    if config.server.admin_token.expose_secret().len() < SHORTEST_TOKEN {
        findings.push(
            Finding::warning(
                FindingKind::ShortAdminToken,
                "server.admin_token",
                "is so short that it can be guessed",
            )
            .mended_by("choose a long random text: head -c 32 /dev/urandom | base64"),
        );
    }
    match &config.server.public_url {
        None => {
            let message = "is not configured, so the webhook subscription is neither checked nor watched";
            findings.push(
                Finding::note(FindingKind::NoPublicUrl, "server.public_url", message)
                    .mended_by("set it to where PagerDuty reaches this service"),
            );
        }
        Some(url) if url.scheme() == "http" && !is_loopback(url) => {
            let message = "is plain http: everybody on the way can read what PagerDuty delivers";
            findings.push(
                Finding::warning(FindingKind::PublicUrlInTheClear, "server.public_url", message)
                    .mended_by("serve HTTPS (tls_cert and tls_key, or a proxy), and write https here"),
            );
        }
        Some(_) => {}
    }
    findings
}

fn webhook_secrets(pagerduty: &PagerDuty) -> Option<Finding> {
    let PagerDuty { webhook_secrets: secrets, webhook_secrets_file: file, .. } = pagerduty;
    let subject = "webhook secret";
    let mut texts: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    texts.sort_unstable();
    match file {
        _ if texts.windows(2).any(|pair| pair[0] == pair[1]) => Some(
            Finding::warning(FindingKind::WebhookSecretDoubled, subject, "is configured twice")
                .mended_by("keep it once; during a rotation the old and the new one differ"),
        ),
        _ if !secrets.is_empty() => None,
        // The path is not shown: it may be a secret in the wrong place.
        Some(_) => {
            let message = "the file that pagerduty.webhook_secrets_file names is not there yet or empty, so webhooks are \
                           answered 503";
            Some(Finding::warning(FindingKind::NoWebhookSecret, subject, message).mended_by(
                "make one with oncall-grants webhook create --secret-file and that file; a running service takes it in",
            ))
        }
        None => {
            let message =
                "none is configured: changes are found by the timer only, and webhooks are answered 503";
            Some(Finding::note(FindingKind::NoWebhookSecret, subject, message).mended_by(
                "make one with oncall-grants webhook create, and give it as pagerduty.webhook_secrets_file",
            ))
        }
    }
}

async fn ask(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    let beside = patiently("the store", store::look(config, &mut report.findings)).await;
    let asked = ask_upstreams(config, report, beside.as_ref()).await;
    if let Some(Beside { store, .. }) = beside {
        store.close().await;
    }
    asked
}

async fn ask_upstreams(config: &Config, report: &mut Report, beside: Option<&Beside>) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new());
    let clients = wiring::clients(config, &metrics)?;
    let mut probed = probe::upstreams(config, &clients).await;
    let came = match beside {
        Some(Beside { store, .. }) => lately(store).await,
        None => None,
    };
    let wrong = beside.zip(came.as_deref()).and_then(|(beside, came)| wrong_secret::standing(beside, came));
    let mut is_gone = false;
    if let Some(url) = subscription::our_url(config)
        && probed.pagerduty_answers
    {
        let secret = if config.pagerduty.webhook_secrets.is_empty() {
            SecretStatus::Missing
        } else {
            SecretStatus::Configured
        };
        let listed = patiently("PagerDuty", clients.pagerduty.subscriptions()).await;
        let diagnosed = subscription::diagnose(&listed, &url, secret);
        // It says the same and more, and its remedy is another one.
        if diagnosed.iter().any(|finding| finding.kind == FindingKind::SubscriptionWithoutSecret) {
            report.findings.retain(|finding| finding.kind != FindingKind::NoWebhookSecret);
        }
        probed.findings.extend(diagnosed);
        if let (Ok(listed), Some(came)) = (&listed, came) {
            is_gone = wrong.is_some_and(|wrong| wrong_secret::is_gone(wrong, listed, &url));
            let mut heard = subscriptions(came);
            // What is known of it is worse than that nothing was heard.
            heard.extend(wrong.map(|wrong| wrong.subscription.clone()));
            probed.findings.extend(subscription::without_events(listed, &url, &heard));
        }
    }
    probed.findings.extend(wrong.filter(|_| !is_gone).map(wrong_secret::finding));
    report.findings.extend(probe::clocks(&metrics));
    if probed.pagerduty_answers {
        let observer = wiring::observer(config, clients);
        let survey = patiently("PagerDuty and strongDM", observer.survey()).await;
        report.findings.extend(unobserved(&survey, &probed));
        let Survey { at, world, plan } = &survey;
        let (at, settings) = (*at, observer.settings());
        report.findings.extend(preflight(at, settings, world, plan, &ahead(at, settings, world)));
        report.take_access(plan);
    }
    report.findings.extend(probed.findings);
    report.asked = true;
    Ok(())
}

/// The newest signed events in the store; none if it does not tell.
async fn lately(store: &SharedStore) -> Option<Vec<DeliveryRow>> {
    /// A busy service has as many deliveries in minutes; a ping is the answer then.
    const LATELY: u32 = 500;
    Some(store.delivery_page(LATELY, None).await.ok()?.items)
}

fn subscriptions(events: Vec<DeliveryRow>) -> BTreeSet<String> {
    events.into_iter().filter_map(|event| event.subscription).collect()
}

/// The subscriptions of which signed events are in the store; none if it does not tell.
pub(super) async fn heard_of(store: &SharedStore) -> Option<BTreeSet<String>> {
    lately(store).await.map(subscriptions)
}

/// What the survey could not see, unless a probe already said why.
fn unobserved(survey: &Survey, probed: &Probed) -> Vec<Finding> {
    let unknown = survey.plan.unknown.iter().filter(|unknown| !probed.explains(&unknown.about));
    let finding = |unknown: &Unknown| {
        Finding::problem(FindingKind::Unobserved, &unknown.about, &unknown.error)
            .mended_by("nothing is revoked meanwhile; ask again, and see what the message names")
    };
    unknown.map(finding).collect()
}
