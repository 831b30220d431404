//! Builds the service's parts, runs them until one ends or the service is told to stop, and stops them in order.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use axum_server::Handle;
use futures_util::FutureExt;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tokio::{
    join,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{background::Background, checkpoints::make_checkpoints, housekeeping::keep_house, listen};
use crate::{
    config::Config,
    evidence::Evidence,
    metrics::{Metrics, Purpose, Work},
    notices::{self, NameSource},
    pagerduty,
    subscription::{self, SecretStatus, Watcher},
    tls,
    web::{AppState, Senders, Tokens, WebhookSecrets, router},
    wiring,
};

/// Connections that wait to be accepted; the system allows fewer, if it likes.
const BACKLOG: i32 = 4096;
/// Requests and background tasks under way get this long to finish at the end.
const FINISH_REQUESTS: Duration = Duration::from_secs(5);
/// The pass under way gets this long to finish at the end; what it leaves undone is settled at the next start. Below
/// the 30 s that orchestrators usually wait before they kill.
const FINISH_PASS: Duration = Duration::from_secs(20);

/// Serves until SIGTERM, SIGINT or SIGQUIT.
pub async fn serve(config: &Config) -> anyhow::Result<()> {
    // From now on, so that none of them ends a service that is still starting.
    let _noted = AbortOnDropHandle::new(tokio::spawn(note_other_signals()?));
    serve_until(config, |_| {}, stop_signal()).await
}

/// Serves until `stop` is ready with the name of what stopped it. `listening` is called with the address once
/// connections are accepted.
///
/// # Errors
/// If a part cannot be built, or the web side or the reconciler ends by itself.
pub async fn serve_until(
    config: &Config,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = std::io::Result<&'static str>>,
) -> anyhow::Result<()> {
    let (state, pagerduty) = build(config).await?;
    let listener = bind(config.server.listen)?;
    let shutdown = CancellationToken::new();
    let handle = Handle::new();
    let mut web = {
        let (handle, router) =
            (handle.clone(), router(Arc::clone(&state), config.server.public_url.as_ref()));
        let idle_timeout = config.server.idle_timeout.to_std()?;
        tokio::spawn(match &config.server.tls {
            None => listen::plain(listener, idle_timeout, handle, router)?,
            Some(tls) => {
                let (tls, metrics) = (tls::ServerCertificate::new(tls)?, Arc::clone(&state.metrics));
                listen::over_tls(tls, metrics, listener, idle_timeout, handle, router)?
            }
        })
    };
    let mut passes = {
        let (reconciler, shutdown) = (Arc::clone(&state.reconciler), shutdown.clone());
        tokio::spawn(async move { reconciler.run(shutdown).await })
    };
    let background = run_background(config, pagerduty, &state, shutdown.clone());
    let address = handle.listening().await.unwrap_or(config.server.listen);
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
    state.stop();
    shutdown.cancel();
    handle.graceful_shutdown(Some(FINISH_REQUESTS));
    // A service that has lost one of its parts waits for nothing.
    stopped?;
    if timeout(FINISH_PASS, passes).await.is_err() {
        tracing::warn!("the pass under way did not finish in time; the next start settles what it left");
    }
    drop(join!(timeout(FINISH_REQUESTS, web), background.finish(FINISH_REQUESTS)));
    // Deliveries on their way to the disk are written; connections that hang must not keep us.
    drop(timeout(FINISH_REQUESTS, state.store.close()).await);
    Ok(())
}

/// Builds what the parts of the service share, and the client that watches the subscription.
async fn build(config: &Config) -> anyhow::Result<(Arc<AppState>, pagerduty::Client)> {
    let store = wiring::open_store(&config.store.address).await?;
    let metrics = Arc::new(Metrics::new());
    let clients = wiring::clients(config, &metrics)?;
    let pagerduty = clients.pagerduty.clone();
    let reconciler = wiring::reconciler_with(config, store.clone(), Arc::clone(&metrics), clients).await?;
    let secrets = &config.pagerduty;
    let secrets = WebhookSecrets::new(secrets.webhook_secrets.clone(), secrets.webhook_secrets_file.clone());
    let (admin, trigger) = (config.server.admin_token.clone(), config.server.trigger_tokens.clone());
    let tokens = Tokens { admin, trigger };
    let asks_for_names = config.server.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    let senders = if asks_for_names { Senders::Named } else { Senders::Anybody };
    let evidence = Evidence::new(store.clone(), config.audit.signing_key.clone());
    notices::begin(&store, &wiring::notice_senders(config, &metrics)?).await?;
    let state = AppState::new(store, Arc::new(reconciler), evidence, metrics, secrets, tokens, senders)
        .reached_at(config.server.public_url.as_ref())
        .tells(config.notices.clone());
    Ok((Arc::new(state), pagerduty))
}

/// Listens on this address; `[::]` means every address, whatever the system's default is, and those of IPv4 alone where
/// there is no IPv6.
fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = match listen_on(address) {
        Err(error) if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
            let everywhere = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            let other = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            if everywhere { listen_on(other) } else { Err(error) }
        }
        listening => listening,
    };
    listener.with_context(|| format!("cannot listen on {address}"))
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Starts what the service could do without for a while.
fn run_background(
    config: &Config,
    pagerduty: pagerduty::Client,
    state: &Arc<AppState>,
    shutdown: CancellationToken,
) -> Background {
    let mut background = Background::new(Arc::clone(&state.metrics), shutdown);
    let (store, metrics, keep) = (state.store.clone(), Arc::clone(&state.metrics), config.store.keep);
    background.spawn("housekeeping", "old rows stay in the store", move |shutdown| {
        keep_house(store.clone(), Arc::clone(&metrics), keep, shutdown)
    });
    match wiring::notice_senders(config, &state.metrics) {
        Ok(senders) if senders.is_empty() => {}
        Ok(senders) => {
            let (store, senders, state) = (state.store.clone(), Arc::new(senders), Arc::clone(state));
            let names: NameSource = Arc::new(move || {
                let reconciler = Arc::clone(&state.reconciler);
                async move { reconciler.names().await }.boxed()
            });
            background.spawn("sending notices", "nobody is told of changes", move |shutdown| {
                notices::run(store.clone(), Arc::clone(&senders), Arc::clone(&names), shutdown)
            });
        }
        Err(error) => tracing::error!("nobody is told of changes: {error:#}"),
    }
    let (store, evidence) = (state.store.clone(), state.evidence.clone());
    background.spawn("making checkpoints", "nothing vouches for new entries of the audit", move |shutdown| {
        make_checkpoints(store.clone(), evidence.clone(), shutdown)
    });
    if let Some(watcher) = subscription_watcher(config, pagerduty, state) {
        let watcher = Arc::new(watcher);
        let watch = move |shutdown| {
            let watcher = Arc::clone(&watcher);
            Work::new(Purpose::Subscription).run(async move { watcher.watch(shutdown).await })
        };
        background.spawn("watching the webhook subscription", "nobody enables it again", watch);
    }
    background
}

/// Watches our webhook subscription, if the configuration says where PagerDuty reaches us.
fn subscription_watcher(
    config: &Config,
    client: pagerduty::Client,
    state: &Arc<AppState>,
) -> Option<Watcher> {
    let url = subscription::our_url(config)?;
    state.subscription.set_url(url.clone());
    let for_secrets = Arc::clone(state);
    Some(Watcher {
        url,
        client,
        reconciler: Arc::clone(&state.reconciler),
        metrics: Arc::clone(&state.metrics),
        last_seen: Arc::clone(&state.subscription),
        secret_status: Box::new(move || {
            let state = Arc::clone(&for_secrets);
            async move {
                let has_secrets = !state.webhook_secrets.current().await.is_empty();
                if has_secrets { SecretStatus::Configured } else { SecretStatus::Missing }
            }
            .boxed()
        }),
    })
}

async fn stop_signal() -> std::io::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut quit = signal(SignalKind::quit())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = quit.recv() => "SIGQUIT",
    })
}

/// Takes the signals that would end the process though nobody means that: a terminal that closes sends SIGHUP, and so do
/// tools that want a service to read its files again.
fn note_other_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut user1, mut user2) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    Ok(async move {
        loop {
            let name = tokio::select! {
                _ = hangup.recv() => "SIGHUP",
                _ = user1.recv() => "SIGUSR1",
                _ = user2.recv() => "SIGUSR2",
            };
            tracing::info!(
                "{name} changes nothing: certificates and webhook secrets are read again when their files change, and \
                 the configuration at a restart"
            );
        }
    })
}

/// Logs where the service listens, and that webhooks are refused if no secret is known.
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
