//! The running service, asked over its own API whether a ping arrived.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::{Host, Url};

use crate::{config::Config, pagerduty, tls};

/// PagerDuty delivers a ping within seconds.
const PING_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A service that takes longer to list its events is not reachable for our purpose.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A service that answers, and the pings that it had seen before.
#[derive(Debug)]
pub(super) struct Service {
    http: reqwest::Client,
    events: Url,
    token: SecretString,
    seen: BTreeSet<String>,
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
    /// The service of this configuration, if it runs and can be reached.
    pub(super) async fn find(config: &Config) -> Option<Self> {
        let http = pagerduty::http_client(tls::client_config()).ok()?;
        for base in addresses(config) {
            let Ok(events) = base.join("/api/events?limit=200") else { continue };
            let token = config.server.admin_token.clone();
            let mut service = Self { http: http.clone(), events, token, seen: BTreeSet::new() };
            if let Some(page) = service.list().await {
                service.seen = page.iter().map(Event::key).collect();
                return Some(service);
            }
        }
        None
    }

    /// Whether a signed ping of this subscription arrives, now that one was asked for.
    pub(super) async fn sees_ping(&self, subscription: &str) -> bool {
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

    async fn list(&self) -> Option<Vec<Event>> {
        let request = self.http.get(self.events.clone()).bearer_auth(self.token.expose_secret());
        let answer = request.timeout(ANSWER_WITHIN).send().await.ok()?.error_for_status().ok()?;
        let Page { items } = answer.json().await.ok()?;
        Some(items)
    }
}

/// Where the service may answer: here, or where PagerDuty reaches it. The admin token goes nowhere else, and never in
/// the clear over a network.
fn addresses(config: &Config) -> Vec<Url> {
    let mut listen = config.server.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let here = Url::parse(&format!("{scheme}://{listen}")).ok().filter(|_| listen.port() != 0);
    here.into_iter().chain(config.server.public_url.clone()).filter(is_private).collect()
}

fn is_private(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || loopback
}
