//! How this program speaks TLS: one crypto provider, one set of trusted roots for both upstreams, the listener's own
//! certificate, and the ways to reach our own service.

mod clients;
mod files;
pub(crate) mod pem;
mod pinned;
mod probe;
mod server;

use std::{path::PathBuf, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};

pub(crate) use self::{
    pinned::{client_config_trusting_any, client_config_trusting_only},
    probe::{ProbeAnswer, probe},
    server::{Listener, Reload},
};

/// What it takes to serve HTTPS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file with the certificate chain. The configuration is refused unless this file and the others can be read and
    /// used.
    pub cert: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// Which client certificates are required (PagerDuty's mutual TLS); none are if this is not set.
    pub client: Option<ClientAuth>,
}

/// Which client certificates are accepted.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    /// PEM file with the authorities that sign them.
    pub ca: PathBuf,
    /// A certificate must carry one of these names.
    pub names: Vec<String>,
}

/// The cryptography behind every TLS connection; the only place that names it.
pub(crate) fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Client TLS that trusts the system's roots, or Mozilla's where the system has none (a bare container).
///
/// No ALPN is set: each HTTP client asks for the protocols that it speaks.
pub(crate) fn client_config() -> ClientConfig {
    ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default TLS versions")
        .with_root_certificates(roots())
        .with_no_client_auth()
}

fn roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "some system root certificates could not be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("no system root certificates found, trusting Mozilla's list");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_roots_and_no_alpn() {
        assert!(!roots().is_empty());
        assert!(client_config().alpn_protocols.is_empty());
    }
}
