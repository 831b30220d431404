//! The command line: what it takes, and the exit codes. Results go to standard output, logs to standard error.

mod audit;
mod check;
mod explain;
mod healthcheck;
mod import;
mod local;
mod manual;
mod notices;
mod output;
mod probe;
mod simulate;
mod sync;
mod webhook;
mod webhook_events;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

use self::output::{counted, print, print_exact, print_part, print_to_stderr, wait_for};
use crate::{
    config::{self, Config},
    serve,
    store::OpenError,
    telemetry::{self, LogFormat, LogLevel},
};

/// Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Example: oncall-grants check, then oncall-grants sync --dry-run, then oncall-grants serve"
)]
pub struct Cli {
    /// The configuration file [default: oncall-grants.toml, then /etc/oncall-grants/oncall-grants.toml]
    #[arg(long, global = true, value_name = "FILE", env = config::FILE_VARIABLE)]
    config: Option<PathBuf>,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    /// How much is logged
    #[arg(long, global = true, value_enum, default_value_t)]
    log_level: LogLevel,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service until SIGTERM or SIGINT
    #[command(after_help = "Example: oncall-grants serve --config /etc/oncall-grants/oncall-grants.toml")]
    Serve,
    /// Runs one pass and exits: for cron and for trying rules
    #[command(after_help = "Example: oncall-grants sync --dry-run --schedule PI7DH85")]
    Sync(sync::Options),
    /// Reads the configuration, then asks both APIs whether everything in it works
    #[command(after_help = "Example: oncall-grants check --offline")]
    Check(check::Options),
    /// Prints what was decided and done, oldest first, or proves that nobody changed it
    #[command(after_help = "Example: oncall-grants audit --since 24h --format jsonl > audit.jsonl")]
    Audit(audit::Options),
    /// Takes over the grants that another store knows; no service may run on either, which is for you to see to
    #[command(
        after_help = "Example: oncall-grants import --from sqlite:/var/lib/oncall-grants/oncall-grants.db"
    )]
    Import(import::Options),
    /// Tells why somebody has, or lacks, access
    #[command(
        after_help = "Example: oncall-grants explain --email ana@example.com --resource prod-postgres --at +2h"
    )]
    Explain(explain::Options),
    /// Tells what the rules would do over a stretch of time, from an empty ledger; writes nothing
    #[command(
        after_help = "Example: oncall-grants simulate --until +30d --rule payments --format html > month.html"
    )]
    Simulate(simulate::Options),
    /// Learns on the real account what strongDM does not document, and removes what it made for that
    #[command(
        after_help = "Example: oncall-grants probe --email test@example.com --resource staging-mysql --yes"
    )]
    Probe(probe::Options),
    /// Manages the subscription that makes PagerDuty send webhooks
    #[command(
        after_help = "Example: oncall-grants webhook create --secret-file /etc/oncall-grants/webhook-secrets"
    )]
    Webhook(webhook::Options),
    /// Tries the endpoints that are told of changes of access
    #[command(after_help = "Example: oncall-grants notices test")]
    Notices(notices::Options),
    /// Asks a running service on this machine whether it lives; for container health checks
    #[command(after_help = "Example: oncall-grants healthcheck --url http://127.0.0.1:8080")]
    Healthcheck(healthcheck::Options),
    /// Prints what makes a shell complete these commands and options
    #[command(after_help = manual::COMPLETIONS_EXAMPLE)]
    Completions(manual::Options),
    /// Prints the man page, or writes one page for each command
    #[command(after_help = "Example: oncall-grants man --all /usr/local/share/man/man1")]
    Man(manual::ManOptions),
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExitStatus {
    /// Everything was done.
    Done,
    /// The work failed or is incomplete.
    Incomplete,
    /// Wrong usage or configuration, or a store of a later version.
    Misused,
}

impl ExitStatus {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Incomplete => 1,
            Self::Misused => 2,
        }
    }
}

/// Runs the command that the arguments name.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { config, log_format, log_level, command } = cli;
    telemetry::start(log_format, log_level);
    // Boxed, since the future of a whole pass is large.
    let status = Box::pin(run_command(config, command)).await.unwrap_or_else(|error| {
        print_to_stderr(&format!("{error:#}"));
        // To start this version once more does not mend it.
        let is_newer = matches!(error.downcast_ref(), Some(OpenError::Newer { .. }));
        if is_newer { ExitStatus::Misused } else { ExitStatus::Incomplete }
    });
    let Some(error) = output::write_error() else { return ExitCode::from(status.code()) };
    print_to_stderr(&format!("cannot write the result to standard output: {error}"));
    ExitCode::from(status.code().max(ExitStatus::Incomplete.code()))
}

async fn run_command(file: Option<PathBuf>, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Healthcheck(options) => healthcheck::healthcheck(file.as_deref(), &options).await,
        Command::Completions(options) => manual::completions(&options),
        Command::Man(options) => manual::man(&options),
        Command::Serve => {
            with_config(file, async |config| serve::serve(&config).await.map(|()| ExitStatus::Done)).await
        }
        Command::Sync(options) => with_config(file, async |config| sync::sync(&config, options).await).await,
        Command::Audit(options) => {
            with_records(file, async |records| audit::audit(&records, options).await).await
        }
        Command::Import(options) => {
            with_records(file, async |records| import::import(&records.store, &options).await).await
        }
        Command::Check(options) => {
            with_config(file, async |config| Box::pin(check::check(&config, options)).await).await
        }
        Command::Explain(options) => {
            with_config(file, async |config| explain::explain(&config, options).await).await
        }
        Command::Simulate(options) => {
            with_config(file, async |config| Box::pin(simulate::simulate(&config, options)).await).await
        }
        Command::Notices(options) => {
            with_config(file, async |config| notices::notices(&config, options).await).await
        }
        Command::Probe(options) => {
            with_config(file, async |config| probe::probe(&config, options).await).await
        }
        Command::Webhook(options) => {
            with_config(file, async |config| webhook::webhook(&config, options).await).await
        }
    }
}

async fn with_config(
    file: Option<PathBuf>,
    command: impl AsyncFnOnce(Config) -> anyhow::Result<ExitStatus>,
) -> anyhow::Result<ExitStatus> {
    run_if_valid(config::load(file.as_deref(), &|name| std::env::var(name).ok()), command).await
}

/// For commands that must work where the service's secrets are not, as beside a stopped unit.
async fn with_records(
    file: Option<PathBuf>,
    command: impl AsyncFnOnce(config::Records) -> anyhow::Result<ExitStatus>,
) -> anyhow::Result<ExitStatus> {
    run_if_valid(config::load_store(file.as_deref(), &|name| std::env::var(name).ok()), command).await
}

async fn run_if_valid<T>(
    loaded: Result<T, config::Error>,
    command: impl AsyncFnOnce(T) -> anyhow::Result<ExitStatus>,
) -> anyhow::Result<ExitStatus> {
    match loaded {
        Ok(config) => command(config).await,
        Err(error) => {
            print_to_stderr(&config::guide(&error));
            Ok(ExitStatus::Misused)
        }
    }
}
