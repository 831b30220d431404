//! The REST client: one request at a time, bounded in time, and no answer taken for more than it is.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::Mutex;
use reqwest::{Url, redirect};
use rustls::ClientConfig;
use secrecy::SecretString;
use tokio::{sync::Semaphore, time::Instant};

use self::{retry::RetryPolicy, schedules::Kind};
use crate::model::ScheduleId;

pub use self::request::{Call, Observer};

pub(super) mod directory;
mod on_calls;
mod request;
mod retry;
mod schedules;
pub(super) mod subscriptions;
#[cfg(test)]
mod tests;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Speaks with one PagerDuty account. Clones share the connection, the turn to send and the rate limit.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
    observer: Option<Observer>,
    retry: RetryPolicy,
    shared: Arc<Shared>,
}

struct Shared {
    /// PagerDuty asks for one request at a time per token.
    turn: Semaphore,
    /// Nothing is sent before this instant, because the quota is used up.
    resume_at: Mutex<Option<Instant>>,
    /// How each schedule was found last. Only a hint: a schedule can be upgraded under the same ID.
    kinds: Mutex<HashMap<ScheduleId, Kind>>,
}

/// An HTTP client as PagerDuty's API needs it: bounded, and never carrying the token to another place.
pub fn http_client(mut tls: ClientConfig) -> reqwest::Result<reqwest::Client> {
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
    pub fn new(http: reqwest::Client, base: Url, token: SecretString) -> Self {
        let shared = Shared {
            turn: Semaphore::new(1),
            resume_at: Mutex::new(None),
            kinds: Mutex::new(HashMap::new()),
        };
        Self { http, base, token, observer: None, retry: RetryPolicy::default(), shared: Arc::new(shared) }
    }

    /// The same client, telling `observer` about every request it sends from now on.
    #[must_use]
    pub fn with_observer(self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }
}

/// A time as query parameters carry it: in UTC with a `Z`, since the `+` of an offset is easily lost on the way.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}
