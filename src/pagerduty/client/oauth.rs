//! Tokens of an OAuth app. One is fetched when it is needed first, renewed beside the requests long before it ends, and
//! fetched anew when PagerDuty refuses it. They are kept in memory alone.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::{Method, StatusCode, Url, header::CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use url::form_urlencoded;

use super::{
    answer::{Head, read_body},
    http::{Connection, connection_error},
    observer::{CallObserver, CallOutcome},
    operation::Operation,
    retry::RetryPolicy,
};
use crate::pagerduty::{Error, Scope};

/// A token is renewed after so many hundredths of its life.
const RENEWED_AFTER: u32 = 70;
/// How long a token lives if the answer does not say.
const USUAL_LIFE: u64 = 3_600;
/// Whatever the answer says, no token is used for longer, in seconds.
const LONGEST_LIFE: u64 = 30 * 24 * 3_600;
/// Limit of one request to the identity service.
const ANSWER: Duration = Duration::from_secs(5);
/// After a failure, the identity service is asked again after so many seconds; twice as many after each further one.
const PAUSE: (u32, u32) = (1, 15);
/// After it refused the app itself.
const PAUSE_IF_REFUSED: u32 = 60;
/// A token that was refused before it was ever taken is replaced once, and then only so often.
const BETWEEN_REPLACEMENTS: Duration = Duration::from_mins(1);
/// The most characters of the identity service's own words that are told.
const MOST_WORDS: usize = 200;

/// An OAuth app of one PagerDuty account.
pub(crate) struct App {
    /// Where tokens come from, without a path.
    pub(crate) identity_url: Url,
    /// The app's ID.
    pub(crate) client_id: SecretString,
    /// Its secret.
    pub(crate) client_secret: SecretString,
    /// `us` or `eu`, the account's service region.
    pub(crate) region: &'static str,
    /// The first part of the account's address.
    pub(crate) subdomain: String,
    /// What is asked for.
    pub(crate) scopes: BTreeSet<Scope>,
}

impl App {
    /// The scope that says as which account the app acts.
    fn account_scope(&self) -> String {
        format!("as_account-{}.{}", self.region, self.subdomain)
    }

    fn scope_text(&self) -> String {
        let names = self.scopes.iter().map(|scope| format!(" {scope}"));
        std::iter::once(self.account_scope()).chain(names).collect()
    }

    /// The text without what must not be told.
    fn without_secrets(&self, text: &str) -> String {
        let secrets = [&self.client_secret, &self.client_id].map(ExposeSecret::expose_secret);
        // First, or a secret might be put together by it.
        let readable = text.chars().filter(|c| !c.is_control()).collect();
        let text = secrets
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .fold(readable, |text: String, secret| text.replace(secret, "…"));
        text.chars().take(MOST_WORDS).collect()
    }
}

/// One token, as long as it lasts.
pub(crate) struct Token {
    pub(super) text: SecretString,
    /// What PagerDuty granted, the account's scope included; none if it does not say.
    pub(super) granted: Option<BTreeSet<String>>,
    pub(super) renewed: Instant,
    pub(super) ends: Instant,
    /// It was fetched because the one before it was refused.
    is_replacement: bool,
    /// PagerDuty took it at least once.
    was_taken: AtomicBool,
}

impl Token {
    pub(super) fn taken(&self) {
        self.was_taken.store(true, Ordering::Relaxed);
    }
}

/// The token of an app, shared by all who ask.
pub(crate) struct Tokens {
    app: App,
    connection: Connection,
    /// How long a second of the answers lasts. Tests shorten it.
    second: Duration,
    state: Mutex<State>,
    /// Tells whoever waits that a fetch is over.
    fetched: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    is_fetching: bool,
    /// Why the last fetch failed, and before when no other one is begun.
    failure: Option<(Error, Instant)>,
    failures: u32,
    /// The next token replaces a refused one.
    replaces: bool,
    last_replacement: Option<Instant>,
}

impl Tokens {
    pub(crate) fn new(app: App, connection: Connection) -> Arc<Self> {
        Self::with_second(app, connection, Duration::from_secs(1))
    }

    pub(super) fn with_second(app: App, connection: Connection, second: Duration) -> Arc<Self> {
        let (state, fetched) = (Mutex::default(), watch::Sender::new(()));
        Arc::new(Self { app, connection, second, state, fetched })
    }

    /// A token that holds. One that is due to be renewed is used while that happens, and for as long as it holds if it
    /// fails. Whoever needs one while it is fetched waits for that; whoever needs one right after that failed hears
    /// why.
    pub(super) async fn current(
        self: &Arc<Self>,
        observer: Option<&CallObserver>,
    ) -> Result<Arc<Token>, Error> {
        loop {
            let mut fetched = self.fetched.subscribe();
            {
                let mut state = self.state.lock();
                let now = Instant::now();
                let may_fetch = state.failure.as_ref().is_none_or(|(_, until)| now >= *until);
                if let Some(token) = state.token.clone().filter(|token| now < token.ends) {
                    if now >= token.renewed && may_fetch {
                        self.begin(&mut state, observer);
                    }
                    return Ok(token);
                }
                if let Some((error, _)) = state.failure.as_ref().filter(|_| !may_fetch && !state.is_fetching)
                {
                    return Err(error.clone());
                }
                self.begin(&mut state, observer);
            }
            // The sender lives as long as we do.
            let _ = fetched.changed().await;
        }
    }

    /// Says that PagerDuty refused this token; whether there is another one, or will be.
    pub(super) fn refused(&self, token: &Arc<Token>) -> bool {
        let mut state = self.state.lock();
        if !state.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            return true;
        }
        let now = Instant::now();
        let is_news = token.was_taken.load(Ordering::Relaxed) || !token.is_replacement;
        if !is_news && state.last_replacement.is_some_and(|last| now < last + BETWEEN_REPLACEMENTS) {
            return false;
        }
        (state.token, state.replaces, state.last_replacement) = (None, true, Some(now));
        true
    }

    /// Fetches a token, unless that happens already. It goes on when those who wait for it give up.
    fn begin(self: &Arc<Self>, state: &mut State, observer: Option<&CallObserver>) {
        if state.is_fetching {
            return;
        }
        state.is_fetching = true;
        let (tokens, observer) = (Arc::clone(self), observer.cloned());
        tokio::spawn(async move {
            // However the fetch ends, the next one may begin.
            let over = Over(&tokens);
            let fetched = tokens.fetch(observer.as_ref()).await;
            tokens.record(fetched);
            drop(over);
        });
    }

    fn record(&self, fetched: Result<Token, Error>) {
        let mut state = self.state.lock();
        match fetched {
            Ok(token) => {
                let is_replacement = std::mem::take(&mut state.replaces);
                state.token = Some(Arc::new(Token { is_replacement, ..token }));
                (state.failure, state.failures) = (None, 0);
            }
            Err(error) => {
                let (first, longest) = PAUSE;
                let growing = (first << state.failures.min(10)).min(longest);
                let seconds = if matches!(error, Error::AppRefused(_)) { PAUSE_IF_REFUSED } else { growing };
                let pause = self.second * seconds;
                if state.token.is_some() {
                    tracing::warn!(
                        "cannot renew PagerDuty's OAuth token, the present one is used while it holds: {error}"
                    );
                }
                state.failures += 1;
                state.failure = Some((error, Instant::now() + pause));
            }
        }
    }

    /// Asks for a token, again where that may help.
    async fn fetch(&self, observer: Option<&CallObserver>) -> Result<Token, Error> {
        let mut delays = RetryPolicy::default().delays();
        loop {
            match self.ask(observer).await {
                Err(error @ (Error::Unavailable(_) | Error::Server(_))) => match delays.next() {
                    Some(delay) => sleep(delay.mul_f64(self.second.as_secs_f64())).await,
                    None => return Err(error),
                },
                told => return told,
            }
        }
    }

    async fn ask(&self, observer: Option<&CallObserver>) -> Result<Token, Error> {
        let started = Instant::now();
        let mut head = Head::default();
        let result = self.exchange(&mut head).await.and_then(|body| self.token(&body, started));
        if let Some(observer) = observer {
            observer(&CallOutcome {
                operation: Operation::Token,
                status: head.status.map(|status| status.as_u16()),
                error: result.as_ref().err(),
                seconds: started.elapsed().as_secs_f64(),
                rate_limit: None,
                server_date: head.date,
            });
        }
        result
    }

    async fn exchange(&self, head: &mut Head) -> Result<Bytes, Error> {
        let mut url = self.app.identity_url.clone();
        url.set_path("/oauth/token");
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", self.app.client_id.expose_secret())
            .append_pair("client_secret", self.app.client_secret.expose_secret())
            .append_pair("scope", &self.app.scope_text())
            .finish();
        let http = self.connection.client();
        let request = http
            .request(Method::POST, url)
            .timeout(ANSWER)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                self.connection.replace(&http);
            }
            Error::Unavailable(described(&connection_error(error, "pagerduty.identity_url")))
        };
        let response = request.body(form).send().await.map_err(failed)?;
        *head = Head::read(response.status(), response.headers());
        let status = response.status();
        let body = read_body(response).await.map_err(failed)?.unwrap_or_default();
        if status.is_success() { Ok(body) } else { Err(self.refusal(status, head, &body)) }
    }

    /// What a status other than success means.
    pub(super) fn refusal(&self, status: StatusCode, head: &Head, body: &[u8]) -> Error {
        let Refusal { error, error_description } = serde_json::from_slice(body).unwrap_or_default();
        let words: Vec<String> = [error, error_description].into_iter().flatten().collect();
        let words = self.app.without_secrets(&words.join(": "));
        let text = if words.is_empty() { status.to_string() } else { format!("{status}: {words}") };
        let text = described(&text);
        match status.as_u16() {
            429 => Error::RateLimited {
                retry_after: self.second * u32::try_from(head.retry_after.unwrap_or(1)).unwrap_or(u32::MAX),
            },
            408 | 500.. => Error::Server(text),
            400..500 => Error::AppRefused(text),
            _ => Error::Invalid(text),
        }
    }

    pub(super) fn token(&self, body: &[u8], asked: Instant) -> Result<Token, Error> {
        // An error of the reader could show a part of the token.
        let answer: Answer =
            serde_json::from_slice(body).map_err(|_| Error::Invalid(described("the answer is no token")))?;
        let text = answer.access_token;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Invalid(described("the answer holds no usable token")));
        }
        let seconds = answer.expires_in.unwrap_or(USUAL_LIFE).min(LONGEST_LIFE);
        let life = self.second.saturating_mul(u32::try_from(seconds).unwrap_or(u32::MAX));
        Ok(Token {
            text: text.into(),
            granted: answer.scope.map(|scope| scope.split_whitespace().map(str::to_owned).collect()),
            renewed: asked + life * RENEWED_AFTER / 100,
            ends: asked + life,
            is_replacement: false,
            was_taken: AtomicBool::new(false),
        })
    }
}

/// Ends a fetch.
struct Over<'t>(&'t Arc<Tokens>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.state.lock().is_fetching = false;
        self.0.fetched.send_replace(());
    }
}

/// What the identity service answers.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    scope: Option<String>,
    /// In seconds.
    expires_in: Option<u64>,
}

/// What it answers if it refuses.
#[derive(Default, Deserialize)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
}

fn described(text: &str) -> String {
    format!("PagerDuty's identity service, POST /oauth/token: {text}")
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("subdomain", &self.app.subdomain).finish_non_exhaustive()
    }
}
