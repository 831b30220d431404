//! The HTTP/2 connection to strongDM: opened when first needed, with a limit on every wait for it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::Intercept,
};
use rustls::ClientConfig;
use tonic::{
    ConnectError,
    transport::{Channel, Endpoint},
};
use tower::ServiceBuilder;
use url::{Position, Url};

use crate::{model::is_loopback, strongdm::error::Error};

/// After how long without data during a call an HTTP/2 ping is sent, and how long its answer may take. Together less than
/// one attempt, so that a dead connection is closed before the next one. Without an open call no ping is sent: gRPC
/// servers hang up on clients that do.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(4));

/// Keep-alive of idle connections, by TCP: time before the first probe, time between probes, number of probes.
const TCP_KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

/// A channel that can be replaced by a fresh one: a connection that takes requests and answers pings but nothing else would
/// otherwise be kept for ever.
pub(super) struct Connection {
    open: Box<dyn Fn() -> Channel + Send + Sync>,
    current: ArcSwap<Channel>,
}

impl Connection {
    /// To `url`, through `proxy` if there is one. It connects lazily. To be called inside a tokio runtime.
    pub(super) fn new(
        tls: ClientConfig,
        proxy: Option<Intercept>,
        url: &Url,
        agent: &str,
        connect: Duration,
    ) -> Result<Self, Error> {
        let endpoint = endpoint(url, agent)?;
        let open = move || channel(tls.clone(), proxy.as_ref(), endpoint.clone(), connect);
        Ok(Self { current: ArcSwap::from_pointee(open()), open: Box::new(open) })
    }

    /// What the next request is sent over.
    pub(super) fn channel(&self) -> Arc<Channel> {
        self.current.load_full()
    }

    /// Later requests take a fresh connection, unless they do already; those under way keep `given_up`.
    pub(super) fn replace(&self, given_up: &Arc<Channel>) {
        self.current.compare_and_swap(given_up, Arc::new((self.open)()));
    }
}

fn endpoint(url: &Url, agent: &str) -> Result<Endpoint, Error> {
    let refused = |why: &str| Error::Refused(format!("{why} in the strongDM API URL"));
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        "http" => return Err(refused("plain http to a host that is not loopback")),
        _ => return Err(refused("neither https nor http")),
    }
    let origin = format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort]);
    let (interval, timeout) = KEEP_ALIVE;
    let endpoint = Endpoint::from_shared(origin)
        .and_then(|endpoint| endpoint.user_agent(agent))
        .map_err(|_| refused("no usable host"))?;
    Ok(endpoint.http2_keep_alive_interval(interval).keep_alive_timeout(timeout).keep_alive_while_idle(false))
}

fn channel(tls: ClientConfig, proxy: Option<&Intercept>, endpoint: Endpoint, connect: Duration) -> Channel {
    // The endpoint's own timeouts do not cover connecting, so a peer that accepts the connection and then stays silent
    // would hang every call. Later, the error's type tells "never sent" from "perhaps executed".
    let limited = ServiceBuilder::new().map_err(ConnectError).timeout(connect);
    let tcp = tcp(connect);
    match proxy {
        None => Channel::new(limited.service(over_tls(tls, tcp)), endpoint),
        Some(proxy) => {
            Channel::new(limited.service(over_tls(tls.clone(), tunnel(tls, proxy, tcp))), endpoint)
        }
    }
}

/// HTTP/2 over TLS, on the connections of `inner`.
fn over_tls<C>(mut tls: ClientConfig, inner: C) -> HttpsConnector<C> {
    tls.alpn_protocols.clear();
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http2().wrap_connector(inner)
}

/// Connections that the proxy makes for us; TLS with strongDM goes through it end to end.
fn tunnel(
    mut tls: ClientConfig,
    proxy: &Intercept,
    tcp: HttpConnector,
) -> Tunnel<HttpsConnector<HttpConnector>> {
    tls.alpn_protocols.clear();
    // The proxy itself may want TLS, and speaks HTTP/1.
    let to_proxy =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    let tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
    match proxy.basic_auth() {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    }
}

fn tcp(connect: Duration) -> HttpConnector {
    let (time, interval, retries) = TCP_KEEP_ALIVE;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Shared among the addresses of the host, and a little less than all, so that TLS has its turn.
    tcp.set_connect_timeout(Some(connect.mul_f32(0.8)));
    tcp.set_keepalive(Some(time));
    tcp.set_keepalive_interval(Some(interval));
    tcp.set_keepalive_retries(Some(retries));
    tcp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plain_http_is_for_loopback_only() {
        for (url, allowed) in [
            ("https://app.strongdm.com", true),
            ("https://app.eu.strongdm.com:8443/", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost:8080", true),
            ("http://app.strongdm.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("ftp://127.0.0.1", false),
            ("unix:/tmp/socket", false),
        ] {
            let tls = crate::tls::client_config().unwrap();
            let connection =
                Connection::new(tls, None, &url.parse().unwrap(), "test/1", Duration::from_secs(1));
            assert_eq!(connection.is_ok(), allowed, "{url}");
        }
    }
}
