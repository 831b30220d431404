//! What is served over HTTP: the webhook, health, metrics, and the operator's routes.
//!
//! A handler may read the store, take a delivery in, or ask the reconciler for a pass. It never talks to PagerDuty
//! or strongDM itself, so a webhook is answered however they fare.

mod api;
mod auth;
mod body;
mod error;
mod openapi;
mod page;
mod router;
mod webhook;

pub use self::{
    router::{App, layered, router},
    webhook::secrets::WebhookSecrets,
};
