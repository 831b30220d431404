//! `oncall-grants check`: finds what will break before it breaks, and says how to mend it.

mod clocks;
mod configuration;
mod domain_aliases;
mod guide;
mod incidents;
mod notices;
mod pagerduty_rights;
mod report;
mod scopes;
mod sources;
mod store;
mod strongdm_rights;
mod subscription;
mod trials;
mod wrong_secret;

use std::sync::Arc;

use clap::Args;

use self::{
    report::{Mode, Report},
    store::OpenStore,
    trials::Trials,
};
use super::{ExitStatus, Format, print, wait_for};
use crate::{
    config::Config,
    metrics::Metrics,
    model::{Finding, FindingKind, Severity, Unknown},
    reconcile::{
        Observer, Survey,
        report::preflight::{ahead, preflight},
    },
    wiring::{self, Clients},
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

pub(super) async fn check(config: &Config, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { offline, format } = options;
    let mode = if offline { Mode::Offline } else { Mode::Online };
    let mut report = Report::new(config, mode);
    report.findings.extend(configuration::findings(config));
    report.findings.extend(incidents::who_can_cause(&config.rules));
    match mode {
        Mode::Offline => report.findings.extend(notices::configured(&config.notices)),
        Mode::Online => check_store_and_upstreams(config, &mut report).await?,
    }
    report.findings.sort_by_key(|finding| finding.severity);
    match format {
        Format::Text => print(&report.text()),
        Format::Json => print(&serde_json::to_string_pretty(&report.json())?),
    }
    let problem = report.findings.iter().any(|finding| finding.severity == Severity::Problem);
    Ok(if problem { ExitStatus::Incomplete } else { ExitStatus::Done })
}

async fn check_store_and_upstreams(config: &Config, report: &mut Report<'_>) -> anyhow::Result<()> {
    let opened = match wait_for("the store", store::open(config)).await {
        Ok(opened) => {
            report.findings.extend(store::unfinished_work(&opened.snapshot));
            report.passes_run = opened.snapshot.full_at.is_some();
            report.findings.extend(store::learned_by_probe(&opened.store).await);
            report.findings.extend(notices::findings(&opened.store, &config.notices).await);
            Some(opened)
        }
        Err(finding) => {
            report.findings.push(finding);
            report.findings.extend(notices::configured(&config.notices));
            None
        }
    };
    let checked = check_upstreams(config, report, opened.as_ref()).await;
    if let Some(OpenStore { store, .. }) = opened {
        store.close().await;
    }
    checked
}

async fn check_upstreams(
    config: &Config,
    report: &mut Report<'_>,
    opened: Option<&OpenStore>,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new());
    let clients = wiring::clients(config, &metrics)?;
    let observer = wiring::observer(config, clients.clone());
    let clients = Clients { pagerduty: observer.pagerduty().clone(), ..clients };
    let mut tried = try_out(config, &clients).await;
    let of_scopes = scopes::findings(config, &clients.pagerduty).await;
    scopes::without_repetition(&mut tried.findings, &of_scopes);
    report.findings.extend(of_scopes);
    let pagerduty = tried.pagerduty_answers.then_some(&clients.pagerduty);
    let of_subscription = subscription::findings(config, pagerduty, opened).await;
    // It says the same and more, and its remedy is another one.
    if of_subscription.iter().any(|finding| finding.kind == FindingKind::SubscriptionWithoutSecret) {
        report.findings.retain(|finding| finding.kind != FindingKind::NoWebhookSecret);
    }
    report.findings.extend(clocks::findings(&metrics));
    if tried.pagerduty_answers {
        survey(&observer, &tried, report).await;
        let of_aliases = domain_aliases::findings(config, &clients.pagerduty, &report.findings);
        report.findings.extend(wait_for("PagerDuty", of_aliases).await);
    }
    report.findings.extend(tried.findings);
    report.findings.extend(of_subscription);
    report.names = match opened {
        Some(OpenStore { store, .. }) => observer.names().refreshed(store).await,
        None => observer.names().book(),
    };
    Ok(())
}

/// Tries the rights of both keys, and the sources of the rules.
async fn try_out(config: &Config, clients: &Clients) -> Trials {
    let Clients { pagerduty, strongdm } = clients;
    let mut results = Trials::default();
    wait_for("strongDM", strongdm_rights::try_out(config, strongdm, &mut results)).await;
    match wait_for("PagerDuty", pagerduty_rights::try_out(config, pagerduty, &mut results)).await {
        Ok(()) => {
            results.pagerduty_answers = true;
            wait_for("PagerDuty", sources::try_out(config, pagerduty, &mut results)).await;
            wait_for("PagerDuty", incidents::try_out(config, pagerduty, &mut results)).await;
        }
        Err(finding) => results.findings.push(finding),
    }
    results
}

/// Observes and plans as a pass without a ledger would, and reports what that shows.
async fn survey(observer: &Observer, tried: &Trials, report: &mut Report<'_>) {
    let survey = wait_for("PagerDuty and strongDM", observer.survey()).await;
    report.findings.extend(unobserved(&survey, tried));
    let Survey { at, world, plan } = &survey;
    let (at, settings) = (*at, observer.settings());
    report.findings.extend(preflight(at, settings, world, plan, &ahead(at, settings, world)));
    report.record_access(plan);
}

/// What the survey could not see, unless a trial already said why.
fn unobserved(survey: &Survey, tried: &Trials) -> Vec<Finding> {
    let unknown = survey.plan.unknown.iter().filter(|unknown| !tried.explain(&unknown.about));
    let finding = |unknown: &Unknown| {
        Finding::problem(FindingKind::Unobserved, &unknown.about, &unknown.error)
            .mended_by("nothing is revoked meanwhile; ask again, and see what the message names")
    };
    unknown.map(finding).collect()
}
