//! Probes whether a server answers, also one that requires a client certificate, which we do not have. Such a server has
//! answered once it asks for the certificate; we then hang up like any probe that only connects, so that it counts no
//! failed handshake.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{
    ClientConfig, ClientConnection, SignatureScheme, client::ResolvesClientCert, pki_types::ServerName,
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// More than the first line of any answer.
const ENOUGH: usize = 16 * 1024;

/// How a server answered a probe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProbeAnswer {
    /// With a response that begins with this line.
    FirstLine(String),
    /// By asking for a client certificate, which a server that hangs does not do.
    WantsCertificate,
}

/// Remembers that the server asked for a client certificate, and has none to show.
#[derive(Debug, Default)]
struct CertificateRequest(AtomicBool);

impl ResolvesClientCert for CertificateRequest {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Sends `request` to `server` over this connection, and reads the first line of the response.
pub(crate) async fn probe(
    mut config: ClientConfig,
    server: ServerName<'static>,
    mut tcp: TcpStream,
    request: &[u8],
) -> io::Result<ProbeAnswer> {
    let requested = Arc::new(CertificateRequest::default());
    config.client_auth_cert_resolver = requested.clone();
    let mut tls = ClientConnection::new(Arc::new(config), server).map_err(io::Error::other)?;
    // The TLS library keeps it until the handshake is done.
    tls.writer().write_all(request)?;
    let mut answer = Vec::new();
    let mut received = [0; 4096];
    while answer.len() < ENOUGH {
        while tls.wants_write() {
            let mut sending = Vec::new();
            tls.write_tls(&mut sending)?;
            tcp.write_all(&sending).await?;
        }
        let length = tcp.read(&mut received).await?;
        if length == 0 {
            break;
        }
        let mut rest = &received[..length];
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let known = answer.len();
            answer.resize(known + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut answer[known..])?;
        }
        // Our next message would say that we have none, which the server counts as a failed handshake.
        if requested.0.load(Ordering::Relaxed) {
            return Ok(ProbeAnswer::WantsCertificate);
        }
        if let Some(end) = answer.iter().position(|byte| *byte == b'\n') {
            answer.truncate(end);
            return Ok(ProbeAnswer::FirstLine(String::from_utf8_lossy(&answer).trim_end().to_owned()));
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up"))
}
