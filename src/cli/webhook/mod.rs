//! `oncall-grants webhook`: manages the PagerDuty subscription that delivers to this service.

mod create;
mod manage;
mod rotate;
mod secret;
mod service;

use std::sync::Arc;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};

use super::{Ending, complain};
use crate::{
    assemble,
    config::Config,
    metrics::Metrics,
    pagerduty::{Client, Error, Subscription},
    subscription::{delivering_to, our_url},
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
        after_help = "Example: oncall-grants webhook create --url https://grants.example.com/webhooks/pagerduty \
                            --secret-file /etc/oncall-grants/webhook-secrets"
    )]
    Create(create::Options),
    /// Makes a second subscription with a new secret, and removes the first when the new one was seen
    #[command(
        after_help = "Example: oncall-grants webhook rotate --secret-file /etc/oncall-grants/webhook-secrets"
    )]
    Rotate(rotate::Options),
    /// Lists the subscriptions of the account; * marks those that deliver to `server.public_url`
    #[command(after_help = "Example: oncall-grants webhook list --format json")]
    List(manage::ListOptions),
    /// Asks PagerDuty for a test event, and waits for it if the service runs
    #[command(after_help = "Example: oncall-grants webhook ping")]
    Ping(Which),
    /// Switches on again what PagerDuty switched off
    #[command(after_help = "Example: oncall-grants webhook enable PWSUB01")]
    Enable(Which),
    /// Removes a subscription
    #[command(after_help = "Example: oncall-grants webhook delete PWSUB01")]
    Delete(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// The subscription [default: the one that delivers to `server.public_url`]
    id: Option<String>,
}

pub(super) async fn webhook(config: &Config, options: Options) -> anyhow::Result<Ending> {
    let client = assemble::pagerduty(config, &Arc::new(Metrics::new()))?;
    match options.command {
        Command::Create(options) => create::create(config, &client, options).await,
        Command::Rotate(options) => rotate::rotate(config, &client, options).await,
        Command::List(options) => manage::list(config, &client, options).await,
        Command::Ping(which) => manage::ping(config, &client, which).await,
        Command::Enable(which) => manage::enable(config, &client, which).await,
        Command::Delete(which) => manage::delete(config, &client, which).await,
    }
}

/// The subscription that is meant: by its ID, or the only one that delivers to us.
async fn meant(config: &Config, client: &Client, id: Option<&str>) -> anyhow::Result<Option<Subscription>> {
    if let Some(id) = id {
        return client.subscription(id).await.map(Some).map_err(|error| told("look at it", &error));
    }
    let Some(url) = our_url(config) else {
        complain(
            "which subscription? name its ID (see: oncall-grants webhook list), or set server.public_url",
        );
        return Ok(None);
    };
    let listed = client.subscriptions().await.map_err(|error| told("list subscriptions", &error))?;
    match delivering_to(&listed, &url).as_slice() {
        [] => bail!("no subscription delivers to {url}; make one with oncall-grants webhook create"),
        [one] => Ok(Some((*one).clone())),
        several => {
            let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
            complain(&format!("{} deliver to {url}; name the ID of the one that is meant", ids.join(", ")));
            Ok(None)
        }
    }
}

/// An error of PagerDuty with what to do about it.
fn told(doing: &str, error: &Error) -> anyhow::Error {
    let limit = matches!(error, Error::BadRequest(words) if words.to_lowercase().contains("limit"));
    let remedy = match error {
        Error::Unauthorized(_) => {
            "see pagerduty.token and pagerduty.api_url (EU: https://api.eu.pagerduty.com)"
        }
        Error::Forbidden(_) => {
            "the token may not; use a REST API key of the account that is not read-only, or a token with \
             webhook_subscriptions.write: PAGERDUTY_TOKEN=... before this command is enough"
        }
        Error::NotFound(_) => "see the IDs with oncall-grants webhook list",
        Error::BadRequest(_) if limit => {
            "PagerDuty allows ten subscriptions per account, service and team; delete one (see: oncall-grants webhook \
             list), or use --filter"
        }
        Error::Unavailable(_) | Error::Troubled(_) | Error::Invalid(_) => {
            "whether it was done is uncertain; see with oncall-grants webhook list"
        }
        Error::BadRequest(_) | Error::RateLimited { .. } => "",
    };
    let hint = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
    anyhow!("cannot {doing}: {error}{hint}")
}
