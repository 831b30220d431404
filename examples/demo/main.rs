//! A shift is swapped, an incident escalates, signed webhooks arrive, and access follows; on one machine, without any
//! account.
//!
//! Stand-ins for PagerDuty and strongDM run beside the real service. `--once` tells the story and exits: 0 if the right
//! people have access at the end, 1 if not.

mod screen;
mod stage;
mod story;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use oncall_grants::{
    config,
    serve::serve_until,
    telemetry::{self, LogFormat, LogLevel},
};
use tokio::sync::oneshot;

use self::{screen::say, stage::Stage};

/// Shows how a swapped shift and an incident become access, with stand-ins for PagerDuty and strongDM.
#[derive(Parser)]
struct Args {
    /// Tells the story and exits: 0 if the right people have access at the end, 1 if not
    #[arg(long)]
    once: bool,
    /// Shows the log of the service
    #[arg(long)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.verbose {
        telemetry::start(LogFormat::Text, LogLevel::Info);
    }
    match demo(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("\n  FAILED: {error:#}"));
            if !args.verbose {
                say("  Run it with --verbose to see the log of the service.");
            }
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: &Args) -> Result<()> {
    let stage = Stage::set().await?;
    let (ready, listening) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let config = config::load(Some(&stage.config_file()), &|_| None)?;
    let mut service = tokio::spawn(async move {
        let stop = async {
            // A sender that is dropped means the same: the story is over.
            drop(stopped.await);
            Ok("the demo")
        };
        let listening = |address| {
            // Nobody listens any more if the story broke off.
            let _ = ready.send(address);
        };
        serve_until(&config, listening, stop).await
    });
    let told = tokio::select! {
        told = story::tell(&stage, listening, args.once) => told,
        ended = &mut service => return ended?.and_then(|()| bail!("the service ended by itself")),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
    };
    drop(stop);
    service.await??;
    told
}
