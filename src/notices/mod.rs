//! Tells others what changed: Standard Webhooks 1.0, or Slack.
//!
//! Nothing here decides who gets access, and no access waits for it: what is told is read from the decision log and the
//! outbox in the store (`store/notices.rs`), by one replica at a time, and each endpoint has a task of its own.

mod deliver;
mod endpoints;
mod fold;
mod request;
mod run;
mod words;

#[cfg(test)]
mod hostile;

pub(crate) use self::{
    deliver::Sender,
    endpoints::{EndpointView, Standing, views},
    request::{client, sample},
    run::{NameSource, begin, once, run},
};
