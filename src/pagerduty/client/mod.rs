//! The REST client: few requests at a time, each with a time limit, and a strict reading of every answer.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::{Proxy, Url};
use rustls::ClientConfig;
use tokio::{sync::watch, time::Instant};

use self::{
    auth::Auth,
    http::Connection,
    names::NameObserver,
    observer::CallObserver,
    operation::Operation,
    retry::RetryPolicy,
    schedules::Kind,
    slots::{Precedence, Slots},
};
use crate::model::{ScheduleId, instant::to_second};

mod list;
mod members;
mod names;
mod schedules;

pub(super) mod directory;
pub(super) mod on_calls;
pub(super) mod subscriptions;

mod answer;
pub(super) mod auth;
pub(super) mod http;
pub(super) mod incidents;
pub(super) mod oauth;
pub(super) mod observer;
pub(super) mod operation;
mod pieces;
mod request;
mod retry;
pub(super) mod slots;

#[cfg(test)]
mod tests;

/// A client of one PagerDuty account. Clones share the connection, the slots to send and the rate limit.
#[derive(Clone)]
pub(crate) struct Client {
    base: Url,
    observer: Option<CallObserver>,
    names: Option<NameObserver>,
    retry: RetryPolicy,
    precedence: Precedence,
    /// Is told when a request gets its slot.
    sent: Option<Arc<watch::Sender<Option<Instant>>>>,
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    /// As whom all of them ask.
    auth: Auth,
    /// PagerDuty asks for few requests at a time per token.
    slots: Arc<Slots>,
    /// No request is sent before this instant, because the quota is used up.
    resume_at: Mutex<Option<Instant>>,
    /// The kind under which each schedule was last found. Only a hint: a schedule can be upgraded under the same ID.
    kinds: Mutex<HashMap<ScheduleId, Kind>>,
}

impl Client {
    /// A client for the API at `base`, authorised by an API key of an account or a user, or as an OAuth app.
    ///
    /// # Errors
    /// If no HTTP client can be made with `tls` and `proxy`.
    pub(crate) fn new(
        tls: ClientConfig,
        proxy: Option<Proxy>,
        base: Url,
        auth: Auth,
    ) -> reqwest::Result<Self> {
        let shared = Shared {
            connection: Connection::new(tls, proxy)?,
            auth,
            slots: Slots::new(),
            resume_at: Mutex::new(None),
            kinds: Mutex::new(HashMap::new()),
        };
        let (retry, precedence) = (RetryPolicy::default(), Precedence::Pass);
        Ok(Self {
            base,
            observer: None,
            names: None,
            retry,
            precedence,
            sent: None,
            shared: Arc::new(shared),
        })
    }

    /// The same client for requests of this precedence.
    #[must_use]
    pub(crate) fn with_precedence(&self, precedence: Precedence) -> Self {
        Self { precedence, ..self.clone() }
    }

    /// The same client for one of many requests that are made at once: each waits for its slot up to `queue`, and its answer
    /// is awaited for `answer`.
    #[must_use]
    pub(crate) fn among_many(&self, queue: Duration, answer: Duration) -> Self {
        let retry = RetryPolicy { queue, attempt: answer.min(self.retry.attempt), ..self.retry.clone() };
        Self { retry, ..self.clone() }
    }

    /// The same client, which sends each request once, and tells `sent` when.
    #[must_use]
    pub(crate) fn once(&self, sent: Arc<watch::Sender<Option<Instant>>>) -> Self {
        let retry = RetryPolicy { attempts: 1, ..self.retry.clone() };
        Self { retry, sent: Some(sent), ..self.clone() }
    }

    /// How long an answer to who is on call may take before something is wrong with it.
    pub(crate) fn patience(&self) -> Duration {
        self.shared.slots.patience(Operation::OnCalls)
    }

    /// The same client, which tells `observer` of every request that it sends from now on.
    #[must_use]
    pub(crate) fn with_observer(self, observer: CallObserver) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The same client, which tells `names` what things are called.
    #[must_use]
    pub(crate) fn with_names(self, names: NameObserver) -> Self {
        Self { names: Some(names), ..self }
    }
}

/// An instant as query parameters carry it: in UTC with a `Z`, since the `+` of an offset is easily lost on the way.
fn query_time(at: DateTime<Utc>) -> String {
    to_second(at)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}
