//! `oncall-grants webhook`: manages the PagerDuty subscription that delivers to this service.

mod call;
mod create;
mod created;
mod delete;
mod enable;
mod finish_rotation;
mod list;
mod ping;
mod rotate;
mod running_service;
mod scopes;
mod secret_sink;
mod target;

use std::sync::Arc;

use clap::{Args, Subcommand};

use self::target::Target;
use super::ExitStatus;
use crate::{
    config::Config,
    metrics::Metrics,
    wiring::{self, scopes::Purpose},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a subscription, keeps its one-time secret, and pings
    #[command(
        after_help = "It is pinged if webhook_secrets_file is that file. Exit code: 0 it was made, 1 it was not, or the \
                      running service has not received the ping.\n\nExample: oncall-grants webhook create --url \
                      https://grants.example.com --secret-file /etc/oncall-grants/webhook-secrets"
    )]
    Create(create::Options),
    /// Makes a second subscription with a new secret, and removes the first when the new one was seen
    #[command(
        after_help = "Exit code: 0 the new one has replaced the old one, 1 the old one is still there, because the service \
                      has not received a signed event of the new one or could not be asked.\n\nExample: oncall-grants \
                      webhook rotate --secret-file /etc/oncall-grants/webhook-secrets"
    )]
    Rotate(rotate::Options),
    /// Lists the subscriptions of the account; * marks those that deliver to `server.public_url`
    #[command(after_help = "Example: oncall-grants webhook list --format json")]
    List(list::Options),
    /// Asks PagerDuty for a test event, and waits for it if the service runs
    #[command(
        after_help = "Exit code: 0 the running service has received it, 1 it has not, or could not be asked.\n\nExample: \
                      oncall-grants webhook ping"
    )]
    Ping(Target),
    /// Switches on again what PagerDuty switched off, and adds the event types that the rules need and it lacks
    #[command(
        after_help = "Says which event types it adds; URL, filter, secret and all else stay as they are. Exit code: 0 it is \
                      on and delivers what the rules need, 1 it does not.\n\nExample: oncall-grants webhook enable PWSUB01"
    )]
    Enable(Target),
    /// Removes a subscription; only with --force one that does not deliver to `server.public_url`
    #[command(after_help = "Example: oncall-grants webhook delete PWSUB01")]
    Delete(delete::Options),
}

pub(super) async fn webhook(config: &Config, options: Options) -> anyhow::Result<ExitStatus> {
    let client = wiring::pagerduty(config, Purpose::Webhooks, &Arc::new(Metrics::new()))?;
    scopes::require(config, &client, &options.command).await?;
    match options.command {
        Command::Create(options) => create::create(config, &client, options).await,
        Command::Rotate(options) => rotate::rotate(config, &client, options).await,
        Command::List(options) => list::list(config, &client, options).await,
        Command::Ping(target) => ping::ping(config, &client, target).await,
        Command::Enable(target) => enable::enable(config, &client, target).await,
        Command::Delete(options) => delete::delete(config, &client, options).await,
    }
}
