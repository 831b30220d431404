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
use crate::{
    metrics::{ByResult, Metrics},
    tls::{self, Reload},
};

/// A client that takes longer to send its request's headers is not PagerDuty.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// The same for a TLS handshake; it must end before the headers can begin.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How often an HTTP/2 client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Runs until its handle stops it, or it fails.
pub type Serving = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// Serves `router` on `listener` without TLS.
pub fn plain(
    listener: TcpListener,
    handle: Handle<SocketAddr>,
    router: axum::Router,
) -> anyhow::Result<Serving> {
    let mut server =
        axum_server::from_tcp(listener)?.acceptor(ConnectionLimit::new(NoDelayAcceptor)).handle(handle);
    limit_time(server.http_builder());
    Ok(Box::pin(server.serve(router.into_make_service())))
}

/// Serves `router` on `listener` over TLS, and reloads the certificate when its files change.
pub(super) fn over_tls(
    tls: tls::Listener,
    metrics: Arc<Metrics>,
    listener: TcpListener,
    handle: Handle<SocketAddr>,
    router: axum::Router,
) -> anyhow::Result<Serving> {
    metrics.tls_certificate_expiry.set(tls.expires().timestamp());
    let acceptor = RustlsAcceptor::new(tls.config()).handshake_timeout(HANDSHAKE_WITHIN);
    let acceptor = Handshakes::new(acceptor.acceptor(NoDelayAcceptor), Arc::clone(&metrics));
    let mut server = axum_server::from_tcp(listener)?.acceptor(ConnectionLimit::new(acceptor)).handle(handle);
    limit_time(server.http_builder());
    let record = move |reload| {
        let result = match reload {
            Reload::Done { expires } => {
                metrics.tls_certificate_expiry.set(expires.timestamp());
                "done"
            }
            Reload::Failed => "failed",
        };
        metrics.tls_reloads.get_or_create(&ByResult { result }).inc();
    };
    Ok(Box::pin(async move {
        tokio::select! {
            ended = server.serve(router.into_make_service()) => ended,
            never = tls.reload_on_change(record) => match never {},
        }
    }))
}

fn limit_time(builder: &mut hyper_util::server::conn::auto::Builder<TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(PING_EVERY));
}
