//! The listener's certificate, read anew when its files change: certificates are renewed while the service runs.

use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use axum_server::tls_rustls::RustlsConfig;
use rustls::{ServerConfig, pki_types::CertificateDer, sign::SingleCertAndKey};
use x509_cert::{Certificate, der::Decode};

use super::{clients::NamedClients, crypto_provider, pem};
use crate::{
    metrics::{ByResult, Metrics},
    tls::{ClientAuth, Tls},
};

/// How often the files are looked at. They are small and in the page cache.
const LOOK: Duration = Duration::from_secs(1);

/// The certificate chain, its key, and the authorities for clients, as the files have them.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A certificate in use, and what it takes to keep it up to date.
pub struct Listener {
    /// What connections are accepted with; changes with the files.
    pub config: RustlsConfig,
    tls: Tls,
    files: Files,
}

impl Listener {
    /// Reads the certificate and the key that the configuration names.
    ///
    /// # Errors
    /// If a file cannot be read or makes no sense: the service must not start without the protection that it was told
    /// to have.
    pub fn new(tls: &Tls, metrics: &Metrics) -> anyhow::Result<Self> {
        let files = read(tls)?;
        let (config, expires) = server_config(tls, &files)?;
        metrics.tls_certificate_expiry.set(expires);
        Ok(Self { config: RustlsConfig::from_config(Arc::new(config)), tls: tls.clone(), files })
    }

    /// Takes over what the files say whenever that changes. What makes no sense is logged and not taken: the
    /// certificate in use goes on being used.
    pub async fn keep_up(mut self, metrics: Arc<Metrics>) -> Infallible {
        let mut seen = Ok(self.files.clone());
        let mut judged = true;
        loop {
            tokio::time::sleep(LOOK).await;
            let found = read(&self.tls).map_err(|error| format!("{error:#}"));
            // A certificate and its key are two files: whoever replaces them gets a second to replace both.
            if found != seen {
                (seen, judged) = (found, false);
            } else if !judged {
                judged = true;
                self.take(&seen, &metrics);
            }
        }
    }

    fn take(&mut self, found: &Result<Files, String>, metrics: &Metrics) {
        let taken = match found {
            Ok(files) if *files == self.files => return,
            Ok(files) => server_config(&self.tls, files)
                .map(|(config, expires)| (files.clone(), config, expires))
                .map_err(|error| format!("{error:#}")),
            Err(error) => Err(error.clone()),
        };
        let result = match taken {
            Ok((files, config, expires)) => {
                self.files = files;
                self.config.reload_from_config(Arc::new(config));
                metrics.tls_certificate_expiry.set(expires);
                tracing::info!("took over the changed certificate from {}", self.tls.cert.display());
                "done"
            }
            Err(error) => {
                tracing::error!(
                    "the certificate files changed, but the old certificate stays in use: {error}"
                );
                "failed"
            }
        };
        metrics.tls_reloads.get_or_create(&ByResult { result }).inc();
    }
}

fn read(tls: &Tls) -> anyhow::Result<Files> {
    let Tls { cert, key, client } = tls;
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let client_ca = client.as_ref().map(|client| read(&client.ca)).transpose()?;
    Ok(Files { cert: read(cert)?, key: read(key)?, client_ca })
}

/// TLS 1.2 and 1.3 (PagerDuty's sender speaks 1.2 only), and when the certificate expires, in seconds since 1970.
fn server_config(tls: &Tls, files: &Files) -> anyhow::Result<(ServerConfig, i64)> {
    let of = |path: &Path| path.display().to_string();
    let chain = pem::certificates(&files.cert).with_context(|| of(&tls.cert))?;
    let expires = expires(&chain[0]).with_context(|| of(&tls.cert))?;
    let key = pem::private_key(&files.key).with_context(|| of(&tls.key))?;
    let builder =
        ServerConfig::builder_with_provider(crypto_provider()).with_safe_default_protocol_versions()?;
    let builder = match (&tls.client, &files.client_ca) {
        (Some(ClientAuth { ca, names }), Some(pem)) => {
            let roots = pem::authorities(pem).with_context(|| of(ca))?;
            builder.with_client_cert_verifier(Arc::new(NamedClients::new(roots, names)?))
        }
        _ => builder.with_no_client_auth(),
    };
    let identity = SingleCertAndKey::from(pem::pair(chain, key)?);
    let mut config = builder.with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, expires))
}

fn expires(certificate: &CertificateDer<'_>) -> anyhow::Result<i64> {
    let certificate = Certificate::from_der(certificate)?;
    let at = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Ok(i64::try_from(at.as_secs())?)
}
