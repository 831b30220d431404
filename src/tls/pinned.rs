//! TLS for clients of our own service on this machine. Its certificate carries its public name, so the usual verification
//! would fail.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::crypto_provider;

/// Client TLS that accepts every certificate. Send no secret over it, and do not rely on the answer.
pub(crate) fn client_config_trusting_any() -> ClientConfig {
    config(None)
}

/// Client TLS that accepts this certificate and no other, whatever its names and dates are. The server also proves that it
/// has the key, so a secret goes to nobody else.
pub(crate) fn client_config_trusting_only(certificate: CertificateDer<'static>) -> ClientConfig {
    config(Some(certificate))
}

fn config(pinned: Option<CertificateDer<'static>>) -> ClientConfig {
    let provider = crypto_provider();
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default TLS versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedVerifier { provider, pinned }))
        .with_no_client_auth()
}

/// Compares the certificate itself instead of verifying who signed it.
#[derive(Debug)]
struct PinnedVerifier {
    provider: Arc<CryptoProvider>,
    /// The only certificate that is accepted; every one is if this is not set.
    pinned: Option<CertificateDer<'static>>,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.as_ref().is_some_and(|pinned| pinned != shown) {
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
