//! Asks a server whether it lives, without leaving a trace of a failed handshake where it wants a client certificate and
//! we have none: to be asked for one is an answer, and then we hang up like any probe that only connects.

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

/// What a server does when somebody knocks.
#[derive(Debug, PartialEq, Eq)]
pub enum Knock {
    /// It answers, beginning with this line.
    Answered(String),
    /// It wants to see a client certificate first, which it does not say when it is stuck.
    WantsCertificate,
}

/// Notes that the server asked for a certificate; there is none.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Sends `request` to `server` over this connection, and reads the first line of what comes back.
pub async fn knock(
    mut config: ClientConfig,
    server: ServerName<'static>,
    mut tcp: TcpStream,
    request: &[u8],
) -> io::Result<Knock> {
    let asked = Arc::new(Asked::default());
    config.client_auth_cert_resolver = asked.clone();
    let mut tls = ClientConnection::new(Arc::new(config), server).map_err(io::Error::other)?;
    // It waits there for the end of the handshake.
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
        // Our next message would say that we have none, and end in an alert.
        if asked.0.load(Ordering::Relaxed) {
            return Ok(Knock::WantsCertificate);
        }
        if let Some(end) = answer.iter().position(|byte| *byte == b'\n') {
            answer.truncate(end);
            return Ok(Knock::Answered(String::from_utf8_lossy(&answer).trim_end().to_owned()));
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up"))
}
