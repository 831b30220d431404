//! `oncall-grants healthcheck`: for containers without a shell.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use url::{Host, Url};

use super::{ExitStatus, local};
use crate::{
    config::{self, Config},
    model::is_loopback,
    tls::{self, ProbeAnswer},
};

/// Longer than a healthy process needs; twice this is shorter than an orchestrator waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// No line of a status is near this.
const LONGEST_LINE: u64 = 1024;
/// Where the image's service listens, unless it is told otherwise.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the service listens [default: `server.listen` of the configuration, on this machine; port 8080 where there is
    /// none]. On this machine any certificate will do, and to be asked for a client certificate is an answer as well
    #[arg(long)]
    url: Option<Url>,
}

/// Which certificate the service may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Any, as on this machine: it carries the name that others know this machine by, and nothing is told that is worth
    /// protecting.
    AnyCertificate,
    /// One that an authority signed which this machine trusts.
    KnownAuthorities,
}

pub(super) async fn healthcheck(file: Option<&Path>, options: &Options) -> anyhow::Result<ExitStatus> {
    match &options.url {
        Some(url) if is_loopback(url) => probe(url, Trust::AnyCertificate).await?,
        Some(url) => probe(url, Trust::KnownAuthorities).await?,
        None => match config::load(file, &|name| std::env::var(name).ok()) {
            Ok(config) => probe_configured(&config).await?,
            // It is the service that is asked about, not the file, which may be another one's to read.
            Err(_) => probe_without_configuration().await?,
        },
    }
    Ok(ExitStatus::Done)
}

/// Whether a service answers where this configuration says that it listens.
pub(super) async fn service_answers(config: &Config) -> bool {
    probe_configured(config).await.is_ok()
}

async fn probe_configured(config: &Config) -> anyhow::Result<()> {
    let url = local::service_url(&config.server);
    let url = url.context("server.listen leaves the port to the system; say where it is with --url")?;
    probe(&url, Trust::AnyCertificate).await
}

/// Asks where the service listens by default. TLS comes first: to a listener without, a handshake is one odd request, but
/// to one with TLS a plain request is a failed handshake, which it counts and tells.
async fn probe_without_configuration() -> anyhow::Result<()> {
    let listen = std::env::var("ONCALL_GRANTS_LISTEN").ok().and_then(|listen| listen.trim().parse().ok());
    let address = listen.and_then(local::connect_address).unwrap_or(DEFAULT_ADDRESS);
    let by_tls = Url::parse(&format!("https://{address}"))?;
    if probe(&by_tls, Trust::AnyCertificate).await.is_ok() {
        return Ok(());
    }
    probe(&Url::parse(&format!("http://{address}"))?, Trust::AnyCertificate).await
}

/// Fails unless the service there answers that it lives, or by asking for a client certificate.
async fn probe(url: &Url, trust: Trust) -> anyhow::Result<()> {
    let answer = timeout(ANSWER_WITHIN, request_health(url, trust)).await;
    let answer = answer.map_err(|_| anyhow!("it takes too long")).and_then(|answer| answer);
    let line = match answer.with_context(|| format!("the service does not answer at {url}"))? {
        ProbeAnswer::FirstLine(line) => line,
        ProbeAnswer::WantsCertificate => return Ok(()),
    };
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
    let status: u16 = status.with_context(|| format!("what answers at {url} speaks no HTTP"))?;
    ensure!((200..300).contains(&status), "the service answered {status}");
    Ok(())
}

async fn request_health(url: &Url, trust: Trust) -> anyhow::Result<ProbeAnswer> {
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
        let config = match trust {
            Trust::AnyCertificate => tls::client_config_trusting_any(),
            Trust::KnownAuthorities => tls::client_config()?,
        };
        return Ok(tls::probe(config, name, tcp, request.as_bytes()).await?);
    }
    ensure!(url.scheme() == "http", "the URL must begin with http or https");
    tcp.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(tcp.take(LONGEST_LINE)).read_line(&mut line).await?;
    ensure!(!line.is_empty(), "it hung up");
    Ok(ProbeAnswer::FirstLine(line))
}
