//! One call: it waits for its turn, sends the request, retries where that is safe, and obeys the rate limit.

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::debug;

use super::{
    Client, Urgency,
    answer::{Head, error_text, read_body},
    auth,
    operation::Operation,
};
use crate::pagerduty::{Error, wire};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.pagerduty+json;version=2");
/// With so few requests left, others who use the same key come first.
const FEW_LEFT: u64 = 3;

/// How one request to PagerDuty went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOutcome<'a> {
    /// What it was for.
    pub(crate) operation: Operation,
    /// The status of the answer; none if there was none.
    pub(crate) status: Option<u16>,
    /// Why it failed. Failures that are retried are included; so is the refusal that tells a schedule's kind.
    pub(crate) error: Option<&'a Error>,
    /// How long it took.
    pub(crate) seconds: f64,
    /// How many requests PagerDuty still allows in its current window.
    pub(crate) ratelimit_remaining: Option<u64>,
    /// The time on PagerDuty's clock.
    pub(crate) server_date: Option<DateTime<Utc>>,
}

/// Is told of every request, retries included. Must not block.
pub(crate) type CallObserver = Arc<dyn Fn(&CallOutcome<'_>) + Send + Sync>;

pub(super) struct Request {
    operation: Operation,
    method: Method,
    url: Url,
    body: Option<Value>,
    /// Whether sending it twice has the same effect as once.
    idempotent: bool,
}

impl Request {
    pub(super) fn new(operation: Operation, method: Method, url: Url) -> Self {
        let idempotent = method != Method::POST;
        Self { operation, method, url, body: None, idempotent }
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
}

impl Failure {
    /// It may pass, but the request may have been executed: only an idempotent one is sent again.
    fn transient(request: &Request, error: Error) -> Self {
        Self { error, retry: request.idempotent }
    }

    /// The request was surely not executed, so that any may be sent again.
    fn not_executed(error: Error) -> Self {
        Self { error, retry: true }
    }

    /// The same request would fail again.
    fn permanent(error: Error) -> Self {
        Self { error, retry: false }
    }

    /// No whole answer came.
    fn connection(request: &Request, error: reqwest::Error) -> Self {
        let was_connected = !error.is_connect();
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        // What the TLS library says of a peer that does not speak TLS.
        if text.contains("InvalidContentType") {
            text = format!("what answers there does not speak TLS; is pagerduty.api_url right? ({text})");
        }
        let error = Error::Unavailable(request.describe(&text));
        if was_connected { Self::transient(request, error) } else { Self::not_executed(error) }
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
        let deadline = Instant::now() + self.retry.call;
        let mut delays = self.retry.delays();
        loop {
            let turn = self.turn(request, deadline).await?;
            let attempt = self.attempt(request, &read, deadline).await;
            drop(turn);
            let failure = match attempt {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let delay = delays.next().filter(|delay| failure.retry && Instant::now() + *delay < deadline);
            let Some(delay) = delay else { return Err(failure.error) };
            debug!(operation = request.operation.name(), error = %failure.error, "asking PagerDuty again");
            if let Error::RateLimited { .. } = failure.error {
                // PagerDuty may not have said how long to wait; at least nobody else asks in the meantime.
                self.pause(delay);
            }
            sleep(delay).await;
        }
    }

    /// Waits until no other request is in flight and no pause is on.
    async fn turn(&self, request: &Request, deadline: Instant) -> Result<SemaphorePermit<'_>, Error> {
        let late = |_| Error::Unavailable(request.describe("other requests took too long"));
        loop {
            timeout_at(deadline, self.no_pass()).await.map_err(late)?;
            let turn = timeout_at(deadline, self.shared.turn.acquire()).await.map_err(late)?;
            let turn = turn.map_err(|_| Error::Unavailable(request.describe("shutting down")))?;
            if self.must_wait() {
                continue;
            }
            let now = Instant::now();
            let resume_at = *self.shared.resume_at.lock();
            let Some(resume_at) = resume_at.filter(|at| *at > now) else { return Ok(turn) };
            if resume_at >= deadline {
                return Err(Error::RateLimited { retry_after: resume_at - now });
            }
            drop(turn);
            sleep_until(resume_at).await;
        }
    }

    /// Waits until a patient client may send.
    async fn no_pass(&self) {
        let mut passes = self.shared.passes.subscribe();
        // Whoever keeps the client keeps the sender.
        drop(passes.wait_for(|_| !self.must_wait()).await);
    }

    fn must_wait(&self) -> bool {
        self.urgency == Urgency::BetweenPasses && *self.shared.passes.borrow() > 0
    }

    /// Sends nothing for so long.
    fn pause(&self, delay: Duration) {
        let mut resume_at = self.shared.resume_at.lock();
        *resume_at = (*resume_at).max(Some(Instant::now() + delay));
    }

    /// Sends once, reads the answer, and tells the observer.
    async fn attempt<T>(
        &self,
        request: &Request,
        read: &impl Fn(&[u8]) -> serde_json::Result<T>,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let mut head = Head::default();
        let limit = deadline.min(started + self.retry.attempt);
        let exchanged = timeout_at(limit, self.exchange(request, &mut head)).await.unwrap_or_else(|_| {
            Err(Failure::transient(request, Error::Unavailable(request.describe("timed out"))))
        });
        self.respect_rate_limit(&head);
        let result = exchanged.and_then(|body| read(&body).map_err(|error| Failure::body(request, &error)));
        if let Some(observer) = &self.observer {
            observer(&CallOutcome {
                operation: request.operation,
                status: head.status.map(|status| status.as_u16()),
                error: result.as_ref().err().map(|failure| &failure.error),
                seconds: started.elapsed().as_secs_f64(),
                ratelimit_remaining: head.remaining,
                server_date: head.date,
            });
        }
        result
    }

    async fn exchange(&self, request: &Request, head: &mut Head) -> Result<Bytes, Failure> {
        let failed = |error: reqwest::Error| Failure::connection(request, error);
        let mut builder = self
            .http
            .request(request.method.clone(), request.url.clone())
            .header(ACCEPT, MEDIA_TYPE)
            .header(AUTHORIZATION, auth::header(&self.token).map_err(Failure::permanent)?);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(failed)?;
        *head = Head::read(response.status(), response.headers());
        let status = response.status();
        if status.is_success() {
            let body = read_body(response).await.map_err(failed)?;
            return body.ok_or_else(|| {
                Failure::permanent(Error::Invalid(request.describe("the answer is far too long")))
            });
        }
        // The text is an extra: a status without a readable body says as much.
        let body = read_body(response).await.ok().flatten().unwrap_or_default();
        Err(self.refused(request, status, head, &body))
    }

    /// What a status other than success means.
    fn refused(&self, request: &Request, status: StatusCode, head: &Head, body: &[u8]) -> Failure {
        if status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = head.reset.map_or(self.retry.first_delay, |reset| self.seconds(reset));
            let retry_after = retry_after.min(self.retry.longest_pause);
            return Failure::not_executed(Error::RateLimited { retry_after });
        }
        let text = match error_text(body, self.token.expose_secret()) {
            text if text.is_empty() => request.describe(&status.to_string()),
            text => request.describe(&format!("{status}: {text}")),
        };
        match Error::of_status(status.as_u16(), text) {
            error @ Error::Server(_) => Failure::transient(request, error),
            error => Failure::permanent(error),
        }
    }

    /// Pauses if PagerDuty's quota is used up, or nearly.
    fn respect_rate_limit(&self, head: &Head) {
        let Some(reset) = head.reset.map(|reset| self.seconds(reset)) else { return };
        if head.status == Some(StatusCode::TOO_MANY_REQUESTS) || head.remaining == Some(0) {
            self.pause(reset.min(self.retry.longest_pause));
        } else if head.remaining.is_some_and(|remaining| remaining <= FEW_LEFT) {
            self.pause(reset.min(self.retry.longest_slowdown));
        }
    }

    fn seconds(&self, count: u64) -> Duration {
        self.retry.second.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
