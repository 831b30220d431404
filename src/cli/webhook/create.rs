//! `oncall-grants webhook create`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use url::Url;

use super::{super::Ending, complain, secret::Sink, service::Service, told};
use crate::{
    config::Config,
    pagerduty::{Client, EVENTS, Filter, NewSubscription},
    subscription::{delivering_to, our_url, webhook_url},
};

/// What people in PagerDuty read about it.
pub(super) const DESCRIPTION: &str = "oncall-grants: temporary strongDM access for whoever is on call";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where PagerDuty delivers to [default: `server.public_url` and /webhooks/pagerduty]
    #[arg(long)]
    url: Option<Url>,
    /// A new file (mode 0600) for the one-time secret; without it, the secret is printed
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Adds the secret to the file as another line, if the file exists
    #[arg(long, requires = "secret_file")]
    append: bool,
    /// Whose events: account, service:ID or team:ID
    #[arg(long, default_value = "account", value_parser = filter)]
    filter: Filter,
    /// An event type to deliver; may be given several times [default: all that may move access]
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
}

fn filter(text: &str) -> Result<Filter, String> {
    match text.split_once(':') {
        None if text == "account" => Ok(Filter::Account),
        Some(("service", id)) if !id.is_empty() => Ok(Filter::Service(id.to_owned())),
        Some(("team", id)) if !id.is_empty() => Ok(Filter::Team(id.to_owned())),
        _ => Err("write account, service:ID or team:ID".to_owned()),
    }
}

pub(super) async fn create(config: &Config, client: &Client, options: Options) -> anyhow::Result<Ending> {
    let Options { url, secret_file, append, filter, events } = options;
    let Some(url) = url.map(with_path).or_else(|| our_url(config)) else {
        complain("where to? give --url, or set server.public_url");
        return Ok(Ending::Misused);
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        complain(&format!("--url {url}: PagerDuty delivers to http and https only"));
        return Ok(Ending::Misused);
    }
    // A token that may not list may still be allowed to make one.
    if let Ok(listed) = client.subscriptions().await {
        let twin = delivering_to(&listed, &url).into_iter().find(|one| one.filter.as_ref() == Some(&filter));
        if let Some(twin) = twin {
            bail!(
                "{} already delivers the events of {filter} to {url}; for a new secret use oncall-grants webhook rotate",
                twin.id
            );
        }
    }
    let events: Vec<&str> =
        if events.is_empty() { EVENTS.to_vec() } else { events.iter().map(String::as_str).collect() };
    let path = secret_file.as_deref();
    let sink = if append { Sink::adding(path)? } else { Sink::fresh(path)? };
    let made = make(client, sink, &url, DESCRIPTION, &events, &filter).await?;
    made.announce(&url);
    made.advise(config);
    let seen = made.ping(config, client).await?;
    let known = made.is_configured(config);
    // A service that does not know the secret yet cannot have seen it.
    Ok(if seen == Some(false) && known { Ending::Incomplete } else { Ending::Done })
}

/// People write the address of the service; the route is ours to know.
fn with_path(url: Url) -> Url {
    if url.path() == "/" { webhook_url(&url) } else { url }
}

/// A subscription that was made, and where its secret is.
pub(super) struct Made {
    pub(super) id: String,
    pub(super) sink: Sink,
}

/// Makes a subscription and keeps its secret; one whose secret cannot be kept is removed again.
pub(super) async fn make(
    client: &Client,
    mut sink: Sink,
    url: &Url,
    description: &str,
    events: &[&str],
    filter: &Filter,
) -> anyhow::Result<Made> {
    let NewSubscription { subscription, secret } =
        match client.create_subscription(url, description, events, filter).await {
            Ok(new) => new,
            Err(error) => {
                sink.discard();
                return Err(told("make the subscription", &error));
            }
        };
    if let Err(error) = sink.keep(&secret) {
        let id = &subscription.id;
        let removed = client.delete_subscription(id).await;
        let rest = if removed.is_ok() { "it is removed again" } else { "remove it with webhook delete" };
        return Err(error).with_context(|| format!("{id} was made, but its secret cannot be kept; {rest}"));
    }
    Ok(Made { id: subscription.id, sink })
}

impl Made {
    fn announce(&self, url: &Url) {
        let Self { id, sink } = self;
        let place = sink
            .path()
            .map_or("above, on standard output".to_owned(), |path| format!("in {}", path.display()));
        sink.say(&format!(
            "made {id}, which delivers to {url}; its secret is {place}, and is never shown again"
        ));
    }

    /// Whether the configuration reads the file that the secret went to.
    pub(super) fn is_configured(&self, config: &Config) -> bool {
        let canonical = |path: &Path| path.canonicalize().ok();
        let configured = config.pagerduty.webhook_secrets_file.as_deref().and_then(canonical);
        configured.is_some() && self.sink.path().and_then(canonical) == configured
    }

    /// Says how the service learns the secret.
    pub(super) fn advise(&self, config: &Config) {
        if self.is_configured(config) {
            return;
        }
        let file =
            self.sink.path().map_or("a file of mode 0600".to_owned(), |path| format!("{}", path.display()));
        self.sink.say(&format!(
            "the service must know it: set webhook_secrets_file in [pagerduty] to {file} (one secret a line) and \
             restart the service, then: oncall-grants webhook ping {}",
            self.id
        ));
    }

    /// Asks for a ping, and waits for it if the service can be asked; none if it cannot.
    pub(super) async fn ping(&self, config: &Config, client: &Client) -> anyhow::Result<Option<bool>> {
        ping(config, client, &self.id, &|text| self.sink.say(text)).await
    }
}

/// Pings a subscription, and says whether the running service saw it; none if no service can be asked.
pub(super) async fn ping(
    config: &Config,
    client: &Client,
    id: &str,
    say: &dyn Fn(&str),
) -> anyhow::Result<Option<bool>> {
    let service = Service::find(config).await;
    client.ping_subscription(id).await.map_err(|error| told("ping it", &error))?;
    let Some(service) = service else {
        say(&format!("{id} was pinged; no running service can be asked here whether it arrived"));
        return Ok(None);
    };
    let seen = service.sees_ping(id).await;
    say(&if seen {
        format!("{id} works: the running service has received its signed ping")
    } else {
        format!(
            "the running service has not received the ping of {id}: it does not know the secret, or PagerDuty does \
             not reach it; its log and oncall-grants check say more"
        )
    });
    Ok(Some(seen))
}
