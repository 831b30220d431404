//! `oncall-grants notices`: tries the endpoints that are told of changes.

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{ExitStatus, print, print_to_stderr, wait_for};
use crate::{clock, config::Config, metrics::Metrics, notices::sample, wiring};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends a sample to each endpoint, or to one
    #[command(after_help = "Example: oncall-grants notices test security")]
    Test {
        /// The name of the endpoint
        name: Option<String>,
    },
}

pub(super) async fn notices(config: &Config, options: Options) -> anyhow::Result<ExitStatus> {
    let Command::Test { name } = options.command;
    let mut senders = wiring::notice_senders(config, &Arc::new(Metrics::new()))?;
    if let Some(name) = &name {
        senders.retain(|sender| sender.endpoint.name == *name);
    }
    if senders.is_empty() {
        let known: Vec<String> = config.notices.iter().map(|one| format!("{:?}", one.name)).collect();
        print_to_stderr(&match (name, known.is_empty()) {
            (Some(name), false) => format!("no endpoint is named {name:?}; there are {}", known.join(", ")),
            _ => "no endpoint is configured; write a [[notices]] table".to_owned(),
        });
        return Ok(ExitStatus::Misused);
    }
    let mut status = ExitStatus::Done;
    for sender in senders {
        let name = &sender.endpoint.name;
        match wait_for(name, sender.send("test", &sample(clock::now()))).await {
            Ok(()) => print(&format!("{name}: took the sample")),
            Err(failure) => {
                print(&format!("{name}: did not take the sample: {failure}"));
                status = ExitStatus::Incomplete;
            }
        }
    }
    Ok(status)
}
