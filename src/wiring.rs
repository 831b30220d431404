//! Builds the parts from the configuration, for the service and for single commands alike.

mod proxy;
pub(crate) mod scopes;

use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;
use url::Url;

use self::{proxy::proxy_for, scopes::Purpose};

pub(crate) use self::proxy::http_proxy_for;

use crate::{
    config::{Config, Credentials, Endpoint, OAuthApp},
    metrics::{Budget, ByUpstream, Metrics, Sent, Told},
    model::Upstream,
    notices::{self, Sender},
    pagerduty::{self, Auth, RateLimit},
    reconcile::{Intervals, Observer, Reconciler, plan::Settings},
    store::{Address, SharedStore, postgres::Postgres, sqlite::Sqlite},
    strongdm, tls,
};

/// The API of PagerDuty's EU service region.
const EU_HOST: &str = "api.eu.pagerduty.com";

/// Opens the store to work with it: as the only owner of a file, or as one of several replicas on a database.
pub(crate) async fn open_store(address: &Address) -> anyhow::Result<SharedStore> {
    Ok(match address {
        Address::Sqlite { path } => {
            if !path.exists() {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                tracing::info!("making a new store at {}", path.display());
            }
            Arc::new(Sqlite::open(path).await?)
        }
        Address::Postgres { url } => Arc::new(Postgres::open(url.expose_secret()).await?),
    })
}

/// Opens the store to look only, beside a running service.
pub(crate) async fn open_store_beside(address: &Address) -> anyhow::Result<SharedStore> {
    Ok(match address {
        Address::Sqlite { path } => Arc::new(Sqlite::open_beside(path).await?),
        Address::Postgres { url } => match Postgres::open_beside(url.expose_secret()).await? {
            Some(store) => Arc::new(store),
            None => Arc::new(Sqlite::in_memory().await?),
        },
    })
}

/// The clients of both upstreams.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    /// PagerDuty; clones share one turn to send.
    pub(crate) pagerduty: pagerduty::Client,
    /// strongDM.
    pub(crate) strongdm: strongdm::Client,
}

/// Clients for both upstreams that report to `metrics`.
pub(crate) fn clients(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Clients> {
    let options = strongdm::Options {
        observer: observe_strongdm(Arc::clone(metrics)),
        proxy: proxy_for(&config.strongdm.api_url)?,
        max_filter_matches: config.sync.max_filter_matches,
        ..Default::default()
    };
    let strongdm = strongdm::Client::new(
        tls::client_config()?,
        &config.strongdm.api_url,
        &config.strongdm.access_key,
        config.strongdm.secret_key.clone(),
        options,
    )?;
    Ok(Clients { pagerduty: pagerduty(config, Purpose::Access, metrics)?, strongdm })
}

/// A client for PagerDuty that reports to `metrics`; as an OAuth app, it may do what `purpose` takes.
pub(crate) fn pagerduty(
    config: &Config,
    purpose: Purpose,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<pagerduty::Client> {
    let url = config.pagerduty.api_url.clone();
    let auth = match &config.pagerduty.credentials {
        Credentials::Key(key) => Auth::Key(key.clone()),
        Credentials::App(app) => Auth::App(tokens(app, config, purpose)?),
    };
    let client = pagerduty::Client::new(tls::client_config()?, http_proxy_for(&url)?, url, auth)
        .context("cannot make an HTTP client")?;
    Ok(client.with_observer(observe_pagerduty(Arc::clone(metrics))))
}

fn tokens(app: &OAuthApp, config: &Config, purpose: Purpose) -> anyhow::Result<Arc<pagerduty::Tokens>> {
    let OAuthApp { client_id, client_secret, subdomain, identity_url } = app;
    let connection = pagerduty::Connection::new(tls::client_config()?, http_proxy_for(identity_url)?)
        .context("cannot make an HTTP client")?;
    let app = pagerduty::App {
        identity_url: identity_url.clone(),
        client_id: client_id.clone(),
        client_secret: client_secret.clone(),
        region: if config.pagerduty.api_url.host_str() == Some(EU_HOST) { "eu" } else { "us" },
        subdomain: subdomain.clone(),
        scopes: scopes::asked_for(config, purpose),
    };
    Ok(pagerduty::Tokens::new(app, connection))
}

/// What sends notices to each configured endpoint.
pub(crate) fn notice_senders(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Vec<Sender>> {
    let sender = |endpoint: &Endpoint| {
        // It was read as an address before.
        let url = Url::parse(endpoint.url.expose_secret()).context("an endpoint without an address")?;
        let client = notices::client(tls::client_config()?, http_proxy_for(&url)?)
            .context("cannot make an HTTP client")?;
        Ok(Sender { endpoint: Arc::new(endpoint.clone()), client, metrics: Arc::clone(metrics) })
    };
    config.notices.iter().map(sender).collect()
}

/// A reconciler on `store`, with clients for both upstreams that report to `metrics`.
pub(crate) async fn reconciler(
    config: &Config,
    store: SharedStore,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Reconciler> {
    let clients = clients(config, &metrics)?;
    reconciler_with(config, store, metrics, clients).await
}

/// A reconciler on `store` with these clients.
pub(crate) async fn reconciler_with(
    config: &Config,
    store: SharedStore,
    metrics: Arc<Metrics>,
    clients: Clients,
) -> anyhow::Result<Reconciler> {
    let intervals = Intervals { full_pass: config.sync.interval, comparison: config.sync.verify_interval };
    Ok(Reconciler::new(observer(config, clients), intervals, store, metrics).await?)
}

/// An observer of both upstreams, for whoever only looks.
pub(crate) fn observer(config: &Config, clients: Clients) -> Observer {
    observer_of(settings(config), clients)
}

/// The same for some of the rules.
pub(crate) fn observer_of(settings: Settings, clients: Clients) -> Observer {
    let Clients { pagerduty, strongdm } = clients;
    Observer::new(settings, pagerduty, strongdm)
}

/// The operator's part of the decision.
pub(crate) fn settings(config: &Config) -> Settings {
    Settings {
        rules: config.rules.clone(),
        aliases: config.aliases.clone(),
        horizon: config.sync.horizon,
        max_revocations: config.sync.max_revocations,
    }
}

fn observe_pagerduty(metrics: Arc<Metrics>) -> pagerduty::CallObserver {
    Arc::new(move |call| {
        let upstream = Upstream::PagerDuty;
        let code = call.status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        let sent = Sent { upstream, operation: call.operation.name(), code, seconds: call.seconds };
        // The header tells of the limit that is nearest to its end, and names none: the list of on-calls has one of its own.
        let kind = if call.operation == pagerduty::Operation::OnCalls { "on_calls" } else { "requests" };
        let told = call.rate_limit.map(|RateLimit { limit, remaining }| Told { limit, remaining });
        let budget = Budget { upstream, kind, bucket: String::new() };
        metrics.record_request(sent, told.map(|told| (budget, told)));
        if let Some(date) = call.server_date {
            let ahead = metrics.pagerduty.record_clock(date);
            metrics.clock_ahead.get_or_create(&ByUpstream { upstream: upstream.as_str() }).set(ahead);
        }
        // That something does not exist is an answer like any other.
        metrics.pagerduty.record(match call.error {
            Some(error)
                if !matches!(error, pagerduty::Error::NotFound(_) | pagerduty::Error::BadRequest(_)) =>
            {
                Err(error.to_string())
            }
            Some(_) | None => Ok(()),
        });
    })
}

fn observe_strongdm(metrics: Arc<Metrics>) -> strongdm::CallObserver {
    Arc::new(move |call| {
        use strongdm::Error;
        let upstream = Upstream::StrongDm;
        let operation = call.operation.name();
        let sent = Sent { upstream, operation, code: call.code.to_owned(), seconds: call.seconds };
        let kind = if call.operation.is_write() { "writes" } else { "reads" };
        let told = call.rate_limit.as_ref().map(|limit| {
            let number = |count: i64| u64::try_from(count).unwrap_or_default();
            let told = Told { limit: Some(number(limit.limit)), remaining: number(limit.remaining) };
            (Budget { upstream, kind, bucket: limit.bucket.clone() }, told)
        });
        // What is refused without a word about the limit is used up, whatever it was.
        let refused = || {
            let used_up = Told { limit: None, remaining: 0 };
            matches!(call.result, Err(Error::RateLimited { .. }))
                .then(|| (Budget { upstream, kind, bucket: String::new() }, used_up))
        };
        metrics.record_request(sent, told.or_else(refused));
        if let Some(date) = call.server_date {
            let ahead = metrics.strongdm.record_clock(date);
            metrics.clock_ahead.get_or_create(&ByUpstream { upstream: upstream.as_str() }).set(ahead);
        }
        metrics.strongdm.record(match call.result {
            Ok(()) | Err(Error::NotFound(_) | Error::AlreadyExists(_) | Error::InvalidArgument(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        });
    })
}
