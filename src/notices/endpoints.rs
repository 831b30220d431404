//! How each endpoint fares, for people: from the configuration and the store, without asking it.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use url::Url;

use crate::{
    config::{Endpoint, NoticeFormat},
    store::{EndpointState, Error, SharedStore},
};

/// An endpoint, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct EndpointView {
    /// Its name.
    pub(crate) name: String,
    /// How notices are written: `Standard Webhooks` or `Slack`.
    pub(crate) format: &'static str,
    /// The host that it is at. The rest of the address is a secret.
    pub(crate) host: String,
    /// What it is told of; everything, if nothing is said.
    pub(crate) events: Vec<&'static str>,
    /// None before a service or `sync` made it known to the store.
    pub(crate) state: Option<EndpointState>,
    /// How many notices wait for it.
    pub(crate) waiting: i64,
    /// When what the first of them tells was.
    pub(crate) oldest: Option<DateTime<Utc>>,
}

/// How an endpoint fares, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was not told anything yet.
    New,
    /// Nothing waits.
    UpToDate,
    /// Something is about to be sent.
    Waits,
    /// It takes no notices.
    Fails,
    /// It said that it is gone.
    Stopped,
}

impl EndpointView {
    /// What the configuration says of it.
    pub(crate) fn configured(endpoint: &Endpoint) -> Self {
        let host = Url::parse(endpoint.url.expose_secret()).ok();
        let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let events = endpoint.events.iter().flatten().map(|kind| kind.as_str()).collect();
        Self {
            name: endpoint.name.clone(),
            format: match endpoint.format {
                NoticeFormat::Standard(_) => "Standard Webhooks",
                NoticeFormat::Slack => "Slack",
            },
            host,
            events,
            state: None,
            waiting: 0,
            oldest: None,
        }
    }

    /// How it fares.
    pub(crate) fn standing(&self) -> Standing {
        match &self.state {
            None => Standing::New,
            Some(state) if state.stopped => Standing::Stopped,
            Some(state) if state.attempts > 0 => Standing::Fails,
            Some(_) if self.waiting > 0 => Standing::Waits,
            Some(_) => Standing::UpToDate,
        }
    }
}

/// How these endpoints fare, as the store says. Writes nothing.
pub(crate) async fn views(store: &SharedStore, endpoints: &[Endpoint]) -> Result<Vec<EndpointView>, Error> {
    let mut views = Vec::new();
    for endpoint in endpoints {
        let mut view = EndpointView::configured(endpoint);
        view.state = store.known_endpoint(&endpoint.name).await?;
        if let Some(state) = &view.state {
            let mut waiting = store.waiting(state.next).await?;
            waiting.retain(|one| endpoint.events.as_ref().is_none_or(|events| events.contains(&one.kind)));
            view.waiting = waiting.iter().map(|one| one.count).sum();
            view.oldest = waiting.iter().map(|one| one.since).min();
        }
        views.push(view);
    }
    Ok(views)
}
