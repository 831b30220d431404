//! Manages the webhook subscription of the account.

use reqwest::{Method, Url};
use secrecy::SecretString;
use serde_json::json;

use super::{Client, request::Request};
use crate::pagerduty::{
    Error,
    wire::{self, SubscriptionBody, SubscriptionPage},
};

/// The events to subscribe to: moments at which people need their access, and changes that may move it.
///
/// PagerDuty has no events about schedules, overrides or hand-offs.
pub const EVENTS: &[&str] = &[
    "incident.triggered",
    "incident.acknowledged",
    "incident.escalated",
    "incident.delegated",
    "incident.reassigned",
    "incident.reopened",
    "incident.responder.added",
    "service.updated",
];

const ROOT: &str = "webhook_subscriptions";
const PAGE: u64 = 100;
/// An account may have ten per scope; this many would be a listing without end.
const END_OF_LIST: u64 = 10_000;

/// A webhook subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its identifier.
    pub id: String,
    /// Where it delivers to, without user name and password; none if that is no URL.
    pub url: Option<Url>,
    /// What its maker wrote about it.
    pub description: Option<String>,
    /// The event types it delivers.
    pub events: Vec<String>,
    /// Whether its owner wants it to deliver.
    pub active: bool,
    /// Whether PagerDuty switched it off for a day because too many deliveries were refused.
    pub temporarily_disabled: bool,
}

/// A subscription just made, with what is shown only this once.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    /// The subscription.
    pub subscription: Subscription,
    /// The secret that signs its deliveries.
    pub secret: SecretString,
}

impl Client {
    /// All webhook subscriptions of the account.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        let mut found: Vec<Subscription> = Vec::new();
        while (found.len() as u64) < END_OF_LIST {
            let mut url = self.url([ROOT])?;
            url.query_pairs_mut()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &found.len().to_string());
            let SubscriptionPage { webhook_subscriptions: subscriptions, page } =
                self.fetch(Request::get("list_subscriptions", url)).await?;
            page.check(found.len() as u64, subscriptions.len())?;
            found.extend(subscriptions.into_iter().map(Subscription::from));
            if !page.more {
                return Ok(found);
            }
        }
        Err(Error::Invalid("the list of webhook subscriptions has no end".to_owned()))
    }

    /// One webhook subscription.
    pub async fn subscription(&self, id: &str) -> Result<Subscription, Error> {
        let url = self.url([ROOT, id])?;
        let SubscriptionBody { webhook_subscription } =
            self.fetch(Request::get("get_subscription", url)).await?;
        if webhook_subscription.id.0 != id {
            return Err(Error::Invalid(format!(
                "webhook subscription {id}: the answer is about another one"
            )));
        }
        Ok(webhook_subscription.into())
    }

    /// Subscribes `url` to these events of the whole account. It is tried again only where nothing was done yet.
    pub async fn create_subscription(
        &self,
        url: &Url,
        description: &str,
        events: &[&str],
    ) -> Result<NewSubscription, Error> {
        let body = json!({"webhook_subscription": {
            "type": "webhook_subscription",
            "delivery_method": {"type": "http_delivery_method", "url": url.as_str()},
            "events": events,
            "filter": {"type": "account_reference"},
            "description": description,
            "active": true,
        }});
        let request = Request::new("create_subscription", Method::POST, self.url([ROOT])?).with_body(body);
        let SubscriptionBody { mut webhook_subscription } = self.fetch(request).await?;
        let id = &webhook_subscription.id.0;
        let secret =
            webhook_subscription.delivery_method.secret.take().ok_or_else(|| {
                Error::Invalid(format!("webhook subscription {id} was made without a secret"))
            })?;
        Ok(NewSubscription { subscription: webhook_subscription.into(), secret })
    }

    /// Removes a subscription.
    pub async fn delete_subscription(&self, id: &str) -> Result<(), Error> {
        self.send(Request::new("delete_subscription", Method::DELETE, self.url([ROOT, id])?)).await
    }

    /// Switches on again what PagerDuty switched off.
    pub async fn enable_subscription(&self, id: &str) -> Result<(), Error> {
        self.send(Request::new("enable_subscription", Method::POST, self.url([ROOT, id, "enable"])?)).await
    }

    /// Asks for a test event.
    pub async fn ping_subscription(&self, id: &str) -> Result<(), Error> {
        self.send(Request::new("ping_subscription", Method::POST, self.url([ROOT, id, "ping"])?)).await
    }
}

impl From<wire::Subscription> for Subscription {
    fn from(wire: wire::Subscription) -> Self {
        let wire::Subscription { id, active, description, events, delivery_method } = wire;
        Self {
            id: id.0,
            url: delivery_method.url.and_then(|url| without_credentials(&url)),
            description,
            events,
            active,
            temporarily_disabled: delivery_method.temporarily_disabled.unwrap_or(false),
        }
    }
}

fn without_credentials(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url)
}
