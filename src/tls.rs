//! How this program speaks TLS: one crypto provider, one set of trusted roots for both upstreams.

use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::config::Tls;

/// The cryptography behind every TLS connection; the only place that names it.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Client TLS that trusts the system's roots, or Mozilla's where the system has none (a bare container).
///
/// No ALPN is set: each HTTP client asks for the protocols that it speaks.
pub fn client_config() -> ClientConfig {
    ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default TLS versions")
        .with_root_certificates(roots())
        .with_no_client_auth()
}

/// Server TLS 1.2 and 1.3 (PagerDuty's sender speaks 1.2 only) with the certificate and key of the configuration.
pub fn server_config(tls: &Tls) -> anyhow::Result<ServerConfig> {
    let Tls { cert, key, client } = tls;
    if client.is_some() {
        bail!(
            "this version cannot require client certificates; remove server.client_ca and server.client_names"
        );
    }
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key from {}", key.display()))?;
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the private key do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
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
