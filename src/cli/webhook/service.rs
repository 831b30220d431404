//! The running service, asked over its own API which signed events arrived.

use std::{collections::BTreeSet, time::Duration};

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::{
    cli::{healthcheck, local, patiently},
    config::Config,
    model::is_loopback,
    pagerduty,
    tls::{self, Tls},
};

/// PagerDuty delivers a ping within seconds.
const PING_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A service that takes longer to list its events is not reachable for our purpose.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A service that answers, and the events that it had received before.
#[derive(Debug)]
pub(super) struct Service {
    http: reqwest::Client,
    events: Url,
    token: SecretString,
    seen: BTreeSet<String>,
    heard: BTreeSet<String>,
}

/// Why no service can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    #[error("the service wants client certificates, and this command has none")]
    WantsCertificate,
    #[error("the service runs, but its store does not answer")]
    WithoutStore,
    #[error("no running service of this configuration answers here")]
    Nobody,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "event_id")]
    id: Option<String>,
    #[serde(rename = "event_type")]
    kind: Option<String>,
    subscription: Option<String>,
    received_at: String,
}

impl Event {
    fn key(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.received_at.clone())
    }
}

impl Service {
    /// The service of this configuration; if none can be asked, why.
    pub(super) async fn find(config: &Config) -> Result<Self, Silence> {
        if config.server.tls.as_ref().is_some_and(|tls| tls.client.is_some()) {
            // To try would only be a failed handshake, which the service counts.
            return Err(Silence::WantsCertificate);
        }
        let mut lacks_store = false;
        for (http, base) in ways(config) {
            let Ok(events) = base.join("/api/events?limit=200") else { continue };
            let token = config.server.admin_token.clone();
            let mut service = Self { http, events, token, seen: BTreeSet::new(), heard: BTreeSet::new() };
            match patiently("the running service", service.list()).await {
                Ok(page) => {
                    service.seen = page.iter().map(Event::key).collect();
                    service.heard = page.into_iter().filter_map(|event| event.subscription).collect();
                    return Ok(service);
                }
                Err(error) => lacks_store |= may_lack_its_store(&error),
            }
        }
        // A proxy before no service at all says the same.
        let runs = lacks_store && healthcheck::answers(config).await;
        Err(if runs { Silence::WithoutStore } else { Silence::Nobody })
    }

    /// The subscriptions of which it has received signed events lately.
    pub(super) fn heard(self) -> BTreeSet<String> {
        self.heard
    }

    /// Whether a signed ping of this subscription arrives, now that one was asked for.
    pub(super) async fn sees_ping(&self, subscription: &str) -> bool {
        patiently("the running service to receive the ping", self.ping_arrives(subscription)).await
    }

    async fn ping_arrives(&self, subscription: &str) -> bool {
        let deadline = Instant::now() + PING_WITHIN;
        loop {
            let events = self.list().await.unwrap_or_default();
            let arrived = events.iter().any(|event| {
                event.subscription.as_deref() == Some(subscription)
                    && event.kind.as_deref() == Some("pagey.ping")
                    && !self.seen.contains(&event.key())
            });
            if arrived || Instant::now() >= deadline {
                return arrived;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn list(&self) -> reqwest::Result<Vec<Event>> {
        let request = self.http.get(self.events.clone()).bearer_auth(self.token.expose_secret());
        let answer = request.timeout(ANSWER_WITHIN).send().await?.error_for_status()?;
        let Page { items } = answer.json().await?;
        Ok(items)
    }
}

/// Whether this is how a service fails whose store does not answer: it says so, or waits for it longer than we do.
fn may_lack_its_store(error: &reqwest::Error) -> bool {
    error.status() == Some(StatusCode::SERVICE_UNAVAILABLE) || error.is_timeout() && !error.is_connect()
}

/// How the service may be reached: on this machine, or where PagerDuty reaches it. The admin token goes nowhere else, and
/// never in the clear over a network.
fn ways(config: &Config) -> Vec<(reqwest::Client, Url)> {
    let server = &config.server;
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    let here =
        local::reachable(server.listen).and_then(|listen| Url::parse(&format!("{scheme}://{listen}")).ok());
    let public = server.public_url.clone();
    let is_private = |url: &Url| url.scheme() == "https" || is_loopback(url);
    let client = |url: &Url, own: bool| match &server.tls {
        Some(tls) if own => this_very_server(tls),
        _ if is_loopback(url) => directly(tls::client_config()),
        _ => pagerduty::http_client(tls::client_config()).ok(),
    };
    let ways = here.map(|url| (url, true)).into_iter().chain(public.map(|url| (url, false)));
    let ways = ways.filter(|(url, _)| is_private(url));
    ways.filter_map(|(url, own)| Some((client(&url, own)?, url))).collect()
}

/// A client that tells the token to nobody but the holder of the configured certificate's key: whoever else took the port
/// while the service was away gets nothing. Who vouches for the certificate does not matter then, nor does its name.
fn this_very_server(tls: &Tls) -> Option<reqwest::Client> {
    let chain = tls::pem::certificates(&std::fs::read(&tls.cert).ok()?).ok()?;
    directly(tls::client_config_trusting_only(chain.into_iter().next()?))
}

/// A client that no proxy comes between.
fn directly(tls: rustls::ClientConfig) -> Option<reqwest::Client> {
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().no_proxy();
    client.redirect(reqwest::redirect::Policy::none()).build().ok()
}
