//! What this program uses of PagerDuty: signed v3 webhooks as hints, and the REST API as the truth about on-calls.
//!
//! Nothing in a webhook decides about access; it only says whose on-calls to ask for. Every answer of the API is read
//! strictly: one that is incomplete, cut off or contradicts itself is an [`Error`], never an empty list.
//!
//! See <https://developer.pagerduty.com/docs/webhooks-overview> and <https://developer.pagerduty.com/api-reference>.

mod event;
pub(crate) mod signature;

mod client;
mod error;
mod scope;
mod wire;

#[cfg(test)]
mod hostile;

pub(crate) use self::{
    client::{
        Client,
        auth::Auth,
        directory::{PolicyInfo, PolicyLevel, User},
        http::{Connection, http_client},
        incidents::{OpenIncidents, UnreadableIncident},
        oauth::{App, Tokens},
        observer::{CallObserver, RateLimit},
        on_calls::IDS_AT_ONCE,
        operation::Operation,
        slots::Precedence,
        subscriptions::{
            COMMON_EVENTS, Filter, INCIDENT_EVENTS, NewSubscription, Subscription, SubscriptionRequest,
        },
    },
    error::Error,
    event::{Event, Hint, Mentioned},
    scope::Scope,
};
