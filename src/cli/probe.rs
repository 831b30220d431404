//! `oncall-grants probe`: what strongDM does on this account where its documentation is silent.

use std::{io, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{ExitStatus, Format, print, print_to_stderr};
use crate::{
    config::Config,
    metrics::Metrics,
    model::Email,
    reconcile::probe::{InForce, Prober, Question},
    store::OpenError,
    wiring,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// A strongDM user, best one made for tests, without a grant for the resource
    #[arg(long)]
    email: String,
    /// A resource by its exact name
    #[arg(long)]
    resource: String,
    /// Does it; without this it only says what it would do
    #[arg(long)]
    yes: bool,
    /// Asks also what takes a grant in force: the user has access for 60 seconds
    #[arg(long)]
    in_force: bool,
    /// How the answer is printed; json has no names, IDs or secrets in it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn probe(config: &Config, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { email, resource, yes, in_force, format } = options;
    let email: Email = match email.trim().parse() {
        Ok(email) => email,
        Err(error) => {
            print_to_stderr(&format!("--email {email}: {error}"));
            return Ok(ExitStatus::Misused);
        }
    };
    let in_force = if in_force { InForce::ForAMinute } else { InForce::Never };
    let question = Question { email, resource, in_force };
    if !yes {
        print_to_stderr(&what_it_would_do(&question));
        return Ok(ExitStatus::Misused);
    }
    let store = match wiring::open_store(&config.store.address).await {
        Err(error) if matches!(error.downcast_ref(), Some(OpenError::InUse(_))) => bail!(
            "{error:#}; what a probe makes must be recorded there before it is made, so stop the service for the minute \
             that this takes, or run it before the first start; with PostgreSQL it may run beside the service"
        ),
        opened => opened?,
    };
    let metrics = Arc::new(Metrics::new());
    let strongdm = wiring::clients(config, &metrics)?.strongdm;
    let prober = Prober { store: store.clone(), strongdm, metrics };
    let outcome = tokio::select! {
        found = prober.probe(&question, print_to_stderr) => Some(found),
        stopped = stop_signal() => {
            stopped?;
            None
        }
    };
    let Some(found) = outcome else {
        print_to_stderr("stopping: what was made is removed");
        prober.clean_up().await?;
        store.close().await;
        return Ok(ExitStatus::Incomplete);
    };
    store.close().await;
    let found = found?;
    print(&match format {
        Format::Text => found.to_string(),
        Format::Json => serde_json::to_string_pretty(&found).context("cannot print the answer")?,
    });
    Ok(ExitStatus::Done)
}

fn what_it_would_do(Question { email, resource, in_force }: &Question) -> String {
    let in_force = match in_force {
        InForce::ForAMinute => {
            format!(
                "; then, because of --in-force, one that gives {email} access to {resource} for 60 seconds"
            )
        }
        InForce::Never => String::new(),
    };
    format!(
        "would make and remove up to eight grants for {email} on {resource}, none of which gives access within 300 days\
         {in_force}, and read strongDM's list of grants; nothing is done without --yes"
    )
}

async fn stop_signal() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
