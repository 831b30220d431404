//! `oncall-grants explain`: why somebody has, or lacks, access.

use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::{ExitStatus, Format, print, print_to_stderr};
use crate::{
    clock,
    config::Config,
    metrics::Metrics,
    model::{Email, instant::instant},
    reconcile::explain::{Access, Question, explain_now},
    wiring,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Whose access; the address in PagerDuty or in strongDM
    #[arg(long)]
    email: String,
    /// Access to what, by name or ID; everything that the rules give if left out
    #[arg(long)]
    resource: Option<String>,
    /// When: a time such as 2026-11-22T14:00:00Z, or a distance such as +2h or -30m
    #[arg(long, default_value = "now", allow_hyphen_values = true)]
    at: String,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn explain(config: &Config, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { email, resource, at, format } = options;
    let email: Email = match email.trim().parse() {
        Ok(email) => email,
        Err(error) => {
            print_to_stderr(&format!("--email {email}: {error}"));
            return Ok(ExitStatus::Misused);
        }
    };
    let at = match instant(&at, clock::now()) {
        Ok(at) => at,
        Err(error) => {
            print_to_stderr(&format!("--at: {error}"));
            return Ok(ExitStatus::Misused);
        }
    };
    let store = wiring::open_store_beside(&config.store.address).await?;
    let clients = wiring::clients(config, &Arc::new(Metrics::new()))?;
    let observer = wiring::observer(config, clients);
    let explanation = explain_now(&observer, &store, &Question { email, resource, at }).await?;
    match format {
        Format::Text => print(&explanation.to_string()),
        Format::Json => {
            print(&serde_json::to_string_pretty(&explanation).context("cannot print the answer")?);
        }
    }
    store.close().await;
    let is_unknown = explanation.resources.iter().any(|answer| answer.access == Access::Unknown);
    Ok(if is_unknown { ExitStatus::Incomplete } else { ExitStatus::Done })
}
