//! Accepts connections for the web side, with or without TLS, and bounds how long a client may take to begin.

use std::{
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum_server::{Handle, accept::NoDelayAcceptor, tls_rustls::RustlsAcceptor};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{connections::ConnectionLimit, handshakes::Handshakes};
use crate::{metrics::Metrics, tls};

/// A client that takes longer to send its request's headers is not PagerDuty.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// The same for a TLS handshake; it must end before the headers can begin.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How often an HTTP/2 client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Runs until its handle stops it, or it fails.
pub type Serving = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// Serves `router` on `listener`, over TLS if there is a listener for it. A changed certificate is taken over meanwhile.
pub fn web(
    tls: Option<tls::Listener>,
    metrics: Arc<Metrics>,
    listener: TcpListener,
    handle: Handle<SocketAddr>,
    router: axum::Router,
) -> anyhow::Result<Serving> {
    let service = router.into_make_service();
    Ok(if let Some(tls) = tls {
        let acceptor = RustlsAcceptor::new(tls.config.clone()).handshake_timeout(HANDSHAKE_WITHIN);
        let acceptor = Handshakes::new(acceptor.acceptor(NoDelayAcceptor), Arc::clone(&metrics));
        let mut server =
            axum_server::from_tcp(listener)?.acceptor(ConnectionLimit::new(acceptor)).handle(handle);
        limit_time(server.http_builder());
        Box::pin(async move {
            tokio::select! {
                ended = server.serve(service) => ended,
                never = tls.keep_up(metrics) => match never {},
            }
        })
    } else {
        let mut server =
            axum_server::from_tcp(listener)?.acceptor(ConnectionLimit::new(NoDelayAcceptor)).handle(handle);
        limit_time(server.http_builder());
        Box::pin(server.serve(service))
    })
}

fn limit_time(builder: &mut hyper_util::server::conn::auto::Builder<TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(PING_EVERY));
}
