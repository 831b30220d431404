//! `oncall-grants webhook`: manages the PagerDuty subscription that delivers to this service.

mod create;
mod finish;
mod manage;
mod rotate;
mod secret;
mod service;

use std::sync::Arc;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};

use super::{Ending, complain, patiently};
use crate::{
    config::Config,
    metrics::Metrics,
    pagerduty::{Client, Error, Subscription},
    subscription::{READ_RIGHT, delivering_to, our_url},
    wiring,
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
    List(manage::ListOptions),
    /// Asks PagerDuty for a test event, and waits for it if the service runs
    #[command(
        after_help = "Exit code: 0 the running service has received it, 1 it has not, or could not be asked.\n\nExample: \
                      oncall-grants webhook ping"
    )]
    Ping(Which),
    /// Switches on again what PagerDuty switched off
    #[command(
        after_help = "Exit code: 0 it is on, 1 it is not.\n\nExample: oncall-grants webhook enable PWSUB01"
    )]
    Enable(Which),
    /// Removes a subscription; only with --force one that does not deliver to `server.public_url`
    #[command(after_help = "Example: oncall-grants webhook delete PWSUB01")]
    Delete(manage::DeleteOptions),
}

#[derive(Debug, Args)]
struct Which {
    /// The subscription [default: the one that delivers to `server.public_url`]
    id: Option<String>,
}

pub(super) async fn webhook(config: &Config, options: Options) -> anyhow::Result<Ending> {
    let client = wiring::pagerduty(config, &Arc::new(Metrics::new()))?;
    match options.command {
        Command::Create(options) => create::create(config, &client, options).await,
        Command::Rotate(options) => rotate::rotate(config, &client, options).await,
        Command::List(options) => manage::list(config, &client, options).await,
        Command::Ping(which) => manage::ping(config, &client, which).await,
        Command::Enable(which) => manage::enable(config, &client, which).await,
        Command::Delete(options) => manage::delete(config, &client, options).await,
    }
}

/// The subscription that is meant: by its ID, or the only one that delivers to us.
async fn meant(config: &Config, client: &Client, id: Option<&str>) -> anyhow::Result<Option<Subscription>> {
    meant_or(config, client, id, "").await
}

/// The same; if several deliver to us, `otherwise` is said as well.
async fn meant_or(
    config: &Config,
    client: &Client,
    id: Option<&str>,
    otherwise: &str,
) -> anyhow::Result<Option<Subscription>> {
    if let Some(id) = id {
        return told("look at it", READ_RIGHT, client.subscription(id)).await.map(Some);
    }
    let Some(url) = our_url(config) else {
        complain(
            "which subscription? name its ID (see: oncall-grants webhook list), or set server.public_url",
        );
        return Ok(None);
    };
    let listed = told("list subscriptions", READ_RIGHT, client.subscriptions()).await?;
    match delivering_to(&listed, &url).as_slice() {
        [] => bail!("no subscription delivers to {url}; make one with oncall-grants webhook create"),
        [one] => Ok(Some((*one).clone())),
        several => {
            let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
            let ids = ids.join(", ");
            complain(&format!("{ids} deliver to {url}; name the ID of the one that is meant{otherwise}"));
            Ok(None)
        }
    }
}

/// Waits for PagerDuty's answer. An error tells what was to be done, and what to do about it; `takes` says what it takes
/// to be allowed to.
async fn told<T>(
    doing: &str,
    takes: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> anyhow::Result<T> {
    patiently("PagerDuty", call).await.map_err(|error| in_words(doing, takes, &error))
}

fn in_words(doing: &str, takes: &str, error: &Error) -> anyhow::Error {
    let limit = matches!(error, Error::BadRequest(words) if words.to_lowercase().contains("limit"));
    let remedy = match error {
        Error::Unauthorized(_) => {
            "see pagerduty.token and pagerduty.api_url (EU: https://api.eu.pagerduty.com)"
        }
        Error::Forbidden(_) => {
            return anyhow!(
                "cannot {doing}: {error}; the token may not; {takes}: PAGERDUTY_TOKEN=... before this command is enough"
            );
        }
        Error::NotFound(_) => "see the IDs with oncall-grants webhook list",
        Error::BadRequest(_) if limit => {
            "PagerDuty allows ten subscriptions per account, service and team; delete one (see: oncall-grants webhook \
             list), or use --filter"
        }
        Error::Unavailable(_) | Error::Server(_) | Error::Invalid(_) => {
            "whether it was done is uncertain; see with oncall-grants webhook list"
        }
        Error::BadRequest(_) | Error::RateLimited { .. } => "",
    };
    let hint = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
    anyhow!("cannot {doing}: {error}{hint}")
}
