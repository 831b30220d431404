//! The running service, asked over its own API which signed events arrived.

use std::{collections::BTreeSet, time::Duration};

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::{
    cli::{healthcheck, local, wait_for},
    config::{Config, Server},
    model::is_loopback,
    pagerduty,
    tls::{self, Tls},
    wiring,
};

/// PagerDuty delivers a ping within seconds.
const PING_ARRIVES_WITHIN: Duration = Duration::from_secs(15);
const POLL_EVERY: Duration = Duration::from_millis(250);
/// A service that takes longer to list its events is not reachable for our purpose.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A service that answers, and what it had received before.
#[derive(Debug)]
pub(super) struct RunningService {
    http: reqwest::Client,
    /// Where it lists the events.
    events_url: Url,
    token: SecretString,
    /// The keys of the events.
    seen_events: BTreeSet<String>,
    /// The subscriptions that they came from.
    seen_subscriptions: BTreeSet<String>,
}

/// Why no service can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("the service wants client certificates, and this command has none")]
    WantsCertificate,
    #[error("the service runs, but its store does not answer")]
    WithoutStore,
    #[error("no running service of this configuration answers here")]
    NotRunning,
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

impl RunningService {
    /// The service of this configuration; if none can be asked, why.
    pub(super) async fn find(config: &Config) -> Result<Self, NoAnswer> {
        if config.server.tls.as_ref().is_some_and(|tls| tls.client.is_some()) {
            // To try would only be a failed handshake, which the service counts.
            return Err(NoAnswer::WantsCertificate);
        }
        let mut lacks_store = false;
        for (http, base) in routes(&config.server) {
            let mut events_url = base;
            events_url.set_path(&format!("{}/api/events", events_url.path().trim_end_matches('/')));
            events_url.set_query(Some("limit=200"));
            let token = config.server.admin_token.clone();
            let (seen_events, seen_subscriptions) = (BTreeSet::new(), BTreeSet::new());
            let mut service = Self { http, events_url, token, seen_events, seen_subscriptions };
            match wait_for("the running service", service.list_events()).await {
                Ok(events) => {
                    service.seen_events = events.iter().map(Event::key).collect();
                    service.seen_subscriptions =
                        events.into_iter().filter_map(|event| event.subscription).collect();
                    return Ok(service);
                }
                Err(error) => lacks_store |= may_lack_its_store(&error),
            }
        }
        // A proxy before no service at all says the same.
        let runs = lacks_store && healthcheck::service_answers(config).await;
        Err(if runs { NoAnswer::WithoutStore } else { NoAnswer::NotRunning })
    }

    /// The subscriptions of which it has received signed events lately.
    pub(super) fn into_seen_subscriptions(self) -> BTreeSet<String> {
        self.seen_subscriptions
    }

    /// Whether a signed ping of this subscription arrives, now that one was asked for.
    pub(super) async fn receives_ping(&self, subscription: &str) -> bool {
        wait_for("the running service to receive the ping", self.poll_for_ping(subscription)).await
    }

    async fn poll_for_ping(&self, subscription: &str) -> bool {
        let deadline = Instant::now() + PING_ARRIVES_WITHIN;
        loop {
            let events = self.list_events().await.unwrap_or_default();
            let arrived = events.iter().any(|event| {
                event.subscription.as_deref() == Some(subscription)
                    && event.kind.as_deref() == Some("pagey.ping")
                    && !self.seen_events.contains(&event.key())
            });
            if arrived || Instant::now() >= deadline {
                return arrived;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn list_events(&self) -> reqwest::Result<Vec<Event>> {
        let request = self.http.get(self.events_url.clone()).bearer_auth(self.token.expose_secret());
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
fn routes(server: &Server) -> Vec<(reqwest::Client, Url)> {
    let is_private = |url: &Url| url.scheme() == "https" || is_loopback(url);
    let local = local::service_url(server).filter(is_private).and_then(|url| {
        let client = match &server.tls {
            Some(tls) => client_of_this_server(tls),
            None => client_for(&url),
        };
        Some((client?, url))
    });
    let public = server.public_url.clone().filter(is_private).and_then(|url| Some((client_for(&url)?, url)));
    local.into_iter().chain(public).collect()
}

fn client_for(url: &Url) -> Option<reqwest::Client> {
    if is_loopback(url) {
        client_without_proxy(tls::client_config().ok()?)
    } else {
        let proxy = wiring::http_proxy_for(url).ok()?;
        pagerduty::http_client(tls::client_config().ok()?, proxy).ok()
    }
}

/// A client that tells the token to nobody but the holder of the configured certificate's key: whoever else took the port
/// while the service was away gets nothing. Who vouches for the certificate does not matter then, nor does its name.
fn client_of_this_server(tls: &Tls) -> Option<reqwest::Client> {
    let chain = tls::pem::certificates(&std::fs::read(&tls.cert).ok()?).ok()?;
    client_without_proxy(tls::client_config_trusting_only(chain.into_iter().next()?))
}

fn client_without_proxy(tls: rustls::ClientConfig) -> Option<reqwest::Client> {
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().no_proxy();
    client.redirect(reqwest::redirect::Policy::none()).build().ok()
}
