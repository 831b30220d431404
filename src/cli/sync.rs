//! `oncall-grants sync`: one pass.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{ExitStatus, Format, healthcheck, print, print_to_stderr};
use crate::{
    config::Config,
    metrics::Metrics,
    model::ScheduleId,
    notices,
    reconcile::{PassRequest, Scope, report::Trigger},
    store::{Address, OpenError},
    wiring,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only says what it would do; may run beside the service
    #[arg(long)]
    dry_run: bool,
    /// Looks only at this schedule and at what shares a resource with it; may be given several times
    #[arg(long = "schedule", value_name = "ID")]
    schedules: Vec<String>,
    /// Confirms what the guard holds now, so that this pass revokes it
    #[arg(long)]
    allow_mass_revocation: bool,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn sync(config: &Config, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { dry_run, schedules, allow_mass_revocation, format } = options;
    let schedules: Vec<ScheduleId> = schedules.into_iter().map(ScheduleId::from).collect();
    let scope = match Scope::of_schedules(&config.rules, schedules) {
        Ok(scope) => scope,
        Err(id) => {
            print_to_stderr(&format!("no rule names the schedule {:?}", id.as_str()));
            return Ok(ExitStatus::Misused);
        }
    };
    let store = if dry_run {
        wiring::open_store_beside(&config.store.address).await?
    } else {
        refuse_second_store(config).await?;
        match wiring::open_store(&config.store.address).await {
            Err(error) if matches!(error.downcast_ref(), Some(OpenError::InUse(_))) => {
                bail!("{error:#}; ask that service for a pass with POST /sync, or look only with --dry-run")
            }
            other => other?,
        }
    };
    let metrics = Arc::new(Metrics::new());
    let senders = wiring::notice_senders(config, &metrics)?;
    if !dry_run {
        notices::begin(&store, &senders).await?;
    }
    let reconciler = wiring::reconciler(config, store.clone(), metrics).await?;
    let request = PassRequest { scope, dry_run, guard: allow_mass_revocation.into() };
    let report = reconciler.sync_here(Trigger::Command, request).await?;
    match format {
        Format::Text => print(&report.to_string()),
        Format::Json => print(&serde_json::to_string_pretty(&*report).context("cannot print the report")?),
    }
    if !dry_run {
        // What is not taken now is sent by the service, or after the next pass.
        notices::once(&store, &senders, &*reconciler.names().await).await?;
    }
    store.close().await;
    Ok(if report.is_complete() && report.held.is_empty() { ExitStatus::Done } else { ExitStatus::Incomplete })
}

/// Fails if this pass would begin a store beside that of a running service, which would not know the grants made here.
async fn refuse_second_store(config: &Config) -> anyhow::Result<()> {
    let Address::Sqlite { path } = &config.store.address else { return Ok(()) };
    ensure!(
        path.exists() || !healthcheck::service_answers(config).await,
        "a service answers on {}, but there is no store at {}, so it keeps another one; start this in its working \
         directory, or ask it for a pass with POST /sync; if it is another program, set server.listen to an address of \
         your own",
        config.server.listen,
        std::path::absolute(path).unwrap_or_else(|_| path.clone()).display(),
    );
    Ok(())
}
