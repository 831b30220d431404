//! How this program speaks TLS: one crypto provider, one set of trusted roots for both upstreams, the listener's own
//! certificate, and the ways to reach our own service.

mod clients;
mod files;
pub(crate) mod pem;
mod pinned;
mod probe;
mod server;

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::ensure;
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

pub(crate) use self::{
    pinned::{client_config_trusting_any, client_config_trusting_only},
    probe::{ProbeAnswer, probe},
    server::{Reload, ServerCertificate},
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
///
/// # Errors
/// If the environment names certificates that are not there: whoever names them does not want others trusted instead.
pub(crate) fn client_config() -> anyhow::Result<ClientConfig> {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| (name, env::var_os(name)));
    let roots = match named_roots(named)? {
        Some(roots) => roots,
        None => roots_of_the_system(),
    };
    Ok(ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The roots in the file and the directories that these variables name, if they name any; each must hold some.
fn named_roots(variables: [(&str, Option<OsString>); 2]) -> anyhow::Result<Option<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    let [file, directories] = variables.map(|(name, value)| value.map(|value| (name, value)));
    let mut take = |name: &str, path: &Path, found: CertificateResult| {
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        ensure!(taken > 0, "{name} names {}, where no certificate is found{why}", path.display());
        Ok(())
    };
    if let Some((name, path)) = &file {
        take(name, Path::new(path), load_certs_from_paths(Some(Path::new(path)), None))?;
    }
    if let Some((name, paths)) = &directories {
        for path in env::split_paths(paths) {
            take(name, &path, load_certs_from_paths(None, Some(&path)))?;
        }
    }
    Ok((file.is_some() || directories.is_some()).then_some(roots))
}

fn roots_of_the_system() -> RootCertStore {
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
        assert!(!roots_of_the_system().is_empty());
        assert!(client_config().unwrap().alpn_protocols.is_empty());
    }

    #[test]
    fn certificates_that_are_named_and_not_there_are_not_replaced_by_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let authority = rcgen::generate_simple_self_signed(["authority".to_owned()]).unwrap().cert;
        std::fs::create_dir(path("full")).unwrap();
        std::fs::create_dir(path("empty")).unwrap();
        std::fs::write(path("full/a.pem"), authority.pem()).unwrap();
        std::fs::write(path("no.pem"), "no certificate").unwrap();
        let named = |file: Option<&str>, directory: Option<&str>| {
            let value = |name: Option<&str>| name.map(|name| path(name).into_os_string());
            named_roots([("SSL_CERT_FILE", value(file)), ("SSL_CERT_DIR", value(directory))])
        };
        assert!(named(None, None).unwrap().is_none());
        for (file, directory) in
            [(Some("full/a.pem"), None), (None, Some("full")), (Some("full/a.pem"), Some("full"))]
        {
            assert!(!named(file, directory).unwrap().unwrap().is_empty());
        }
        for (file, directory, told) in [
            (Some("gone.pem"), None, "SSL_CERT_FILE"),
            (Some("no.pem"), None, "no.pem"),
            (Some("gone.pem"), Some("full"), "gone.pem"),
            (Some("full/a.pem"), Some("gone"), "SSL_CERT_DIR"),
            (None, Some("empty"), "empty"),
        ] {
            let error = named(file, directory).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
