//! Webhook subscriptions: what they ask for, what waits in their queue, and what became of each delivery.

use std::collections::VecDeque;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::endpoint::Endpoint;
use super::event::Event;

/// How long a subscription stays disabled after too many dropped deliveries.
const DISABLED_FOR: TimeDelta = TimeDelta::hours(24);
/// The documented number of subscriptions that one scope may have.
pub(crate) const MAX_PER_SCOPE: usize = 10;

/// A subscription, as made over the REST API.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its ID.
    pub id: String,
    /// Where it delivers to, with the secret.
    pub endpoint: Endpoint,
    /// Free text.
    pub description: Option<String>,
    /// The event types that it asks for.
    pub events: Vec<String>,
    /// Whose events it asks for.
    pub scope: Scope,
    /// False when its owner switched it off.
    pub active: bool,
    /// Set when PagerDuty disabled it, until then.
    pub disabled_until: Option<DateTime<Utc>>,
    /// Dropped deliveries in a row.
    drops: u32,
    pub(crate) queue: VecDeque<Queued>,
    /// Whether a task is delivering from the queue.
    pub(crate) delivering: bool,
}

/// Whose events a subscription asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The events of the whole account.
    Account,
    /// The events of the service with this ID.
    Service(String),
    /// The events of the team with this ID.
    Team(String),
}

/// An event that waits for its delivery.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) webhook_id: String,
    pub(crate) event_type: String,
    pub(crate) body: Bytes,
}

/// One attempt to deliver an event to a subscription.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// The ID of the subscription.
    pub subscription: String,
    /// The same in all attempts to deliver one event.
    pub webhook_id: String,
    /// The event type.
    pub event_type: String,
    /// The HTTP status of the answer; nothing after a timeout or without a connection.
    pub status: Option<u16>,
    /// What became of the attempt.
    pub outcome: Outcome,
}

/// What became of one attempt to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver answered 2xx.
    Delivered,
    /// It failed and is retried after a wait.
    TriedAgain,
    /// The receiver refused it, or the retries are used up.
    Dropped,
}

impl Subscription {
    /// An active subscription that asks for no event yet.
    pub(crate) fn new(id: String, endpoint: Endpoint) -> Self {
        Self {
            id,
            endpoint,
            description: None,
            events: Vec::new(),
            scope: Scope::Account,
            active: true,
            disabled_until: None,
            drops: 0,
            queue: VecDeque::new(),
            delivering: false,
        }
    }

    /// Whether PagerDuty has disabled it.
    pub fn disabled(&self, now: DateTime<Utc>) -> bool {
        self.disabled_until.is_some_and(|until| now < until)
    }

    pub(crate) fn enable(&mut self) {
        self.disabled_until = None;
        self.drops = 0;
    }

    pub(crate) fn asks_for(&self, event: &Event) -> bool {
        self.active && self.events.contains(&event.event_type) && self.scope.contains(event)
    }

    /// Counts dropped deliveries; `disable_after` of them in a row disable the subscription and empty its queue.
    pub(crate) fn settle(&mut self, outcome: Outcome, disable_after: u32, now: DateTime<Utc>) {
        match outcome {
            Outcome::Delivered => self.drops = 0,
            Outcome::TriedAgain => {}
            Outcome::Dropped => {
                self.drops += 1;
                if self.drops >= disable_after {
                    self.disabled_until = Some(now + DISABLED_FOR);
                    self.queue.clear();
                }
            }
        }
    }
}

impl Scope {
    /// Its name in filters: `account`, `service` or `team`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Service(_) => "service",
            Self::Team(_) => "team",
        }
    }

    /// The ID of the service or team.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Account => None,
            Self::Service(id) | Self::Team(id) => Some(id),
        }
    }

    fn contains(&self, event: &Event) -> bool {
        let data = &event.data;
        match self {
            Self::Account => true,
            Self::Service(id) if event.resource_type == "service" => data["id"] == id.as_str(),
            Self::Service(id) => data["service"]["id"] == id.as_str(),
            Self::Team(id) => data["teams"]
                .as_array()
                .is_some_and(|teams| teams.iter().any(|team| team["id"] == id.as_str())),
        }
    }
}

impl Queued {
    pub(crate) fn new(event: &Event) -> Self {
        Self {
            webhook_id: uuid::Uuid::now_v7().to_string(),
            event_type: event.event_type.clone(),
            body: event.body(),
        }
    }
}
