//! Clients of a service on this machine. Its certificate carries the name that others know it by, so that the usual
//! check would fail.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::crypto_provider;

/// Client TLS that accepts every certificate. Send nothing over it that is worth protecting, and believe nothing.
pub fn any_server_config() -> ClientConfig {
    config(None)
}

/// Client TLS that accepts this very certificate and no other, whatever its names and dates are. Whoever shows it also
/// proves to have its key, so that a secret goes to nobody else.
pub fn one_server_config(certificate: CertificateDer<'static>) -> ClientConfig {
    config(Some(certificate))
}

fn config(only: Option<CertificateDer<'static>>) -> ClientConfig {
    let provider = crypto_provider();
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default TLS versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Shown { provider, only }))
        .with_no_client_auth()
}

/// Looks at the certificate itself instead of who vouches for it.
#[derive(Debug)]
struct Shown {
    provider: Arc<CryptoProvider>,
    /// The only one that is accepted; every one if none is named.
    only: Option<CertificateDer<'static>>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.only.as_ref().is_some_and(|only| only != shown) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
