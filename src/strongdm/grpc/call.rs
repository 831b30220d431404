//! One call: encode once, then sign, send and judge until it is done, hopeless or out of time.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::FutureExt;
use prost::Message;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tokio::{
    sync::Semaphore,
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
    channel,
    codec::RawCodec,
    messages::Answer,
    outcome::{Failure, Next},
    rate_limit::{self, Pace, RateLimit},
    sign,
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

/// What is not a matter of the account: names, patience and who listens.
#[derive(Clone)]
pub struct Options {
    /// How this program introduces itself.
    pub user_agent: String,
    /// How long things may take.
    pub timing: Timing,
    /// Hears of every request that was sent.
    pub on_call: Observer,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("oncall-grants/", env!("CARGO_PKG_VERSION")).to_owned(),
            timing: Timing::default(),
            on_call: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user_agent, timing, on_call: _ } = self;
        f.debug_struct("Options")
            .field("user_agent", user_agent)
            .field("timing", timing)
            .finish_non_exhaustive()
    }
}

/// Bounds on how long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For a connection with its TLS handshake.
    pub connect: Duration,
    /// For one request and its answer.
    pub attempt: Duration,
    /// For a call with all its attempts; a page of a list is a call. Waiting for a turn to write comes before.
    pub call: Duration,
    /// For all pages of a list.
    pub list: Duration,
    /// For the rate limit.
    pub longest_wait: Duration,
    /// Before the second attempt; doubles from there, with jitter.
    pub first_pause: Duration,
    /// Attempts of one call.
    pub attempts: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            call: Duration::from_secs(30),
            list: Duration::from_secs(90),
            longest_wait: Duration::from_secs(15),
            first_pause: Duration::from_millis(300),
            attempts: 3,
        }
    }
}

impl Timing {
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
            .build()
    }

    /// With less time than this an attempt has no fair chance, and cutting it off would leave a write unclear.
    fn fair_chance(&self) -> Duration {
        self.attempt / 5
    }
}

/// Is told of every request that was sent, retries included. Must not block.
pub type Observer = Arc<dyn Fn(&CallOutcome<'_>) + Send + Sync>;

/// How one request to strongDM went.
#[derive(Clone, Debug)]
pub struct CallOutcome<'a> {
    /// What was asked, `AccountGrants.Create` for example.
    pub operation: &'static str,
    /// Whether it was done. `NotFound`, `AlreadyExists` and `InvalidArgument` are answers of a healthy strongDM.
    pub result: Result<(), &'a Error>,
    /// gRPC's name of the code, or `CONNECT`, `TRANSPORT`, `TIMEOUT`, `DECODE` where there was none.
    pub code: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// What is left of the rate limit, if the answer said so.
    pub ratelimit_remaining: Option<i64>,
    /// What strongDM's clock showed, if the answer said so: signatures fail if ours shows another day.
    pub server_date: Option<DateTime<Utc>>,
}

/// Everything that a call needs.
pub(in crate::strongdm) struct Caller {
    channel: Channel,
    /// For taking it out of foreign texts.
    access_key: SecretString,
    /// What is the same in every request.
    metadata: MetadataMap,
    secret_key: SecretSlice<u8>,
    pace: Pace,
    writes: Semaphore,
    pub(in crate::strongdm) timing: Timing,
    on_call: Observer,
}

impl Caller {
    pub(in crate::strongdm) fn new(
        tls: rustls::ClientConfig,
        api_url: &Url,
        access_key: &SecretString,
        secret_key: SecretSlice<u8>,
        options: Options,
    ) -> Result<Self, Error> {
        let Options { user_agent, timing, on_call } = options;
        let text = |what: &str, value: &str| {
            MetadataValue::<Ascii>::try_from(value)
                .map_err(|_| Error::Refused(format!("the {what} holds a character that no header may hold")))
        };
        let access_key = SecretString::from(access_key.expose_secret().trim());
        if access_key.expose_secret().is_empty() || secret_key.expose_secret().is_empty() {
            return Err(Error::Refused("the strongDM API key is empty".to_owned()));
        }
        let mut key = text("strongDM access key", access_key.expose_secret())?;
        key.set_sensitive(true);
        let mut metadata = MetadataMap::new();
        metadata.insert("x-sdm-authentication", key);
        metadata.insert("x-sdm-api-version", MetadataValue::from_static(API_VERSION));
        metadata.insert("x-sdm-user-agent", text("user agent", &user_agent)?);
        Ok(Self {
            channel: channel::open(tls, api_url, &user_agent, timing.connect)?,
            access_key,
            metadata,
            secret_key,
            pace: Pace::default(),
            writes: Semaphore::new(WRITES_IN_FLIGHT),
            timing,
            on_call,
        })
    }

    /// Asks strongDM, again where that is safe and promising.
    pub(in crate::strongdm) async fn call<A: Answer>(
        &self,
        operation: Operation,
        message: &impl Message,
    ) -> Result<A, Error> {
        let kind = operation.kind();
        let body = Bytes::from(message.encode_to_vec());
        let _turn = match kind {
            Kind::Read => None,
            Kind::Create | Kind::Delete => {
                Some(self.writes.acquire().await.expect("the semaphore is never closed"))
            }
        };
        let deadline = Instant::now() + self.timing.call;
        if kind != Kind::Read {
            let now = clock::now();
            let until = self.pace.low_until(kind, now);
            sleep(rate_limit::wait(until, now, self.timing.longest_wait)).await;
        }
        let mut pauses = self.timing.pauses();
        let (mut date, mut doubtful) = (SigningDate::Today, false);
        loop {
            let now = clock::now();
            let signed = date.on(now);
            let mut failure = match self.attempt(operation, body.clone(), signed, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            doubtful |= failure.error.is_unclear();
            failure.error = failure.error.judged_after(doubtful);
            let Some(pause) = pauses.next() else { return Err(failure.error) };
            let now = clock::now();
            let pause = match failure.next {
                Next::GiveUp => return Err(failure.error),
                Next::Again => pause,
                // With the pause on top, so that not everyone comes back in the same instant.
                Next::AfterLimit => {
                    let until = self.pace.reset_at(kind, now);
                    pause + rate_limit::wait(until, now, self.timing.longest_wait)
                }
                Next::SignAgain => match date.resigned(signed, now) {
                    Some(other) => {
                        date = other;
                        Duration::ZERO
                    }
                    None => return Err(failure.error),
                },
            };
            if Instant::now() + pause + self.timing.fair_chance() > deadline {
                return Err(failure.error);
            }
            tracing::debug!(
                operation = operation.name(),
                code = failure.code,
                ?pause,
                "asking strongDM again"
            );
            sleep(pause).await;
        }
    }

    /// Signs, sends and judges once, and tells the observer.
    async fn attempt<A: Answer>(
        &self,
        operation: Operation,
        body: Bytes,
        date: NaiveDate,
        deadline: Instant,
    ) -> Result<A, Failure> {
        let started = Instant::now();
        let patience = self.timing.attempt.min(deadline.saturating_duration_since(started));
        let sent = timeout(patience, self.send(operation, body, date)).await;
        let (server_date, mut result) = match &sent {
            Err(_elapsed) => (None, Err(Failure::timeout(operation, patience))),
            Ok(Err(status)) => {
                let secret = self.access_key.expose_secret();
                (clock(status.metadata()), Err(Failure::of(operation, status, secret)))
            }
            Ok(Ok(response)) => {
                let answer = A::decode(response.get_ref().clone());
                let answer = answer.map_err(|error| Failure::undecodable(operation, &error));
                (clock(response.metadata()), answer)
            }
        };
        let kind = operation.kind();
        let limit = match &result {
            Ok(answer) => answer.rate_limit().map(RateLimit::from),
            Err(failure) => failure.limit,
        };
        if let Some(limit) = limit {
            self.pace.note(kind, limit);
        }
        if let Err(Failure { error: Error::RateLimited { until: until @ None }, .. }) = &mut result {
            *until = self.pace.reset_at(kind, clock::now());
        }
        (self.on_call)(&CallOutcome {
            operation: operation.name(),
            result: result.as_ref().map(|_| ()).map_err(|failure| &failure.error),
            code: result.as_ref().map_or_else(|failure| failure.code, |_| "OK"),
            seconds: started.elapsed().as_secs_f64(),
            ratelimit_remaining: limit.map(|limit| limit.remaining),
            server_date,
        });
        result
    }

    async fn send(
        &self,
        operation: Operation,
        body: Bytes,
        date: NaiveDate,
    ) -> Result<Response<Bytes>, Status> {
        let signature = sign::sign(self.secret_key.expose_secret(), date, operation.name(), &body);
        let mut signature = MetadataValue::<Ascii>::try_from(signature).expect("base64 is ASCII");
        signature.set_sensitive(true);
        let mut request = Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        request.metadata_mut().insert("x-sdm-signature", signature);
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let answer = grpc.unary(request, operation.path(), RawCodec);
        // tonic 0.14 panics on a `grpc-status-details-bin` that is not base64, which a proxy on the way may send.
        AssertUnwindSafe(answer)
            .catch_unwind()
            .await
            .unwrap_or_else(|_panic| Err(Status::unknown("a malformed status")))
    }
}

/// Which date to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SigningDate {
    /// What the clock shows at each attempt.
    Today,
    /// A refused signature's other chance; there is only one.
    Other(NaiveDate),
}

impl SigningDate {
    fn on(self, now: DateTime<Utc>) -> NaiveDate {
        match self {
            Self::Today => now.date_naive(),
            Self::Other(date) => date,
        }
    }

    fn resigned(self, refused: NaiveDate, now: DateTime<Utc>) -> Option<Self> {
        match self {
            Self::Today => sign::other_date(refused, now).map(Self::Other),
            Self::Other(_) => None,
        }
    }
}

/// The time in an HTTP `date` header.
fn clock(metadata: &MetadataMap) -> Option<DateTime<Utc>> {
    let date = metadata.get("date")?.to_str().ok()?;
    DateTime::parse_from_rfc2822(date).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_date_has_one_other_chance() {
        let midnight = DateTime::from_timestamp(86_400 * 20_000, 0).unwrap();
        let (today, yesterday) = (midnight.date_naive(), midnight.date_naive().pred_opt().unwrap());
        let first = SigningDate::Today;
        assert_eq!(first.on(midnight), today);
        let second = first.resigned(yesterday, midnight).unwrap();
        assert_eq!(second.on(midnight), today);
        let second = first.resigned(today, midnight).unwrap();
        assert_eq!(second.on(midnight), yesterday);
        assert_eq!(second.resigned(yesterday, midnight), None);
    }

    #[test]
    fn the_clock_of_the_server_is_read() {
        let mut metadata = MetadataMap::new();
        assert_eq!(clock(&metadata), None);
        metadata.insert("date", MetadataValue::from_static("Sun, 22 Nov 2026 11:58:00 GMT"));
        assert_eq!(clock(&metadata), "2026-11-22T11:58:00Z".parse().ok());
        metadata.insert("date", MetadataValue::from_static("soon"));
        assert_eq!(clock(&metadata), None);
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<Duration> = Timing::default().pauses().collect();
        assert_eq!(pauses.len(), 2);
        assert!(pauses[0] >= Duration::from_millis(300) && pauses[1] >= Duration::from_millis(600));
    }

    #[tokio::test]
    async fn the_key_shows_nowhere_and_must_fit_a_header() {
        let url = "https://app.strongdm.com".parse().unwrap();
        let new = |key: &str| {
            Caller::new(crate::tls::client_config(), &url, &key.into(), vec![1].into(), Options::default())
        };
        let caller = new("auth-12").unwrap();
        assert!(!format!("{:?}", caller.metadata).contains("auth-12"));
        for key in ["", " ", "a\u{7f}b", "a\nb"] {
            assert!(matches!(new(key).err(), Some(Error::Refused(_))), "{key:?}");
        }
    }
}
