//! A shift is swapped, an incident escalates, signed webhooks arrive, and access follows; on one machine, without any
//! account.
//!
//! Stand-ins for PagerDuty and strongDM run beside the real service. At a terminal, the reader says when each act begins.
//! `--once` tells the story and exits: 0 if the right people have access at the end, 1 if not.

mod pace;
mod screen;
mod stage;
mod story;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;
use oncall_grants::{
    config,
    serve::serve_until,
    telemetry::{self, LogFormat, LogLevel},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use self::{pace::Pace, screen::say, stage::Stage};

/// Shows how a swapped shift and an incident become access, with stand-ins for PagerDuty and strongDM.
#[derive(Parser)]
struct Args {
    /// Tells the story and exits: 0 if the right people have access at the end, 1 if not
    #[arg(long)]
    once: bool,
    /// Waits for Enter before each act, as at a terminal
    #[arg(long, conflicts_with = "once")]
    step: bool,
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
        told = play(args, &stage, listening) => told,
        ended = &mut service => return ended?.and_then(|()| bail!("the service ended by itself")),
        interrupted = interrupted() => interrupted.map(|()| say("\n  The demo ends, and leaves nothing behind.\n")),
    };
    drop(stop);
    service.await??;
    told
}

/// The story; unless it is told once, the stage then stays for the reader.
async fn play(args: &Args, stage: &Stage, listening: oneshot::Receiver<SocketAddr>) -> Result<()> {
    let mut pace = if args.once { Pace::AtOnce } else { Pace::new(args.step) };
    story::tell(stage, listening, &mut pace).await?;
    if args.once {
        return Ok(());
    }
    story::try_it(stage);
    std::future::pending().await
}

/// Ready when somebody wants the demo to end.
async fn interrupted() -> Result<()> {
    let mut asked_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
        _ = asked_to_end.recv() => Ok(()),
    }
}
