//! One call: encoded once, then signed, sent and its outcome classified until it succeeds, fails for good or is out of
//! time.

use std::{panic::AssertUnwindSafe, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::FutureExt;
use prost::Message;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout},
};
use tonic::{
    Request, Response, Status,
    client::Grpc,
    metadata::{Ascii, MetadataMap, MetadataValue},
    transport::Channel,
};
use url::Url;

use super::{
    channel::Connection,
    codec::RawCodec,
    messages::Answer,
    options::{CallObserver, CallOutcome, Options, Timing},
    outcome::{Failure, Next},
    rate_limit::{RateLimit, RateLimits, wait_until},
    sign::{SigningDate, sign},
};
use crate::{
    clock,
    strongdm::{
        error::Error,
        operation::{Kind, Operation},
    },
};

/// The version of the API that the messages in proto/ belong to.
const API_VERSION: &str = "2025-04-14";

/// More than a page of 100 items can be; the default of 4 MiB could be reached by large resources.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Few enough to stay far from strongDM's 500 writes a minute, enough to keep up with a shift change.
const WRITES_IN_FLIGHT: usize = 4;

/// Calls methods of strongDM's API: holds the connection, the API key, and what is known of the rate limit.
pub(crate) struct Caller {
    connection: Connection,
    /// So that it can be removed from texts that come from strongDM.
    access_key: SecretString,
    /// The headers that all requests share.
    metadata: MetadataMap,
    secret_key: SecretSlice<u8>,
    rate_limits: RateLimits,
    writes: Semaphore,
    pub(super) timing: Timing,
    observer: CallObserver,
}

impl Caller {
    /// Connects at the first call. To be called inside a tokio runtime. [`Error::Refused`] for a URL or key that cannot
    /// be used.
    pub(crate) fn new(
        tls: rustls::ClientConfig,
        api_url: &Url,
        access_key: &SecretString,
        secret_key: SecretSlice<u8>,
        options: Options,
    ) -> Result<Self, Error> {
        let Options { user_agent, timing, observer, proxy, max_filter_matches: _ } = options;
        let header = |what: &str, value: &str| {
            MetadataValue::<Ascii>::try_from(value)
                .map_err(|_| Error::Refused(format!("the {what} holds a character that no header may hold")))
        };
        let access_key = SecretString::from(access_key.expose_secret().trim());
        if access_key.expose_secret().is_empty() || secret_key.expose_secret().is_empty() {
            return Err(Error::Refused("the strongDM API key is empty".to_owned()));
        }
        let mut key = header("strongDM access key", access_key.expose_secret())?;
        key.set_sensitive(true);
        let mut metadata = MetadataMap::new();
        metadata.insert("x-sdm-authentication", key);
        metadata.insert("x-sdm-api-version", MetadataValue::from_static(API_VERSION));
        metadata.insert("x-sdm-user-agent", header("user agent", &user_agent)?);
        Ok(Self {
            connection: Connection::new(tls, proxy, api_url, &user_agent, timing.connect)?,
            access_key,
            metadata,
            secret_key,
            rate_limits: RateLimits::default(),
            writes: Semaphore::new(WRITES_IN_FLIGHT),
            timing,
            observer,
        })
    }

    /// Calls a method, and retries where that is safe and may succeed.
    pub(crate) async fn call<A: Answer>(
        &self,
        operation: Operation,
        message: &impl Message,
    ) -> Result<A, Error> {
        let body = Bytes::from(message.encode_to_vec());
        let _turn = self.write_turn(operation.kind()).await;
        let deadline = Instant::now() + self.timing.call;
        self.respect_rate_limit(operation.kind()).await;
        let mut pauses = self.timing.pauses();
        let (mut date, mut unclear) = (SigningDate::Today, false);
        loop {
            let signed_with = date.at(clock::now());
            let mut failure = match self.attempt(operation, body.clone(), signed_with, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            unclear |= failure.error.is_unclear();
            if unclear {
                failure.error = failure.error.into_unclear();
            }
            let Some(pause) = pauses.next() else { return Err(failure.error) };
            let now = clock::now();
            let pause = match failure.next {
                Next::GiveUp => return Err(failure.error),
                Next::Retry => pause,
                // With the pause on top, so that not everyone comes back in the same instant.
                Next::RetryAfterReset => {
                    let told = failure.limit.as_ref().and_then(|limit| limit.next_reset(now));
                    let reset = told.or_else(|| self.rate_limits.next_reset(operation.kind(), now));
                    pause + wait_until(reset, now, self.timing.longest_wait)
                }
                Next::SignAgain => match date.after_refusal(signed_with, now) {
                    Some(other) => {
                        date = other;
                        Duration::ZERO
                    }
                    None => return Err(failure.error),
                },
            };
            if Instant::now() + pause + self.timing.shortest_attempt() > deadline {
                return Err(failure.error);
            }
            let code = failure.stage.code();
            tracing::debug!(operation = operation.name(), code, ?pause, "asking strongDM again");
            sleep(pause).await;
        }
    }

    /// Waits until a write may be sent; reads need no turn.
    async fn write_turn(&self, kind: Kind) -> Option<SemaphorePermit<'_>> {
        match kind {
            Kind::Read => None,
            Kind::Create | Kind::Delete => {
                Some(self.writes.acquire().await.expect("the semaphore is never closed"))
            }
        }
    }

    /// When the budget for writes is refilled, if it is almost used up until then.
    pub(crate) fn writes_low_until(&self) -> Option<DateTime<Utc>> {
        self.rate_limits.low_until(Kind::Create, clock::now())
    }

    /// Delays a write while the budget for writes is almost used up.
    async fn respect_rate_limit(&self, kind: Kind) {
        if kind != Kind::Read {
            let now = clock::now();
            let until = self.rate_limits.low_until(kind, now);
            sleep(wait_until(until, now, self.timing.longest_wait)).await;
        }
    }

    /// Signs and sends once, classifies the outcome, and tells the observer.
    async fn attempt<A: Answer>(
        &self,
        operation: Operation,
        body: Bytes,
        date: NaiveDate,
        deadline: Instant,
    ) -> Result<A, Failure> {
        let started = Instant::now();
        let limit = self.timing.attempt.min(deadline.saturating_duration_since(started));
        let channel = self.connection.channel();
        let sent = timeout(limit, self.send(&channel, operation, body, date)).await;
        if sent.is_err() {
            self.connection.replace(&channel);
        }
        let (server_date, mut result) = match &sent {
            Err(_elapsed) => (None, Err(Failure::timeout(operation, limit))),
            Ok(Err(status)) => {
                let secret = self.access_key.expose_secret();
                (server_date(status.metadata()), Err(Failure::of(operation, status, secret)))
            }
            Ok(Ok(response)) => {
                let answer = A::decode(response.get_ref().clone());
                let answer = answer.map_err(|error| Failure::undecodable(operation, &error));
                (server_date(response.metadata()), answer)
            }
        };
        let kind = operation.kind();
        let limit = match &result {
            Ok(answer) => answer.rate_limit().map(RateLimit::from),
            Err(failure) => failure.limit.clone(),
        };
        if let Some(limit) = &limit {
            self.rate_limits.record(kind, limit.clone(), clock::now());
        }
        if let Err(Failure { error: Error::RateLimited { until: until @ None, .. }, .. }) = &mut result {
            *until = self.rate_limits.next_reset(kind, clock::now());
        }
        (self.observer)(&CallOutcome {
            operation,
            result: result.as_ref().map(|_| ()).map_err(|failure| &failure.error),
            code: result.as_ref().map_or_else(|failure| failure.stage.code(), |_| "OK"),
            seconds: started.elapsed().as_secs_f64(),
            rate_limit: limit,
            server_date,
        });
        result
    }

    async fn send(
        &self,
        channel: &Channel,
        operation: Operation,
        body: Bytes,
        date: NaiveDate,
    ) -> Result<Response<Bytes>, Status> {
        let signature = sign(self.secret_key.expose_secret(), date, operation.name(), &body);
        let mut signature = MetadataValue::<Ascii>::try_from(signature).expect("base64 is ASCII");
        signature.set_sensitive(true);
        let mut request = Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        request.metadata_mut().insert("x-sdm-signature", signature);
        let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let answer = grpc.unary(request, operation.path(), RawCodec);
        // tonic 0.14 panics on a `grpc-status-details-bin` that is not base64, which a proxy on the way may send.
        AssertUnwindSafe(answer)
            .catch_unwind()
            .await
            .unwrap_or_else(|_panic| Err(Status::unknown("a malformed status")))
    }
}

/// The time in an HTTP `date` header.
fn server_date(metadata: &MetadataMap) -> Option<DateTime<Utc>> {
    let date = metadata.get("date")?.to_str().ok()?;
    DateTime::parse_from_rfc2822(date).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_the_server_is_read() {
        let mut metadata = MetadataMap::new();
        assert_eq!(server_date(&metadata), None);
        metadata.insert("date", MetadataValue::from_static("Sun, 22 Nov 2026 11:58:00 GMT"));
        assert_eq!(server_date(&metadata), "2026-11-22T11:58:00Z".parse().ok());
        metadata.insert("date", MetadataValue::from_static("soon"));
        assert_eq!(server_date(&metadata), None);
    }

    #[tokio::test]
    async fn the_key_shows_nowhere_and_must_fit_a_header() {
        let url = "https://app.strongdm.com".parse().unwrap();
        let new = |key: &str| {
            Caller::new(
                crate::tls::client_config().unwrap(),
                &url,
                &key.into(),
                vec![1].into(),
                Options::default(),
            )
        };
        let caller = new("auth-12").unwrap();
        assert!(!format!("{:?}", caller.metadata).contains("auth-12"));
        for key in ["", " ", "a\u{7f}b", "a\nb"] {
            assert!(matches!(new(key).err(), Some(Error::Refused(_))), "{key:?}");
        }
    }
}
