//! The REST client: one request at a time, each with a time limit, and a strict reading of every answer.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::Mutex;
use reqwest::{Url, redirect};
use rustls::ClientConfig;
use secrecy::SecretString;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use self::{request::CallObserver, retry::RetryPolicy, schedules::Kind};
use crate::model::ScheduleId;

mod on_calls;
mod schedules;

pub(super) mod directory;
pub(super) mod subscriptions;

mod answer;
mod auth;
mod operation;
pub(super) mod request;
mod retry;

#[cfg(test)]
mod tests;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one PagerDuty account. Clones share the connection, the turn to send and the rate limit.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
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
    /// PagerDuty asks for one request at a time per token.
    turn: Semaphore,
    /// How many passes ask.
    passes: watch::Sender<usize>,
    /// No request is sent before this instant, because the quota is used up.
    resume_at: Mutex<Option<Instant>>,
    /// The kind under which each schedule was last found. Only a hint: a schedule can be upgraded under the same ID.
    kinds: Mutex<HashMap<ScheduleId, Kind>>,
}

/// An HTTP client as PagerDuty's API needs it: it has time limits, and follows no redirect, which would carry the token to
/// another host.
pub(crate) fn http_client(mut tls: ClientConfig) -> reqwest::Result<reqwest::Client> {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("oncall-grants/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(RetryPolicy::default().attempt)
        .redirect(redirect::Policy::none())
        .gzip(true)
        .build()
}

impl Client {
    /// A client for the API at `base`, authorised by an API key of an account or a user.
    pub(crate) fn new(http: reqwest::Client, base: Url, token: SecretString) -> Self {
        let shared = Shared {
            turn: Semaphore::new(1),
            passes: watch::Sender::new(0),
            resume_at: Mutex::new(None),
            kinds: Mutex::new(HashMap::new()),
        };
        let (retry, urgency) = (RetryPolicy::default(), Urgency::AtOnce);
        Self { http, base, token, observer: None, retry, urgency, shared: Arc::new(shared) }
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
