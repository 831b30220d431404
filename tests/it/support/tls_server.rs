//! HTTPS before a plain server.

use std::{net::SocketAddr, sync::Arc};

use axum_server::{
    accept::{Accept, DefaultAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::Identity;

/// Where TLS ends, with a certificate; the rest goes to a plain server.
#[derive(Clone)]
pub(super) struct TlsEnd {
    tls: RustlsConfig,
    server: String,
}

impl TlsEnd {
    /// Before the server at this address, speaking this protocol.
    pub(super) fn before(url: &str, identity: &Identity, protocol: &str) -> Self {
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate()], key)
            .expect("they belong together");
        config.alpn_protocols = vec![protocol.into()];
        let server = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { tls: RustlsConfig::from_config(Arc::new(config)), server }
    }

    /// Serves one connection.
    pub(super) async fn pass(&self, client: TcpStream) -> Option<()> {
        let acceptor = RustlsAcceptor::new(self.tls.clone()).acceptor(DefaultAcceptor::new());
        let (mut inside, ()) = acceptor.accept(client, ()).await.ok()?;
        let mut server = TcpStream::connect(&self.server).await.ok()?;
        copy_bidirectional(&mut inside, &mut server).await.ok()?;
        None
    }
}

/// Listens for TLS.
pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl TlsServer {
    /// Before the server at this address, speaking this protocol.
    pub(crate) async fn before(url: &str, identity: &Identity, protocol: &str) -> Self {
        let end = TlsEnd::before(url, identity, protocol);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let end = end.clone();
                tokio::spawn(async move { end.pass(client).await });
            }
        });
        Self { address, task }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
