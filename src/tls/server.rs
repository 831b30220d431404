//! The TLS side of the listener: its certificate, and the client certificates that it accepts. Both follow the files.

use std::{convert::Infallible, path::Path, sync::Arc};

use anyhow::Context;
use axum_server::tls_rustls::RustlsConfig;
use chrono::{DateTime, Utc};
use rustls::{ServerConfig, pki_types::CertificateDer, sign::SingleCertAndKey};
use x509_cert::{Certificate, der::Decode};

use super::{
    ClientAuth, Tls,
    clients::NamedClients,
    crypto_provider,
    files::{Changes, Files},
    pem,
};

/// A certificate in use, and what it takes to replace it while the service runs.
pub(crate) struct ServerCertificate {
    config: RustlsConfig,
    expires: DateTime<Utc>,
    tls: Tls,
    files: Files,
}

/// How a reload of changed certificate files ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// The new certificate is in use; it expires at this instant.
    Done { expires: DateTime<Utc> },
    /// The files cannot be used, so the old certificate stays in use.
    Failed,
}

impl ServerCertificate {
    /// Reads the certificate and the key that the configuration names.
    ///
    /// # Errors
    /// If a file cannot be read or used: the service must not start without the protection that it was told to have.
    pub(crate) fn new(tls: &Tls) -> anyhow::Result<Self> {
        let files = Files::read(tls)?;
        let (config, expires) = server_config(tls, &files)?;
        let config = RustlsConfig::from_config(Arc::new(config));
        Ok(Self { config, expires, tls: tls.clone(), files })
    }

    /// What connections are accepted with; it changes with the files.
    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// When the certificate that was read first expires.
    pub(crate) fn expires(&self) -> DateTime<Utc> {
        self.expires
    }

    /// Reloads the files whenever they change, and tells `on_reload` how that ended. Files that cannot be used are
    /// logged, and the certificate in use stays.
    pub(crate) async fn reload_on_change(mut self, on_reload: impl Fn(Reload)) -> Infallible {
        let changes = Changes::since(self.tls.clone(), self.files.clone());
        loop {
            match changes.next().await.and_then(|files| self.reload(files)) {
                Ok(None) => {}
                Ok(Some(expires)) => {
                    tracing::info!("took over the changed certificate from {}", self.tls.cert.display());
                    on_reload(Reload::Done { expires });
                }
                Err(error) => {
                    tracing::error!(
                        "the certificate files changed, but the old certificate stays in use: {error}"
                    );
                    on_reload(Reload::Failed);
                }
            }
        }
    }

    /// Accepts connections with these files from now on; answers when their certificate expires, or none if they are in
    /// use already.
    fn reload(&mut self, files: Files) -> Result<Option<DateTime<Utc>>, String> {
        if files == self.files {
            return Ok(None);
        }
        let (config, expires) = server_config(&self.tls, &files).map_err(|error| format!("{error:#}"))?;
        self.config.reload_from_config(Arc::new(config));
        self.files = files;
        Ok(Some(expires))
    }
}

/// TLS 1.2 and 1.3 (PagerDuty's sender speaks 1.2 only), and when the certificate expires.
fn server_config(tls: &Tls, files: &Files) -> anyhow::Result<(ServerConfig, DateTime<Utc>)> {
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
    let identity = SingleCertAndKey::from(pem::certified_key(chain, key)?);
    let mut config = builder.with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, expires))
}

fn expires(certificate: &CertificateDer<'_>) -> anyhow::Result<DateTime<Utc>> {
    let certificate = Certificate::from_der(certificate)?;
    let at = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    let at = i64::try_from(at.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    at.context("its date of expiry is out of range")
}
