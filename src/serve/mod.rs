//! The service: builds everything, runs the web side and the reconciler, and stops them in order.

mod connections;
mod handshakes;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, anyhow};
use axum_server::{Handle, accept::NoDelayAcceptor, tls_rustls::RustlsAcceptor};
use chrono::TimeDelta;
use hyper_util::rt::TokioTimer;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{connections::ConnectionLimit, handshakes::Handshakes};
use crate::{
    clock,
    config::Config,
    metrics::Metrics,
    pagerduty,
    store::{self, Duty, SharedStore},
    subscription::{self, Watched},
    tls,
    web::{App, WebhookSecrets, router},
    wiring,
};

/// A client that takes longer to send its request's headers is not PagerDuty.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// The same for a TLS handshake; it must end before the headers can begin.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Requests under way get this long to finish at the end.
const FINISH_REQUESTS: Duration = Duration::from_secs(5);
/// The pass under way gets this long to finish at the end; what it leaves undone is settled at the next start. Below
/// the 30 s that orchestrators usually wait before they kill.
const FINISH_PASS: Duration = Duration::from_secs(20);
/// How often old rows are looked for.
const HOUSEKEEPING: Duration = Duration::from_hours(1);
/// A replica that dies while it removes old rows keeps the others from it for this long.
const PRUNING: Duration = Duration::from_mins(2);
/// Event IDs are remembered at least this long: PagerDuty repeats deliveries for 48 hours.
const KEEP_EVENT_KEYS: TimeDelta = TimeDelta::hours(72);

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: &Config) -> anyhow::Result<()> {
    serve_until(config, |_| {}, stop_signal()).await
}

/// Serves until `stop` is ready with the name of what stopped it; `listening` hears the address once connections are taken.
pub async fn serve_until(
    config: &Config,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = std::io::Result<&'static str>>,
) -> anyhow::Result<()> {
    let store = wiring::open_store(&config.store.address).await?;
    let metrics = Arc::new(Metrics::new());
    let clients = wiring::clients(config, &metrics)?;
    let pagerduty = clients.pagerduty.clone();
    let reconciler = wiring::reconciler_with(config, store.clone(), Arc::clone(&metrics), clients).await?;
    let reconciler = Arc::new(reconciler);
    let secrets = &config.pagerduty;
    let secrets = WebhookSecrets::new(secrets.webhook_secrets.clone(), secrets.webhook_secrets_file.clone());
    let token = config.server.admin_token.clone();
    let app =
        Arc::new(App::new(store.clone(), Arc::clone(&reconciler), Arc::clone(&metrics), secrets, token));
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    listener.set_nonblocking(true)?;

    let shutdown = CancellationToken::new();
    let handle = Handle::new();
    let mut web = {
        let tls = config.server.tls.as_ref().map(|tls| tls::Listener::new(tls, &metrics)).transpose()?;
        tokio::spawn(web(tls, metrics, listener, handle.clone(), router(Arc::clone(&app)))?)
    };
    let mut passes = {
        let (reconciler, shutdown) = (Arc::clone(&reconciler), shutdown.clone());
        tokio::spawn(async move { reconciler.run(shutdown).await })
    };
    watch_subscription(config, pagerduty, &app, &shutdown);
    tokio::spawn(keep_house(store.clone(), config.store.keep));
    let address = handle.listening().await.unwrap_or(listen);
    announce(config, address);
    listening(address);

    let stopped = tokio::select! {
        name = stop => Ok(name?),
        ended = &mut web => Err(anyhow!("the web side ended by itself: {ended:?}")),
        ended = &mut passes => Err(anyhow!("the reconciler ended by itself: {ended:?}")),
    };
    if let Ok(name) = &stopped {
        tracing::info!("stopping after {name}: no more webhooks are taken, the pass under way is finished");
    }
    app.stopping.store(true, Ordering::Relaxed);
    shutdown.cancel();
    handle.graceful_shutdown(Some(FINISH_REQUESTS));
    if stopped.is_ok() {
        if timeout(FINISH_PASS, passes).await.is_err() {
            tracing::warn!("the pass under way did not finish in time; the next start settles what it left");
        }
        drop(timeout(FINISH_REQUESTS, web).await);
        // Deliveries on their way to the disk are written; connections that hang must not keep us.
        drop(timeout(FINISH_REQUESTS, store.close()).await);
    }
    stopped.map(|_| ())
}

/// Watches our webhook subscription, if the configuration says where PagerDuty reaches us.
fn watch_subscription(
    config: &Config,
    client: pagerduty::Client,
    app: &Arc<App>,
    shutdown: &CancellationToken,
) {
    if let Some(url) = subscription::our_url(config) {
        app.watch.expect(url.clone());
        let watched = Watched {
            url,
            client,
            reconciler: Arc::clone(&app.reconciler),
            metrics: Arc::clone(&app.metrics),
            watch: Arc::clone(&app.watch),
            has_secrets: {
                let app = Arc::clone(app);
                Box::new(move || !app.webhook_secrets.current().is_empty())
            },
        };
        let shutdown = shutdown.clone();
        tokio::spawn(async move { watched.watch(shutdown).await });
    }
}

/// Runs until its handle stops it, or it fails.
pub type Serving = std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// Serves `router` on `listener`, over TLS if there is a listener for it.
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
        limit(server.http_builder());
        Box::pin(async move {
            tokio::select! {
                ended = server.serve(service) => ended,
                never = tls.keep_up(metrics) => match never {},
            }
        })
    } else {
        let mut server =
            axum_server::from_tcp(listener)?.acceptor(ConnectionLimit::new(NoDelayAcceptor)).handle(handle);
        limit(server.http_builder());
        Box::pin(server.serve(service))
    })
}

fn limit(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(30)));
}

async fn stop_signal() -> std::io::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

fn announce(config: &Config, address: SocketAddr) {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let rules = config.rules.len();
    let plural = if rules == 1 { "" } else { "s" };
    tracing::info!(
        "serving on {scheme}://{address} with {rules} rule{plural} from {}",
        config.file.display()
    );
    let pagerduty = &config.pagerduty;
    match &pagerduty.webhook_secrets_file {
        _ if !pagerduty.webhook_secrets.is_empty() => {}
        // The path is not told: it may be a secret in the wrong place.
        Some(_) => tracing::error!(
            "the file that pagerduty.webhook_secrets_file names is not there or empty, so webhooks are answered 503 until \
             it holds a secret; it is then taken in without a restart"
        ),
        None => tracing::warn!(
            "no webhook secret is configured, so webhooks are answered 503; set pagerduty.webhook_secrets"
        ),
    }
}

async fn keep_house(store: SharedStore, keep: TimeDelta) {
    loop {
        if let Err(error) = prune(&store, keep).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not prune the store");
        }
        tokio::time::sleep(HOUSEKEEPING).await;
    }
}

/// Removes old rows, unless another replica is at it.
async fn prune(store: &SharedStore, keep: TimeDelta) -> Result<(), store::Error> {
    let Some(lease) = store.try_lease(Duty::Housekeeping, PRUNING, "").await? else { return Ok(()) };
    let now = clock::now();
    // Small steps, so that webhooks never wait long for the one writer.
    while store.prune(now - keep, now - keep.max(KEEP_EVENT_KEYS)).await? {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !store.renew(&lease, PRUNING).await? {
            return Ok(());
        }
    }
    store.release(&lease).await
}
