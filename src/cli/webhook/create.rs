//! `oncall-grants webhook create`.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use url::Url;

use super::{
    created::{CreatedSubscription, DESCRIPTION},
    ping::PingResult,
    secret_sink::SecretSink,
};
use crate::{
    cli::{ExitStatus, print_to_stderr, wait_for},
    config::Config,
    model::is_loopback,
    pagerduty::{COMMON_EVENTS, Client, Filter, INCIDENT_EVENTS, SubscriptionRequest},
    subscription::{delivering_to, is_webhook_url, our_url, webhook_url},
};

const NO_URL: &str = "where to? give --url, or set server.public_url";

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
    #[arg(long, default_value = "account", value_parser = parse_filter)]
    filter: Filter,
    /// An event type to deliver; may be given several times [default: all that may move access]
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
}

fn parse_filter(text: &str) -> Result<Filter, String> {
    match text.split_once(':') {
        None if text == "account" => Ok(Filter::Account),
        Some(("service", id)) if !id.is_empty() => Ok(Filter::Service(id.to_owned())),
        Some(("team", id)) if !id.is_empty() => Ok(Filter::Team(id.to_owned())),
        _ => Err("write account, service:ID or team:ID".to_owned()),
    }
}

pub(super) async fn create(config: &Config, client: &Client, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { url, secret_file, append, filter, events } = options;
    let url = match delivery_url(config, url.as_ref()) {
        Ok(url) => url,
        Err(message) => {
            print_to_stderr(&message);
            return Ok(ExitStatus::Misused);
        }
    };
    if url.scheme() == "http" && !is_loopback(&url) {
        print_to_stderr(&format!(
            "warning: {url} is plain http: everybody on the way can read what PagerDuty delivers"
        ));
    }
    // A token that may not list may still be allowed to make one.
    if let Ok(listed) = wait_for("PagerDuty", client.subscriptions()).await {
        let twin = delivering_to(&listed, &url).into_iter().find(|one| one.filter.as_ref() == Some(&filter));
        if let Some(twin) = twin {
            bail!(
                "{} already delivers the events of {filter} to {url}; for a new secret use oncall-grants webhook rotate",
                twin.id
            );
        }
    }
    let events: Vec<&str> =
        if events.is_empty() { all_events() } else { events.iter().map(String::as_str).collect() };
    let path = secret_file.as_deref();
    let sink = if append { SecretSink::append_to(path)? } else { SecretSink::new_file(path)? };
    let request =
        SubscriptionRequest { url: &url, description: DESCRIPTION, events: &events, filter: &filter };
    let created = CreatedSubscription::create(client, request, sink).await?;
    created.announce(&url);
    created.advise(config);
    // What was asked for is done; only what is known not to work is a failure.
    Ok(match created.ping(config, client).await? {
        PingResult::Received | PingResult::Unknown => ExitStatus::Done,
        PingResult::NotReceived => ExitStatus::Incomplete,
    })
}

/// Also what only rules about incidents need, so that none of it lacks when the first of them is written.
fn all_events() -> Vec<&'static str> {
    COMMON_EVENTS.iter().chain(INCIDENT_EVENTS).copied().collect()
}

/// Where PagerDuty is to deliver to, or why that makes no sense.
fn delivery_url(config: &Config, given: Option<&Url>) -> Result<Url, String> {
    match given {
        Some(url) => webhook_route(url, config.server.public_url.as_ref()),
        None => our_url(config).ok_or_else(|| NO_URL.to_owned()),
    }
}

/// People write the address of the service; the route is ours to know. A path before it is the whole URL's, or that of
/// `public_url`.
fn webhook_route(url: &Url, public_url: Option<&Url>) -> Result<Url, String> {
    let is_whole = is_webhook_url(url);
    let whole = if is_whole { url.clone() } else { webhook_url(url) };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("--url {url}: PagerDuty delivers to http and https only"));
    }
    let path = url.path().trim_end_matches('/');
    let is_ours = is_whole || path.is_empty() || public_url.is_some_and(|public| public.path() == path);
    if !is_ours || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "--url {url}: the service takes webhooks at /webhooks/pagerduty only; write its address without a path, or, where a \
             proxy puts a path before it, the whole URL"
        ));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_delivered_to_the_one_route_that_takes_them() {
        let public: Url = "https://a.example/grants".parse().unwrap();
        let route = |url: &str| webhook_route(&url.parse().unwrap(), Some(&public)).map(String::from);
        for url in ["https://a.example", "https://a.example/", "https://a.example/webhooks/pagerduty"] {
            assert_eq!(route(url), Ok("https://a.example/webhooks/pagerduty".to_owned()));
        }
        for url in [
            "https://a.example/grants",
            "https://a.example/grants/",
            "https://a.example/grants/webhooks/pagerduty",
        ] {
            assert_eq!(route(url), Ok("https://a.example/grants/webhooks/pagerduty".to_owned()));
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
