//! One call: it waits for its slot, sends the request, retries where that is safe, and obeys the rate limit.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::debug;

use super::{
    Client,
    answer::{Head, error_text, read_body},
    auth::Authorization,
    http::connection_error,
    observer::CallOutcome,
    operation::Operation,
    slots::Slot,
};
use crate::pagerduty::{Error, wire};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.pagerduty+json;version=2");
/// With so few requests left, others who use the same key come first.
const FEW_LEFT: u64 = 3;
/// With less than this part of a limit left, requests are sent one by one.
const LITTLE_LEFT: u64 = 10;

pub(super) struct Request {
    operation: Operation,
    method: Method,
    url: Url,
    /// Where to ask for less and less, should PagerDuty fail at the whole.
    smaller: Vec<Url>,
    body: Option<Value>,
    /// Whether sending it twice has the same effect as once.
    idempotent: bool,
}

impl Request {
    pub(super) fn new(operation: Operation, method: Method, url: Url) -> Self {
        let idempotent = method != Method::POST;
        Self { operation, method, url, smaller: Vec::new(), body: None, idempotent }
    }

    /// The same request, but after an attempt at which PagerDuty failed or took too long, the next one asks for less.
    pub(super) fn or_less(self, smaller: Vec<Url>) -> Self {
        Self { smaller, ..self }
    }

    pub(super) fn get(operation: Operation, url: Url) -> Self {
        Self::new(operation, Method::GET, url)
    }

    pub(super) fn with_body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Puts the request before an error's text; the query is left out for brevity.
    fn describe(&self, text: &str) -> String {
        format!("{} {}: {text}", self.method, self.url.path())
    }
}

/// A failed attempt.
struct Failure {
    error: Error,
    /// Whether it is safe to send the request again, and may help.
    retry: bool,
    /// The connection is there, but nothing comes.
    timed_out: bool,
}

impl Failure {
    /// It may pass, but the request may have been executed: only an idempotent one is sent again.
    fn transient(request: &Request, error: Error) -> Self {
        Self { error, retry: request.idempotent, timed_out: false }
    }

    /// The request was surely not executed, so that any may be sent again.
    fn not_executed(error: Error) -> Self {
        Self { error, retry: true, timed_out: false }
    }

    /// The same request would fail again.
    fn permanent(error: Error) -> Self {
        Self { error, retry: false, timed_out: false }
    }

    /// No answer came in time.
    fn timeout(request: &Request) -> Self {
        let error = Error::Unavailable(request.describe("timed out"));
        Self { timed_out: true, ..Self::transient(request, error) }
    }

    /// No answer came for long, and others wait.
    fn called_back(request: &Request) -> Self {
        let error = Error::Unavailable(request.describe("no answer came while others were answered"));
        Self { timed_out: true, ..Self::permanent(error) }
    }

    /// No whole answer came.
    fn connection(request: &Request, error: reqwest::Error) -> Self {
        let (was_connected, timed_out) = (!error.is_connect(), error.is_timeout());
        let error = Error::Unavailable(request.describe(&connection_error(error, "pagerduty.api_url")));
        if was_connected {
            Self { timed_out, ..Self::transient(request, error) }
        } else {
            Self::not_executed(error)
        }
    }

    /// The body is not what was expected.
    fn body(request: &Request, error: &serde_json::Error) -> Self {
        if error.is_eof() {
            let text = request.describe("the answer was cut off");
            return Self::transient(request, Error::Unavailable(text));
        }
        Self::permanent(Error::Invalid(request.describe(&wire::without_values(error))))
    }
}

impl Client {
    /// The address of a resource. Every segment is escaped, so that an ID cannot name another resource.
    pub(super) fn url<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Invalid("the API's address has no path".to_owned()))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    /// Calls the API, and reads the body of the answer.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        self.call(&request, |body| serde_json::from_slice(body)).await
    }

    /// Calls the API where the body of the answer does not matter.
    pub(super) async fn send(&self, request: Request) -> Result<(), Error> {
        self.call(&request, |_| Ok(())).await
    }

    async fn call<T>(
        &self,
        request: &Request,
        read: impl Fn(&[u8]) -> serde_json::Result<T>,
    ) -> Result<T, Error> {
        let mut deadline = Instant::now() + self.retry.call;
        let mut delays = self.retry.delays();
        let (mut url, mut smaller) = (&request.url, request.smaller.iter());
        let mut queue = Some(self.retry.queue);
        let mut was_refused = false;
        loop {
            let authorization = self.authorize(request, deadline).await?;
            let slot = self.slot(request, deadline + queue.unwrap_or_default()).await?;
            let now = Instant::now();
            if queue.take().is_some_and(|queue| !queue.is_zero()) {
                deadline = now + self.retry.call;
            }
            if let Some(sent) = &self.sent {
                sent.send_replace(Some(now));
            }
            let attempt = self.attempt(request, url, &authorization, &read, deadline, slot).await;
            let failure = match attempt {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if let Error::Unauthorized(_) = failure.error
                && !was_refused
                && self.shared.auth.refused(&authorization)
            {
                was_refused = true;
                continue;
            }
            // A pause that outlasts the call ends it with what went wrong, rather than with the pause.
            let resume_at = (*self.shared.resume_at.lock()).unwrap_or_else(Instant::now);
            let in_time = |delay: &Duration| resume_at.max(Instant::now() + *delay) < deadline;
            let delay = delays.next().filter(|delay| failure.retry && in_time(delay));
            let Some(delay) = delay else { return Err(failure.error) };
            debug!(operation = request.operation.name(), error = %failure.error, "asking PagerDuty again");
            if let Error::RateLimited { .. } = failure.error {
                // PagerDuty may not have said how long to wait; at least nobody else asks in the meantime.
                self.pause(delay);
            }
            if let Error::Server(_) | Error::Unavailable(_) = failure.error {
                url = smaller.next().unwrap_or(url);
            }
            sleep(delay).await;
        }
    }

    /// What the request is authorised by.
    async fn authorize(&self, request: &Request, deadline: Instant) -> Result<Authorization<'_>, Error> {
        let late = |_| Error::Unavailable(request.describe("no OAuth token came in time"));
        timeout_at(deadline, self.shared.auth.authorize(self.observer.as_ref())).await.map_err(late)?
    }

    /// The scopes that PagerDuty granted to the OAuth app as which this client asks; none if it has an API key.
    pub(crate) async fn granted_scopes(&self) -> Result<Option<BTreeSet<String>>, Error> {
        let late = |_| Error::Unavailable("no OAuth token came in time".to_owned());
        let deadline = Instant::now() + self.retry.call;
        timeout_at(deadline, self.shared.auth.granted(self.observer.as_ref())).await.map_err(late)?
    }

    /// Waits until few other requests are in flight and no pause is on.
    async fn slot(&self, request: &Request, deadline: Instant) -> Result<Slot, Error> {
        let late = |_| Error::Unavailable(request.describe("other requests took too long"));
        loop {
            let slot = self.shared.slots.take(self.precedence, request.operation);
            let slot = timeout_at(deadline, slot).await.map_err(late)?;
            let now = Instant::now();
            let resume_at = *self.shared.resume_at.lock();
            let Some(resume_at) = resume_at.filter(|at| *at > now) else { return Ok(slot) };
            if resume_at >= deadline.min(now + self.retry.call) {
                return Err(Error::RateLimited { retry_after: resume_at - now });
            }
            drop(slot);
            sleep_until(resume_at).await;
        }
    }

    /// Sends nothing for so long.
    fn pause(&self, delay: Duration) {
        let mut resume_at = self.shared.resume_at.lock();
        *resume_at = (*resume_at).max(Some(Instant::now() + delay));
    }

    /// Sends once, reads the answer, and tells the observer. A request that times out while others of its kind are
    /// answered is not sent again: what it asks for is at fault. If nothing was answered meanwhile, the connection is.
    async fn attempt<T>(
        &self,
        request: &Request,
        url: &Url,
        authorization: &Authorization<'_>,
        read: &impl Fn(&[u8]) -> serde_json::Result<T>,
        deadline: Instant,
        mut slot: Slot,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let mut head = Head::default();
        let limit = deadline.min(started + self.retry.attempt);
        let http = self.shared.connection.client();
        let mut exchanged = tokio::select! {
            biased;
            exchanged = timeout_at(limit, self.exchange(&http, request, url, authorization, &mut head)) => {
                exchanged.unwrap_or_else(|_| Err(Failure::timeout(request)))
            }
            () = slot.called_back() => Err(Failure::called_back(request)),
        };
        if head.status.is_some() {
            slot.answered();
        }
        drop(slot);
        if let Err(failure @ Failure { timed_out: true, .. }) = &mut exchanged {
            if !self.shared.slots.answered_since(started) {
                self.shared.connection.replace(&http);
            }
            failure.retry &= !self.shared.slots.answered_such_since(request.operation, started);
        }
        self.respect_rate_limit(&head);
        let result = exchanged.and_then(|body| read(&body).map_err(|error| Failure::body(request, &error)));
        if let Some(observer) = &self.observer {
            observer(&CallOutcome {
                operation: request.operation,
                status: head.status.map(|status| status.as_u16()),
                error: result.as_ref().err().map(|failure| &failure.error),
                seconds: started.elapsed().as_secs_f64(),
                rate_limit: head.rate_limit(),
                server_date: head.date,
            });
        }
        result
    }

    async fn exchange(
        &self,
        http: &reqwest::Client,
        request: &Request,
        url: &Url,
        authorization: &Authorization<'_>,
        head: &mut Head,
    ) -> Result<Bytes, Failure> {
        let failed = |error: reqwest::Error| Failure::connection(request, error);
        let mut builder = http
            .request(request.method.clone(), url.clone())
            .header(ACCEPT, MEDIA_TYPE)
            .header(AUTHORIZATION, authorization.header().map_err(Failure::permanent)?);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(failed)?;
        *head = Head::read(response.status(), response.headers());
        let status = response.status();
        if status != StatusCode::UNAUTHORIZED {
            authorization.taken();
        }
        if status.is_success() {
            let body = read_body(response).await.map_err(failed)?;
            return body.ok_or_else(|| {
                Failure::permanent(Error::Invalid(request.describe("the answer is far too long")))
            });
        }
        // The text is an extra: a status without a readable body says as much.
        let body = read_body(response).await.ok().flatten().unwrap_or_default();
        Err(self.refused(request, status, authorization, head, &body))
    }

    /// What a status other than success means.
    fn refused(
        &self,
        request: &Request,
        status: StatusCode,
        authorization: &Authorization<'_>,
        head: &Head,
        body: &[u8],
    ) -> Failure {
        if status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = self.pause_asked_for(head).unwrap_or(self.retry.first_delay);
            return Failure::not_executed(Error::RateLimited { retry_after });
        }
        let text = match error_text(body, authorization.secret()) {
            text if text.is_empty() => request.describe(&status.to_string()),
            text => request.describe(&format!("{status}: {text}")),
        };
        match Error::of_status(status.as_u16(), text) {
            error @ Error::Server(_) => Failure::transient(request, error),
            error => Failure::permanent(error),
        }
    }

    /// Pauses if PagerDuty asked for it, or its quota is used up, or nearly.
    fn respect_rate_limit(&self, head: &Head) {
        if let Some(pause) = self.pause_asked_for(head) {
            self.pause(pause);
        }
        if let (Some(limit), Some(remaining)) = (head.limit, head.remaining)
            && remaining < limit / LITTLE_LEFT
        {
            let until_reset = head.reset.map_or(self.retry.longest_pause, |reset| self.seconds(reset));
            self.shared.slots.narrow(until_reset.min(self.retry.longest_pause));
        }
    }

    /// For how long nothing should be sent after an answer: until what it asked for, or until the quota is refilled.
    pub(super) fn pause_asked_for(&self, head: &Head) -> Option<Duration> {
        let status = head.status?;
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        let until_reset = head.reset.map(|reset| self.seconds(reset));
        let until_retry = head.retry_after.filter(|_| refused || status.is_server_error());
        let until_retry =
            until_retry.map(|seconds| self.seconds(seconds).min(self.retry.longest_retry_after));
        let longest = match head.remaining {
            _ if refused => self.retry.longest_pause,
            Some(0) => self.retry.longest_pause,
            Some(remaining) if remaining <= FEW_LEFT => self.retry.longest_slowdown,
            Some(_) | None => return until_retry,
        };
        until_retry.max(until_reset.map(|pause| pause.min(longest)))
    }

    fn seconds(&self, count: u64) -> Duration {
        self.retry.second.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
