//! `oncall-grants webhook rotate`: a new secret without a gap. PagerDuty cannot change a secret, so a second
//! subscription takes over from the first.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{
    super::{Ending, print},
    create::{Arrival, DESCRIPTION, make},
    meant,
    secret::Sink,
    told,
};
use crate::{
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::{CHANGEABLE_WITH, READABLE_WITH, State, state},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The subscription to replace [default: the one that delivers to `server.public_url`]
    id: Option<String>,
    /// The file (one secret a line) to which the new secret is added [default: `webhook_secrets_file`, else printed]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Only removes this replaced subscription, if another one delivers in its place
    #[arg(long, value_name = "OLD_ID", conflicts_with_all = ["id", "secret_file"])]
    finish: Option<String>,
}

pub(super) async fn rotate(config: &Config, client: &Client, options: Options) -> anyhow::Result<Ending> {
    let Options { id, secret_file, finish } = options;
    if let Some(old) = finish {
        return finish_rotation(client, &old).await;
    }
    let Some(old) = meant(config, client, id.as_deref()).await? else { return Ok(Ending::Misused) };
    if old.has_hidden_settings {
        bail!(
            "{} has a password, custom headers or an OAuth client, which PagerDuty does not show; make its successor in \
             PagerDuty, and then: oncall-grants webhook rotate --finish {}",
            old.id,
            old.id
        );
    }
    let url = old.url.clone().with_context(|| format!("{} has no readable URL", old.id))?;
    let filter = old.filter.clone().with_context(|| format!("{} has a filter of an unknown kind", old.id))?;
    let file = secret_file.or_else(|| config.pagerduty.webhook_secrets_file.clone());
    let sink = Sink::adding(file.as_deref())?;
    let description = old.description.as_deref().unwrap_or(DESCRIPTION);
    let events: Vec<&str> = old.events.iter().map(String::as_str).collect();
    let made = make(client, sink, &url, description, &events, &filter).await?;
    let place = made.sink.path().map_or("above".to_owned(), |path| format!("in {}", path.display()));
    made.sink.say(&format!("made {} beside {}; its secret is {place}", made.id, old.id));
    made.advise(config);
    if made.ping(config, client).await? == Arrival::Seen {
        remove(client, &old.id, &|text| made.sink.say(text)).await?;
        return Ok(Ending::Done);
    }
    made.sink.say(&format!(
        "{} stays until the service has seen {}; keep both secrets until then, and finish with:\n\
         \x20 oncall-grants webhook ping {}\n  oncall-grants webhook rotate --finish {}",
        old.id, made.id, made.id, old.id
    ));
    Ok(Ending::Incomplete)
}

async fn remove(client: &Client, id: &str, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    told(&format!("remove {id}"), CHANGEABLE_WITH, client.delete_subscription(id)).await?;
    say(&format!(
        "removed {id}; drop its secret from the configuration in two days, for deliveries may be repeated for so long"
    ));
    Ok(())
}

async fn finish_rotation(client: &Client, id: &str) -> anyhow::Result<Ending> {
    let listed = told("list subscriptions", READABLE_WITH, client.subscriptions()).await?;
    let old =
        listed.iter().find(|one| one.id == id).with_context(|| format!("there is no subscription {id}"))?;
    let replaces = |other: &&Subscription| {
        other.id != old.id
            && other.url.is_some()
            && other.url == old.url
            && other.filter == old.filter
            && state(other) == State::Active
    };
    let Some(successor) = listed.iter().find(replaces) else {
        bail!("no other active subscription delivers to the same place as {id}, so it stays");
    };
    print(&format!("{} delivers in its place", successor.id));
    remove(client, id, &print).await?;
    Ok(Ending::Done)
}
