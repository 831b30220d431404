//! The HTTP side: the webhook, the operator's routes and page, health and metrics.
//!
//! A handler may read the store, store a delivery, or ask the reconciler for a pass or an explanation. Only explanations
//! and passes wait for PagerDuty and strongDM, so a webhook is answered however they fare.

mod answers;
mod api;
mod auth;
mod body;
mod error;
mod openapi;
mod page;
mod router;
mod state;
mod store_check;
mod tokens;
mod webhook;

#[cfg(test)]
mod hostile;

pub(crate) use self::page::picture::{draw_html, draw_svg};
pub use self::router::layered;
pub(crate) use self::{
    router::router,
    state::AppState,
    tokens::Tokens,
    webhook::{refused::Senders, secrets::WebhookSecrets},
};
