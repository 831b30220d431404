//! Sends notices to one endpoint, one after the other.

use std::{fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{
    Client, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

use super::{fold::NEWS_FOR, request::request};
use crate::{
    clock,
    config::Endpoint,
    metrics::{ByResult, Metrics},
    model::{connection_in_words, with_causes},
    store::{self, EndpointState, SharedStore, StoredNotice},
};

/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(2);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(10);

/// Sends to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) client: Client,
    pub(crate) metrics: Arc<Metrics>,
}

/// Why an endpoint did not take a notice. The text does not show where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words.
    pub(crate) error: String,
    /// The endpoint says that it is gone for good.
    is_gone: bool,
    /// How long it asks us to wait.
    wait: Option<TimeDelta>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There may be more.
    More,
    /// Nothing is due before.
    Wait(DateTime<Utc>),
    /// Nothing is there.
    Idle,
}

/// What an endpoint means by its answer.
pub(super) fn understood(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Failure {
        error: if status.is_redirection() {
            format!(
                "it answered {status}, and redirects are not followed: configure the address that it names"
            )
        } else {
            format!("it answered {status}")
        },
        is_gone: status == StatusCode::GONE,
        // What is no length of time is no wish.
        wait: wait.and_then(TimeDelta::try_seconds),
    })
}

impl Sender {
    /// Sends one notice once.
    pub(crate) async fn send(&self, store_id: &str, notice: &StoredNotice) -> Result<(), Failure> {
        let sending = request(&self.client, &self.endpoint, store_id, notice, clock::now()).send();
        let answer = sending.await.map_err(|error| {
            let text = with_causes(&error.without_url());
            let error = connection_in_words(text, "the endpoint", "the address of the notices");
            Failure { error, is_gone: false, wait: None }
        })?;
        // What it says beyond these is not read: it may be as long as it likes.
        understood(answer.status(), answer.headers())
    }

    /// Sends what is due, if anything is, and remembers what came of it.
    pub(super) async fn step(
        &self,
        store: &SharedStore,
        store_id: &str,
        when: When,
    ) -> Result<Next, store::Error> {
        let name = &self.endpoint.name;
        let mut state = store.endpoint(name).await?;
        let now = clock::now();
        if state.stopped {
            return Ok(Next::Idle);
        }
        if when == When::Due && state.due > now {
            return Ok(Next::Wait(state.due));
        }
        let Some(notice) = store.next_notice(state.next).await? else { return Ok(Next::Idle) };
        let is_wanted = self.endpoint.events.as_ref().is_none_or(|events| events.contains(&notice.kind));
        let is_old = now - notice.at >= NEWS_FOR;
        if !is_wanted || is_old {
            if is_wanted {
                self.count("dropped");
                state.dropped += 1;
                tracing::error!("a notice for {name:?} was dropped: it could not be sent for 24 hours");
            }
            state = EndpointState { next: notice.seq + 1, attempts: 0, due: now, ..state };
            store.set_endpoint(name, &state).await?;
            return Ok(Next::More);
        }
        let sent = self.send(store_id, &notice).await;
        let next = self.record(&mut state, &notice, sent, clock::now());
        store.set_endpoint(name, &state).await?;
        Ok(next)
    }

    pub(super) fn record(
        &self,
        state: &mut EndpointState,
        notice: &StoredNotice,
        sent: Result<(), Failure>,
        now: DateTime<Utc>,
    ) -> Next {
        let name = &self.endpoint.name;
        let failure = match sent {
            Ok(()) => {
                self.count("sent");
                if state.attempts > 0 {
                    tracing::info!("notices for {name:?} are taken again");
                }
                (state.next, state.attempts, state.due) = (notice.seq + 1, 0, now);
                state.sent = Some(now);
                return Next::More;
            }
            Err(failure) => failure,
        };
        self.count("failed");
        state.failure = Some((now, failure.to_string()));
        if failure.is_gone {
            tracing::error!(
                "notices for {name:?} are not sent before the next start: the endpoint says that it is gone (410)"
            );
            state.stopped = true;
            return Next::Idle;
        }
        if state.attempts == 0 {
            tracing::warn!("a notice for {name:?} could not be sent, and is tried again: {failure}");
        }
        let pause = FIRST_PAUSE * 2_i32.pow(state.attempts.min(9));
        let pause = failure.wait.map_or(pause, |wait| wait.max(pause)).min(LONGEST_PAUSE);
        state.attempts = state.attempts.saturating_add(1);
        state.due = now + pause;
        Next::Wait(state.due)
    }

    fn count(&self, result: &'static str) {
        self.metrics.notices.get_or_create(&ByResult { result }).inc();
    }
}

/// Whether a pause after a failure is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// It is.
    Due,
    /// It is not: nobody comes later.
    Now,
}
