//! `oncall-grants healthcheck`: for containers without a shell.

use std::{error::Error, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;
use url::{Host, Url};

use super::Ending;
use crate::tls;

/// Longer than a healthy process needs; twice this is shorter than an orchestrator waits.
const WITHIN: Duration = Duration::from_secs(2);

/// Where the image's service listens, unless it is told otherwise.
const USUAL: [&str; 2] = ["http://127.0.0.1:8080", "https://127.0.0.1:8080"];

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the service listens [default: port 8080 of this machine, with TLS or without]. On this machine any certificate
    /// will do, and to be asked for a client certificate is an answer as well
    #[arg(long)]
    url: Option<Url>,
}

pub(super) async fn healthcheck(options: &Options) -> anyhow::Result<Ending> {
    if let Some(url) = &options.url {
        return ask(url).await;
    }
    let [plain, with_tls] = USUAL.map(|url| Url::parse(url).expect("it is an address"));
    match ask(&plain).await {
        Err(error) => ask(&with_tls).await.map_err(|_| error),
        alive => alive,
    }
}

async fn ask(url: &Url) -> anyhow::Result<Ending> {
    let url = url.join("/healthz").context("the URL takes no path")?;
    // The certificate carries the name that others know this machine by, and nothing is told that is worth protecting.
    let tls = if is_here(&url) { tls::any_server_config() } else { tls::client_config() };
    // HTTP/2 would turn what TLS says into a mere text.
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().no_proxy();
    let http = http.timeout(WITHIN).build().context("cannot make an HTTP client")?;
    match http.get(url).send().await {
        Err(error) if wants_client_certificate(&error) => Ok(Ending::Done),
        answer => {
            let status = answer.context("the service does not answer")?.status();
            ensure!(status.is_success(), "the service answered {status}");
            Ok(Ending::Done)
        }
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether the service got as far as to say that it wants to see a certificate, which it does not say when it is stuck.
fn wants_client_certificate(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = io.and_then(|error| error.downcast_ref()).or_else(|| error.downcast_ref());
        if tls.is_some_and(tls::is_wish_for_certificate) {
            return true;
        }
        source = error.source();
    }
    false
}
