//! `oncall-grants healthcheck`: for containers without a shell.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use url::{Host, Url};

use super::{Ending, local};
use crate::{
    config::{self, Config},
    model::is_loopback,
    tls::{self, ProbeAnswer},
};

/// Longer than a healthy process needs; twice this is shorter than an orchestrator waits.
const WITHIN: Duration = Duration::from_secs(2);
/// No line of a status is near this.
const LONGEST_LINE: u64 = 1024;
/// Where the image's service listens, unless it is told otherwise.
const USUAL: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 8080));

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the service listens [default: `server.listen` of the configuration, on this machine; port 8080 where there is
    /// none]. On this machine any certificate will do, and to be asked for a client certificate is an answer as well
    #[arg(long)]
    url: Option<Url>,
}

pub(super) async fn healthcheck(file: Option<&Path>, options: &Options) -> anyhow::Result<Ending> {
    if let Some(url) = &options.url {
        return alive(url, is_loopback(url)).await;
    }
    match config::load(file, &|name| std::env::var(name).ok()) {
        Ok(config) => alive(&configured(&config)?, true).await,
        // It is the service that is asked about, not the file, which may be another one's to read.
        Err(_) => guessed().await,
    }
}

/// Whether a service answers where this configuration says that it listens.
pub(super) async fn answers(config: &Config) -> bool {
    match configured(config) {
        Ok(url) => alive(&url, true).await.is_ok(),
        Err(_) => false,
    }
}

/// Where the service of this configuration is.
fn configured(config: &Config) -> anyhow::Result<Url> {
    let address = local::reachable(config.server.listen);
    let address =
        address.context("server.listen leaves the port to the system; say where it is with --url")?;
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    Ok(Url::parse(&format!("{scheme}://{address}"))?)
}

/// Asks where the service usually is. TLS comes first: to a listener without, a handshake is one odd request, but to one
/// with TLS a plain request is a failed handshake, which it counts and tells.
async fn guessed() -> anyhow::Result<Ending> {
    let listen = std::env::var("ONCALL_GRANTS_LISTEN").ok().and_then(|listen| listen.trim().parse().ok());
    let address = listen.and_then(local::reachable).unwrap_or(USUAL);
    if let Ok(ending) = alive(&Url::parse(&format!("https://{address}"))?, true).await {
        return Ok(ending);
    }
    alive(&Url::parse(&format!("http://{address}"))?, true).await
}

/// Whether the service there answers. Where `anybody` may answer, its certificate does not matter: it carries the name
/// that others know this machine by, and nothing is told that is worth protecting.
async fn alive(url: &Url, anybody: bool) -> anyhow::Result<Ending> {
    let answer = timeout(WITHIN, ask(url, anybody)).await.map_err(|_| anyhow!("it takes too long"));
    let answer = answer.and_then(|answer| answer);
    let Some(line) = answer.with_context(|| format!("the service does not answer at {url}"))? else {
        return Ok(Ending::Done);
    };
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
    let status: u16 = status.with_context(|| format!("what answers at {url} speaks no HTTP"))?;
    ensure!((200..300).contains(&status), "the service answered {status}");
    Ok(Ending::Done)
}

/// The first line of the answer; none if the service wants to see a client certificate before it hears anybody.
async fn ask(url: &Url, anybody: bool) -> anyhow::Result<Option<String>> {
    let (host, name) = match url.host().context("the URL names no host")? {
        Host::Domain(name) => (name.to_owned(), name.to_owned().try_into()?),
        Host::Ipv4(address) => (address.to_string(), std::net::IpAddr::from(address).into()),
        Host::Ipv6(address) => (address.to_string(), std::net::IpAddr::from(address).into()),
    };
    let port = url.port_or_known_default().context("the URL names no port")?;
    let mut tcp = TcpStream::connect((host.as_str(), port)).await?;
    let authority = url.authority();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    if url.scheme() == "https" {
        let config = if anybody { tls::client_config_trusting_any() } else { tls::client_config() };
        return Ok(match tls::probe(config, name, tcp, request.as_bytes()).await? {
            ProbeAnswer::FirstLine(line) => Some(line),
            ProbeAnswer::WantsCertificate => None,
        });
    }
    ensure!(url.scheme() == "http", "the URL must begin with http or https");
    tcp.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(tcp.take(LONGEST_LINE)).read_line(&mut line).await?;
    ensure!(!line.is_empty(), "it hung up");
    Ok(Some(line))
}
