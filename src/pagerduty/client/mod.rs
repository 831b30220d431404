//! The REST client: one request at a time, each with a time limit, and a strict reading of every answer.

use std::{collections::HashMap, fmt, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use hyper_util::client::proxy::matcher::Intercept;
use parking_lot::Mutex;
use reqwest::Url;
use rustls::ClientConfig;
use secrecy::SecretString;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use self::{http::Connection, request::CallObserver, retry::RetryPolicy, schedules::Kind};
use crate::model::ScheduleId;

mod on_calls;
mod schedules;

pub(super) mod directory;
pub(super) mod subscriptions;

mod answer;
mod auth;
pub(super) mod http;
mod operation;
mod pieces;
pub(super) mod request;
mod retry;

#[cfg(test)]
mod tests;

/// A client of one PagerDuty account. Clones share the connection, the turn to send and the rate limit.
#[derive(Clone)]
pub(crate) struct Client {
    base: Url,
    token: SecretString,
    observer: Option<CallObserver>,
    retry: RetryPolicy,
    urgency: Urgency,
    shared: Arc<Shared>,
}

/// Whose requests come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// Somebody's access may depend on the answer.
    AtOnce,
    /// Somebody only wants to know.
    BetweenPasses,
}

/// While there is one, patient clients send nothing.
pub(crate) struct Hurry(Arc<Shared>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.passes.send_modify(|passes| *passes -= 1);
    }
}

struct Shared {
    connection: Connection,
    /// PagerDuty asks for one request at a time per token.
    turn: Semaphore,
    /// How many passes ask.
    passes: watch::Sender<usize>,
    /// No request is sent before this instant, because the quota is used up.
    resume_at: Mutex<Option<Instant>>,
    /// The kind under which each schedule was last found. Only a hint: a schedule can be upgraded under the same ID.
    kinds: Mutex<HashMap<ScheduleId, Kind>>,
}

impl Client {
    /// A client for the API at `base`, authorised by an API key of an account or a user.
    ///
    /// # Errors
    /// If no HTTP client can be made with `tls` and `proxy`.
    pub(crate) fn new(
        tls: ClientConfig,
        proxy: Option<Intercept>,
        base: Url,
        token: SecretString,
    ) -> reqwest::Result<Self> {
        let shared = Shared {
            connection: Connection::new(tls, proxy)?,
            turn: Semaphore::new(1),
            passes: watch::Sender::new(0),
            resume_at: Mutex::new(None),
            kinds: Mutex::new(HashMap::new()),
        };
        let (retry, urgency) = (RetryPolicy::default(), Urgency::AtOnce);
        Ok(Self { base, token, observer: None, retry, urgency, shared: Arc::new(shared) })
    }

    /// The same client for whoever only wants to know: it sends nothing while a pass is in a hurry.
    #[must_use]
    pub(crate) fn patient(&self) -> Self {
        Self { urgency: Urgency::BetweenPasses, ..self.clone() }
    }

    /// Says that a pass asks, until what is returned is dropped.
    pub(crate) fn hurry(&self) -> Hurry {
        self.shared.passes.send_modify(|passes| *passes += 1);
        Hurry(Arc::clone(&self.shared))
    }

    /// The same client, which tells `observer` of every request that it sends from now on.
    #[must_use]
    pub(crate) fn with_observer(self, observer: CallObserver) -> Self {
        Self { observer: Some(observer), ..self }
    }
}

/// An instant as query parameters carry it: in UTC with a `Z`, since the `+` of an offset is easily lost on the way.
fn query_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}
