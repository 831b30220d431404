//! `oncall-grants webhook create`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use url::Url;

use super::{complain, secret::Sink, service::Service, told};
use crate::{
    cli::{Ending, patiently},
    config::{Config, secrets_in},
    model::is_loopback,
    pagerduty::{Client, EVENTS, Filter, NewSubscription},
    subscription::{WRITE_RIGHT, delivering_to, our_url, webhook_url},
};

/// What people in PagerDuty read about it.
pub(super) const DESCRIPTION: &str = "oncall-grants: temporary strongDM access for whoever is on call";

const NOWHERE: &str = "where to? give --url, or set server.public_url";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where PagerDuty delivers to: the address of the service, with /webhooks/pagerduty or without [default:
    /// `server.public_url`]
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
    let url = match url.map_or_else(|| our_url(config).ok_or_else(|| NOWHERE.to_owned()), |url| route(&url)) {
        Ok(url) => url,
        Err(message) => {
            complain(&message);
            return Ok(Ending::Misused);
        }
    };
    if url.scheme() == "http" && !is_loopback(&url) {
        complain(&format!(
            "warning: {url} is plain http: everybody on the way can read what PagerDuty delivers"
        ));
    }
    // A token that may not list may still be allowed to make one.
    if let Ok(listed) = patiently("PagerDuty", client.subscriptions()).await {
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
    // What was asked for is done; only what is known not to work is a failure.
    Ok(if made.ping(config, client).await? == Arrival::Missing { Ending::Incomplete } else { Ending::Done })
}

/// People write the address of the service; the route is ours to know.
fn route(url: &Url) -> Result<Url, String> {
    let whole = webhook_url(url);
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("--url {url}: PagerDuty delivers to http and https only"));
    }
    let is_ours = url.path() == "/" || url.path() == whole.path();
    if !is_ours || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "--url {url}: the service takes webhooks at {} only; write its address without a path",
            whole.path()
        ));
    }
    Ok(whole)
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
    let NewSubscription { subscription, secret } = match told(
        "make the subscription",
        WRITE_RIGHT,
        client.create_subscription(url, description, events, filter),
    )
    .await
    {
        Ok(new) => new,
        Err(error) => {
            sink.discard();
            return Err(error);
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
        let how = if let Some(read) = secrets_file(config) {
            format!("add it as another line to {read}, which a running service reads again without a restart")
        } else {
            let file = self.sink.path().map(|path| path.display().to_string());
            format!(
                "set webhook_secrets_file in [pagerduty] to {} (one secret a line) and restart the service",
                file.as_deref().unwrap_or("a file of mode 0600")
            )
        };
        self.sink
            .say(&format!("the service must know it: {how}, then: oncall-grants webhook ping {}", self.id));
    }

    /// Pings, if the service may know the secret: a ping that it must refuse would only count against it.
    pub(super) async fn ping(&self, config: &Config, client: &Client) -> anyhow::Result<Arrival> {
        if !self.is_configured(config) {
            return Ok(Arrival::Unknown);
        }
        ping(config, client, &self.id, &|text| self.sink.say(text)).await
    }
}

/// What is known of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The running service has received it, signed with a secret that it knows.
    Seen,
    /// The running service has not received it.
    Missing,
    /// No running service could be asked, or none was pinged.
    Unknown,
}

/// Pings a subscription, and says whether the running service saw it.
pub(super) async fn ping(
    config: &Config,
    client: &Client,
    id: &str,
    say: &dyn Fn(&str),
) -> anyhow::Result<Arrival> {
    let service = Service::find(config).await;
    told("ping it", WRITE_RIGHT, client.ping_subscription(id)).await?;
    let service = match service {
        Ok(service) => service,
        Err(why) => {
            say(&format!(
                "{id} was pinged, but whether that arrived is not known: {why}; look for pagey.ping in /api/events"
            ));
            return Ok(Arrival::Unknown);
        }
    };
    if service.sees_ping(id).await {
        say(&format!("{id} works: the running service has received its signed ping"));
        return Ok(Arrival::Seen);
    }
    // What the configuration named when this began may have been written since.
    let without = config.pagerduty.webhook_secrets.is_empty()
        && config.pagerduty.webhook_secrets_file.as_ref().is_none_or(|file| !holds_a_secret(file));
    let why = if without {
        "no webhook secret is configured, so it answers every webhook 503; configure the secret of the subscription, or make \
         a new one with oncall-grants webhook rotate"
    } else {
        "its log says why if the ping reached it and the secret is wrong; if the log says nothing, PagerDuty does not reach \
         it there"
    };
    say(&format!("the running service has not received the ping of {id}: {why}"));
    Ok(Arrival::Missing)
}

/// What to call the configured file with the secrets. A path to nothing is not shown: it may be a secret in the wrong
/// place.
pub(super) fn secrets_file(config: &Config) -> Option<String> {
    let file = config.pagerduty.webhook_secrets_file.as_deref()?;
    let named = "the file that pagerduty.webhook_secrets_file names";
    Some(if file.exists() { file.display().to_string() } else { named.to_owned() })
}

fn holds_a_secret(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| !secrets_in(&text).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_delivered_to_the_one_route_that_takes_them() {
        let route = |url: &str| route(&url.parse().unwrap()).map(String::from);
        for url in ["https://a.example", "https://a.example/", "https://a.example/webhooks/pagerduty"] {
            assert_eq!(route(url), Ok("https://a.example/webhooks/pagerduty".to_owned()));
        }
        for url in [
            "https://a.example/foo",
            "https://a.example/webhooks/pagerduty/",
            "https://a.example/?a=b",
            "https://a.example/#a",
            "ftp://a.example/",
            "mailto:a@example.com",
        ] {
            assert!(route(url).is_err(), "{url}");
        }
    }
}
