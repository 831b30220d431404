//! `oncall-grants check`: finds what will break before it breaks, and says how to mend it.

mod probe;
mod report;

use std::{collections::BTreeSet, sync::Arc};

use clap::Args;

use self::{probe::Probed, report::Report};
use super::{Ending, Format, print};
use crate::{
    assemble,
    config::Config,
    metrics::Metrics,
    reconcile::{
        Survey,
        finding::{Finding, Severity},
        plan::Unknown,
        preflight::preflight,
    },
    store::sqlite::Sqlite,
    subscription,
};

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
        Format::Text => print(&report.text(report::colours())),
        Format::Json => print(&serde_json::to_string_pretty(&report.json())?),
    }
    let problem = report.findings.iter().any(|finding| finding.severity == Severity::Problem);
    Ok(if problem { Ending::Incomplete } else { Ending::Done })
}

/// What the configuration alone tells.
fn configuration(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.pagerduty.webhook_secrets.is_empty() {
        let message =
            "none is configured: changes are found by the timer only, and webhooks are answered 503";
        findings.push(Finding::note("no_webhook_secret", "webhook secret", message).mended_by(
            "make one with oncall-grants webhook create, and give it as pagerduty.webhook_secrets_file",
        ));
    }
    if config.server.public_url.is_none() {
        let message = "is not configured, so the webhook subscription is neither checked nor watched";
        findings.push(
            Finding::note("no_public_url", "server.public_url", message)
                .mended_by("set it to where PagerDuty reaches this service"),
        );
    }
    findings
}

async fn ask(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new());
    let clients = assemble::clients(config, &metrics)?;
    let mut probed = probe::upstreams(config, &clients).await;
    if let Some(url) = subscription::our_url(config)
        && probed.pagerduty_answers
    {
        let secrets = !config.pagerduty.webhook_secrets.is_empty();
        let listed = clients.pagerduty.subscriptions().await;
        probed.findings.extend(subscription::judge(&listed, &url, secrets));
        if let (Ok(listed), Some(heard)) = (&listed, heard_of(config).await) {
            probed.findings.extend(subscription::unheard(listed, &url, &heard));
        }
    }
    report.findings.extend(probe::clocks(&metrics));
    if probed.pagerduty_answers {
        // An empty store: what matters here is what the rules mean, not what was done before.
        let store = Arc::new(Sqlite::in_memory().await?);
        let reconciler = assemble::reconciler_with(config, store, metrics, clients).await?;
        let survey = reconciler.survey().await?;
        report.findings.extend(unobserved(&survey, &probed));
        let Survey { at, world, plan } = &survey;
        report.findings.extend(preflight(*at, reconciler.settings(), world, plan));
        report.take_access(plan);
    }
    report.findings.extend(probed.findings);
    report.asked = true;
    Ok(())
}

/// The subscriptions of which signed events are in the store; none if the store cannot be looked at.
async fn heard_of(config: &Config) -> Option<BTreeSet<String>> {
    /// A busy service has as many deliveries in minutes; a ping is the answer then.
    const LATELY: u32 = 500;
    let store = assemble::store_beside(config).await.ok()?;
    let page = store.delivery_page(LATELY, None).await.ok()?;
    store.close().await;
    Some(page.items.into_iter().filter_map(|delivery| delivery.subscription).collect())
}

/// What the survey could not see, unless a probe already said why.
fn unobserved(survey: &Survey, probed: &Probed) -> Vec<Finding> {
    let unknown = survey.plan.unknown.iter().filter(|unknown| !probed.explains(&unknown.about));
    let finding = |unknown: &Unknown| {
        Finding::problem("unobserved", probe::name(&unknown.about), &unknown.error)
            .mended_by("nothing is revoked meanwhile; ask again, and see what the message names")
    };
    unknown.map(finding).collect()
}
