//! One call: its turn, its attempts, the rate limit, and what the answer's status means.

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::debug;

use super::Client;
use crate::pagerduty::{
    Error,
    wire::{self, ErrorBody},
};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.pagerduty+json;version=2");
/// Answers are at most a few hundred kilobytes; whatever is much larger is none of PagerDuty's.
const MAX_BODY: usize = 16 << 20;
/// With so few requests left, others who use the same key come first.
const FEW_LEFT: u64 = 3;
/// PagerDuty's own words in an error are cut to this many characters.
const MAX_WORDS: usize = 300;

/// One request that was sent, for metrics and readiness.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What it was for: a short fixed name such as `on_calls`.
    pub operation: &'static str,
    /// The status of the answer; none if there was none.
    pub status: Option<u16>,
    /// Why it failed. Failures that are retried are told, too; so is the refusal by which a schedule's kind is found.
    pub error: Option<&'a Error>,
    /// How long it took.
    pub seconds: f64,
    /// How many requests PagerDuty still allows in its current window.
    pub ratelimit_remaining: Option<u64>,
    /// PagerDuty's clock.
    pub server_date: Option<DateTime<Utc>>,
}

/// Is told about every request after its answer. It must not block.
pub type Observer = Arc<dyn Fn(&Call<'_>) + Send + Sync>;

pub(super) struct Request {
    operation: &'static str,
    method: Method,
    url: Url,
    body: Option<Value>,
    /// Whether doing it twice is as good as once.
    repeatable: bool,
}

/// What an answer's head told.
#[derive(Default)]
struct Head {
    status: Option<StatusCode>,
    remaining: Option<u64>,
    reset: Option<u64>,
    date: Option<DateTime<Utc>>,
}

struct Failure {
    error: Error,
    retry: bool,
}

impl Request {
    pub(super) fn new(operation: &'static str, method: Method, url: Url) -> Self {
        let repeatable = method != Method::POST;
        Self { operation, method, url, body: None, repeatable }
    }

    pub(super) fn get(operation: &'static str, url: Url) -> Self {
        Self::new(operation, Method::GET, url)
    }

    pub(super) fn with_body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Names the request in errors; the query is left out for brevity.
    fn describe(&self, text: &str) -> String {
        format!("{} {}: {text}", self.method, self.url.path())
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

    /// Sends a request until it is answered, and reads the answer.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        self.call(&request, |body| serde_json::from_slice(body)).await
    }

    /// Sends a request whose answer has no interesting body.
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
            debug!(operation = request.operation, error = %failure.error, "asking PagerDuty again");
            if let Error::RateLimited { .. } = failure.error {
                // Without word from PagerDuty on how long to wait, at least nobody else asks in the meantime.
                self.pause(delay);
            }
            sleep(delay).await;
        }
    }

    /// Waits until this request is the only one and PagerDuty wants to hear from us.
    async fn turn(&self, request: &Request, deadline: Instant) -> Result<SemaphorePermit<'_>, Error> {
        let late = |_| Error::Unavailable(request.describe("other requests took too long"));
        loop {
            let turn = timeout_at(deadline, self.shared.turn.acquire()).await.map_err(late)?;
            let turn = turn.map_err(|_| Error::Unavailable(request.describe("shutting down")))?;
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

    fn pause(&self, delay: Duration) {
        let mut resume_at = self.shared.resume_at.lock();
        *resume_at = (*resume_at).max(Some(Instant::now() + delay));
    }

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
            Err(Failure::passing(request.repeatable, Error::Unavailable(request.describe("timed out"))))
        });
        self.heed(&head);
        let result = exchanged.and_then(|body| read(&body).map_err(|error| unreadable(request, &error)));
        if let Some(observer) = &self.observer {
            observer(&Call {
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
        let lost = |error: reqwest::Error| Failure::lost(request, error);
        let mut builder = self
            .http
            .request(request.method.clone(), request.url.clone())
            .header(ACCEPT, MEDIA_TYPE)
            .header(AUTHORIZATION, self.authorization().map_err(Failure::lasting)?);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(lost)?;
        *head = Head::read(response.status(), response.headers());
        let status = response.status();
        if status.is_success() {
            let body = read_body(response).await.map_err(lost)?;
            return body.ok_or_else(|| {
                Failure::lasting(Error::Invalid(request.describe("the answer is far too long")))
            });
        }
        // The words are an extra: a status without a readable body is as clear.
        let body = read_body(response).await.ok().flatten().unwrap_or_default();
        Err(self.refused(request, status, head, &body))
    }

    fn authorization(&self) -> Result<HeaderValue, Error> {
        let text = format!("Token token={}", self.token.expose_secret());
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| Error::Unauthorized("it has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn refused(&self, request: &Request, status: StatusCode, head: &Head, body: &[u8]) -> Failure {
        if status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = head.reset.map_or(self.retry.first_delay, |reset| self.seconds(reset));
            let retry_after = retry_after.min(self.retry.longest_pause);
            // It was turned away at the door, so nothing has been done yet.
            return Failure::passing(true, Error::RateLimited { retry_after });
        }
        let text = match words(body, self.token.expose_secret()) {
            words if words.is_empty() => request.describe(&status.to_string()),
            words => request.describe(&format!("{status}: {words}")),
        };
        match Error::of_status(status.as_u16(), text) {
            error @ Error::Troubled(_) => Failure::passing(request.repeatable, error),
            error => Failure::lasting(error),
        }
    }

    /// Slows down as PagerDuty asked.
    fn heed(&self, head: &Head) {
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

impl Head {
    fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
        let number = |value: &HeaderValue| text(value)?.parse().ok();
        let date = |value: &HeaderValue| DateTime::parse_from_rfc2822(&text(value)?).ok();
        Self {
            status: Some(status),
            remaining: headers.get("ratelimit-remaining").and_then(number),
            reset: headers.get("ratelimit-reset").or_else(|| headers.get(RETRY_AFTER)).and_then(number),
            date: headers.get(DATE).and_then(date).map(|date| date.to_utc()),
        }
    }
}

impl Failure {
    fn passing(retry: bool, error: Error) -> Self {
        Self { error, retry }
    }

    fn lasting(error: Error) -> Self {
        Self { error, retry: false }
    }

    /// No whole answer came.
    fn lost(request: &Request, error: reqwest::Error) -> Self {
        // Where no connection was made, nothing can have been done.
        let retry = request.repeatable || error.is_connect();
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        // What the TLS library calls whatever is no TLS at all.
        if text.contains("InvalidContentType") {
            text = format!("what answers there does not speak TLS; is pagerduty.api_url right? ({text})");
        }
        Self::passing(retry, Error::Unavailable(request.describe(&text)))
    }
}

fn unreadable(request: &Request, error: &serde_json::Error) -> Failure {
    if error.is_eof() {
        let text = request.describe("the answer was cut off");
        return Failure::passing(request.repeatable, Error::Unavailable(text));
    }
    Failure::lasting(Error::Invalid(request.describe(&wire::without_values(error))))
}

/// The whole body; none if it is larger than any answer of PagerDuty.
async fn read_body(mut response: Response) -> reqwest::Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

/// PagerDuty's words about what was wrong, shortened and on one line; empty if there are none.
fn words(body: &[u8], token: &str) -> String {
    let Ok(ErrorBody { error }) = serde_json::from_slice(body) else { return String::new() };
    let mut words: Vec<String> = error.message.into_iter().collect();
    details(&error.errors, &mut words);
    let mut text = words.join(": ");
    if !token.is_empty() {
        text = text.replace(token, "…");
    }
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

fn details(errors: &Value, words: &mut Vec<String>) {
    match errors {
        Value::String(text) => words.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| details(item, words)),
        Value::Object(fields) => {
            for (field, errors) in fields {
                words.push(field.clone());
                details(errors, words);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
