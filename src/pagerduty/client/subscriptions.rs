//! Manages the webhook subscription of the account.

use reqwest::{Method, Url};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Client, operation::Operation, request::Request};
use crate::pagerduty::{
    Error,
    wire::{self, SubscriptionBody, SubscriptionPage},
};

/// The events that matter to every rule: moments at which people need their access, and changes that may move it.
///
/// PagerDuty has no events about schedules, overrides or hand-offs.
pub(crate) const COMMON_EVENTS: &[&str] = &[
    "incident.triggered",
    "incident.acknowledged",
    "incident.escalated",
    "incident.delegated",
    "incident.reassigned",
    "incident.reopened",
    "incident.responder.added",
    "service.updated",
];

/// The events that matter beside them to rules about incidents: who joins, and what ends or changes an incident.
pub(crate) const INCIDENT_EVENTS: &[&str] = &[
    "incident.resolved",
    "incident.unacknowledged",
    "incident.priority_updated",
    "incident.service_updated",
    "incident.responder.replied",
];

const ROOT: &str = "webhook_subscriptions";
const PAGE: u64 = 100;
/// An account may have ten per scope; this many would be a listing without end.
const END_OF_LIST: u64 = 10_000;

/// Which events of the account a subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Filter {
    /// All of them.
    #[serde(rename = "account")]
    Account,
    /// Those of one service.
    #[serde(rename = "service")]
    Service(String),
    /// Those of one team.
    #[serde(rename = "team")]
    Team(String),
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account => f.write_str("account"),
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Team(id) => write!(f, "team:{id}"),
        }
    }
}

impl Filter {
    fn from_wire(wire: wire::Filter) -> Option<Self> {
        match (wire.kind.as_str(), wire.id) {
            ("account_reference", _) => Some(Self::Account),
            ("service_reference", Some(id)) => Some(Self::Service(id)),
            ("team_reference", Some(id)) => Some(Self::Team(id)),
            _ => None,
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Account => json!({"type": "account_reference"}),
            Self::Service(id) => json!({"type": "service_reference", "id": id}),
            Self::Team(id) => json!({"type": "team_reference", "id": id}),
        }
    }
}

/// A webhook subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The ID.
    pub(crate) id: String,
    /// Where it delivers to, without user name and password; none if PagerDuty shows no URL.
    pub(crate) url: Option<Url>,
    /// The description that was given at its creation.
    pub(crate) description: Option<String>,
    /// The event types it delivers.
    pub(crate) events: Vec<String>,
    /// Which events it delivers; none if the filter is of an unknown kind.
    pub(crate) filter: Option<Filter>,
    /// Whether it has settings that PagerDuty does not show, such as a password or custom headers.
    pub(crate) has_hidden_settings: bool,
    /// Whether its owner wants it to deliver.
    pub(crate) active: bool,
    /// Whether PagerDuty disabled it for a day because too many deliveries failed.
    pub(crate) temporarily_disabled: bool,
}

/// A subscription that is to be created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubscriptionRequest<'r> {
    /// Where it is to deliver to.
    pub(crate) url: &'r Url,
    /// What people in PagerDuty read about it.
    pub(crate) description: &'r str,
    /// The event types it is to deliver.
    pub(crate) events: &'r [&'r str],
    /// Which events it is to deliver.
    pub(crate) filter: &'r Filter,
}

/// A subscription just created, with its secret, which PagerDuty shows only this once.
#[derive(Clone, Debug)]
pub(crate) struct NewSubscription {
    /// The subscription.
    pub(crate) subscription: Subscription,
    /// The secret that signs its deliveries.
    pub(crate) secret: SecretString,
}

impl Client {
    /// All webhook subscriptions of the account.
    pub(crate) async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        let mut found: Vec<Subscription> = Vec::new();
        while (found.len() as u64) < END_OF_LIST {
            let mut url = self.url([ROOT])?;
            url.query_pairs_mut()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &found.len().to_string());
            let SubscriptionPage { webhook_subscriptions: subscriptions, page } =
                self.fetch(Request::get(Operation::ListSubscriptions, url)).await?;
            page.check(found.len() as u64, subscriptions.len())?;
            found.extend(subscriptions.into_iter().map(Subscription::from));
            if !page.more {
                return Ok(found);
            }
        }
        Err(Error::Invalid("the list of webhook subscriptions has no end".to_owned()))
    }

    /// One webhook subscription.
    pub(crate) async fn subscription(&self, id: &str) -> Result<Subscription, Error> {
        let url = self.url([ROOT, id])?;
        let SubscriptionBody { webhook_subscription } =
            self.fetch(Request::get(Operation::GetSubscription, url)).await?;
        if webhook_subscription.id.0 != id {
            return Err(Error::Invalid(format!(
                "webhook subscription {id}: the answer is about another one"
            )));
        }
        Ok(webhook_subscription.into())
    }

    /// Creates a subscription. The request is sent again only if PagerDuty surely did not execute it.
    pub(crate) async fn create_subscription(
        &self,
        request: SubscriptionRequest<'_>,
    ) -> Result<NewSubscription, Error> {
        let SubscriptionRequest { url, description, events, filter } = request;
        let body = json!({"webhook_subscription": {
            "type": "webhook_subscription",
            "delivery_method": {"type": "http_delivery_method", "url": url.as_str()},
            "events": events,
            "filter": filter.json(),
            "description": description,
            "active": true,
        }});
        let request =
            Request::new(Operation::CreateSubscription, Method::POST, self.url([ROOT])?).with_body(body);
        let SubscriptionBody { mut webhook_subscription } = self.fetch(request).await?;
        let id = &webhook_subscription.id.0;
        let secret =
            webhook_subscription.delivery_method.secret.take().ok_or_else(|| {
                Error::Invalid(format!("webhook subscription {id} was made without a secret"))
            })?;
        Ok(NewSubscription { subscription: webhook_subscription.into(), secret })
    }

    /// Changes which event types a subscription delivers; everything else about it stays.
    pub(crate) async fn set_subscription_events(
        &self,
        id: &str,
        events: &[&str],
    ) -> Result<Subscription, Error> {
        let body = json!({"webhook_subscription": {"type": "webhook_subscription", "events": events}});
        let request = Request::new(Operation::UpdateSubscription, Method::PUT, self.url([ROOT, id])?);
        let SubscriptionBody { webhook_subscription } = self.fetch(request.with_body(body)).await?;
        let changed = Subscription::from(webhook_subscription);
        if events.iter().all(|event| changed.events.iter().any(|has| has == event)) {
            return Ok(changed);
        }
        Err(Error::Invalid(format!("webhook subscription {id} does not have all of the event types")))
    }

    /// Deletes a subscription.
    pub(crate) async fn delete_subscription(&self, id: &str) -> Result<(), Error> {
        self.send(Request::new(Operation::DeleteSubscription, Method::DELETE, self.url([ROOT, id])?)).await
    }

    /// Enables a subscription that PagerDuty disabled.
    pub(crate) async fn enable_subscription(&self, id: &str) -> Result<(), Error> {
        self.send(Request::new(Operation::EnableSubscription, Method::POST, self.url([ROOT, id, "enable"])?))
            .await
    }

    /// Makes PagerDuty deliver a test event.
    pub(crate) async fn ping_subscription(&self, id: &str) -> Result<(), Error> {
        self.send(Request::new(Operation::PingSubscription, Method::POST, self.url([ROOT, id, "ping"])?))
            .await
    }
}

impl From<wire::Subscription> for Subscription {
    fn from(wire: wire::Subscription) -> Self {
        let wire::Subscription { id, active, description, events, delivery_method, filter, oauth_client } =
            wire;
        let raw = delivery_method.url.unwrap_or_default();
        let url = without_credentials(&raw);
        let has_credentials =
            Url::parse(&raw).is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
        let has_headers = delivery_method.custom_headers.is_some_and(|headers| !headers.is_empty());
        Self {
            id: id.0,
            url,
            filter: filter.and_then(Filter::from_wire),
            has_hidden_settings: has_credentials
                || has_headers
                || oauth_client.is_some_and(|one| !one.is_null()),
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
