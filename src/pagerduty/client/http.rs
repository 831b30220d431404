//! The connection to PagerDuty: how it is made, and that one which does not answer is given up.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use reqwest::{ClientBuilder, Proxy, redirect};
use rustls::ClientConfig;

use super::retry::RetryPolicy;
use crate::model::{connection_in_words, with_causes};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long without data during a request an HTTP/2 ping is sent, and how long its answer may take. Together less than
/// one attempt, so that a dead connection is closed before the next one.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(4));

/// An HTTP client as PagerDuty's API needs it: it has time limits, and follows no redirect, which would carry the token to
/// another host. It goes through `proxy` if there is one, whatever the environment says.
pub(crate) fn http_client(mut tls: ClientConfig, proxy: Option<Proxy>) -> reqwest::Result<reqwest::Client> {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let builder = reqwest::Client::builder().no_proxy();
    let builder = proxy.into_iter().fold(builder, ClientBuilder::proxy);
    let (interval, timeout) = KEEP_ALIVE;
    builder
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("oncall-grants/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(RetryPolicy::default().attempt)
        .http2_keep_alive_interval(interval)
        .http2_keep_alive_timeout(timeout)
        .redirect(redirect::Policy::none())
        .gzip(true)
        .build()
}

/// An HTTP client that can be replaced by a fresh one. All requests share one HTTP/2 connection, and a connection that takes
/// requests and answers pings but nothing else would otherwise be kept for ever.
pub(crate) struct Connection {
    make: Box<dyn Fn() -> reqwest::Result<reqwest::Client> + Send + Sync>,
    current: ArcSwap<reqwest::Client>,
}

impl Connection {
    pub(crate) fn new(tls: ClientConfig, proxy: Option<Proxy>) -> reqwest::Result<Self> {
        let make = move || http_client(tls.clone(), proxy.clone());
        let current = ArcSwap::from_pointee(make()?);
        Ok(Self { make: Box::new(make), current })
    }

    /// What the next request is sent with.
    pub(super) fn client(&self) -> Arc<reqwest::Client> {
        self.current.load_full()
    }

    /// Later requests take a fresh connection, unless they do already; those under way keep `given_up`.
    pub(super) fn replace(&self, given_up: &Arc<reqwest::Client>) {
        let Ok(fresh) = (self.make)() else { return };
        self.current.compare_and_swap(given_up, Arc::new(fresh));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Why no whole answer came, in words; `key` gives the address that was asked.
pub(super) fn connection_error(error: reqwest::Error, key: &str) -> String {
    connection_in_words(with_causes(&error.without_url()), "PagerDuty", key)
}
