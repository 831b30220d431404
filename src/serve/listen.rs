//! Serves the web side, with or without TLS.

use std::{
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum_server::{Handle, accept::DefaultAcceptor, tls_rustls::RustlsAcceptor};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{connections::Connections, handshakes::Handshakes};
use crate::{
    metrics::{ByResult, Metrics},
    tls::{self, Reload},
};

/// A client that takes longer for the TLS handshake is not PagerDuty; it must end before the first request can begin.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How often an HTTP/2 client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// What a stranger's connection may keep in memory, in bytes: there are thousands of them. The head of a request; the
/// defaults would allow 400 KiB.
const LARGEST_HEAD: usize = 32 * 1024;
/// Requests of one HTTP/2 connection at once, each of which keeps its answer until the client takes it.
const STREAMS: u32 = 32;
/// What an HTTP/2 client may send before we have read it: of one body, and of all together.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 128 * 1024;

/// Runs until its handle stops it, or it fails.
pub type Serving = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// Serves `router` on `listener` without TLS, and closes connections that were idle for `idle_timeout`.
pub fn plain(
    listener: TcpListener,
    idle_timeout: Duration,
    handle: Handle<SocketAddr>,
    router: axum::Router,
) -> anyhow::Result<Serving> {
    let acceptor = Connections::new(DefaultAcceptor, idle_timeout);
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle);
    configure(server.http_builder());
    Ok(Box::pin(server.serve(router.into_make_service_with_connect_info::<SocketAddr>())))
}

/// The same over TLS; the certificate is reloaded when its files change.
pub(super) fn over_tls(
    tls: tls::ServerCertificate,
    metrics: Arc<Metrics>,
    listener: TcpListener,
    idle_timeout: Duration,
    handle: Handle<SocketAddr>,
    router: axum::Router,
) -> anyhow::Result<Serving> {
    metrics.tls_certificate_expiry.set(tls.expires().timestamp());
    let acceptor = RustlsAcceptor::new(tls.config()).handshake_timeout(HANDSHAKE_WITHIN);
    let acceptor = Handshakes::new(acceptor.acceptor(DefaultAcceptor), Arc::clone(&metrics));
    let acceptor = Connections::new(acceptor, idle_timeout);
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle);
    configure(server.http_builder());
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
            ended = server.serve(router.into_make_service_with_connect_info::<SocketAddr>()) => ended,
            never = tls.reload_on_change(record) => match never {},
        }
    }))
}

fn configure(builder: &mut hyper_util::server::conn::auto::Builder<TokioExecutor>) {
    // The connections have deadlines of their own: this one would also run while they are idle.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(LARGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(PING_EVERY))
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(LARGEST_HEAD);
}
