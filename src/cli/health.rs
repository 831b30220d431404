//! `oncall-grants healthcheck`: for containers without a shell.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use url::Url;

use super::Ending;
use crate::{pagerduty, tls};

/// Longer than a healthy process needs, shorter than an orchestrator waits.
const WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the service listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: Url,
}

pub(super) async fn healthcheck(options: &Options) -> anyhow::Result<Ending> {
    let url = options.url.join("/healthz").context("the URL takes no path")?;
    let http = pagerduty::http_client(tls::client_config()).context("cannot make an HTTP client")?;
    let answer = http.get(url).timeout(WITHIN).send().await.context("the service does not answer")?;
    ensure!(answer.status().is_success(), "the service answered {}", answer.status());
    Ok(Ending::Done)
}
