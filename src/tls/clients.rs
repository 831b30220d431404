//! Verifies client certificates: rustls verifies the chain, this file the name.
//!
//! PagerDuty signs its certificate at a public authority, which signs certificates for anybody: without the name, the
//! authority alone would let everybody in. Names are compared whole and without regard to case. A wildcard is no name:
//! `*.example.com` belongs to many machines, and only one of them was meant.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::crypto_provider;

/// The most names that a refusal quotes; more are of no use to the reader.
const QUOTED: usize = 5;

/// Requires a client certificate that one of `roots` signed and that carries one of these names.
#[derive(Debug)]
pub(super) struct NamedClients {
    chain: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

/// The names of a trusted certificate that belongs to somebody else.
#[derive(Clone, Debug)]
pub(super) struct WrongName(Vec<String>);

impl fmt::Display for WrongName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self.0.iter().take(QUOTED).map(|name| format!("{name:?}")).collect();
        write!(f, "the client certificate carries {}, none of server.client_names", quoted.join(", "))
    }
}

impl std::error::Error for WrongName {}

impl NamedClients {
    pub(super) fn new(roots: RootCertStore, names: &[String]) -> Result<Self, VerifierBuilderError> {
        let chain =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider()).build()?;
        Ok(Self { chain, names: names.to_vec() })
    }

    fn check_name(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let carried = names(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if carried.iter().any(|carried| self.names.iter().any(|name| name.eq_ignore_ascii_case(carried))) {
            return Ok(());
        }
        Err(CertificateError::Other(OtherError(Arc::new(WrongName(carried)))).into())
    }
}

/// The names that a certificate carries: DNS names among its subject's alternative names, and the subject's common
/// name, because that is the one PagerDuty documents.
fn names(certificate: &CertificateDer<'_>) -> x509_cert::der::Result<Vec<String>> {
    let certificate = Certificate::from_der(certificate)?;
    let certificate = certificate.tbs_certificate();
    let mut names = Vec::new();
    if let Some((_, alternatives)) = certificate.get_extension::<SubjectAltName>()? {
        names.extend(alternatives.0.iter().filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            _ => None,
        }));
    }
    // Text in an encoding of the last century is no name that anybody configures.
    if let Ok(Some(name)) = certificate.subject().common_name() {
        names.push(name.value().into_owned());
    }
    names.dedup();
    Ok(names)
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        self.check_name(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn carried(common_name: Option<&str>, alternatives: &[&str]) -> Vec<String> {
        let mut params =
            CertificateParams::new(alternatives.iter().map(ToString::to_string).collect::<Vec<_>>());
        let params = params.as_mut().unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        names(certificate.der()).unwrap()
    }

    #[test]
    fn names_come_from_alternatives_and_the_common_name() {
        assert_eq!(carried(Some("hooks.example.com"), &[]), ["hooks.example.com"]);
        assert_eq!(carried(None, &["hooks.example.com", "10.0.0.1"]), ["hooks.example.com"]);
        assert_eq!(carried(Some("a.example.com"), &["a.example.com"]), ["a.example.com"]);
        assert_eq!(carried(Some("Hooks, Inc."), &["b.example.com"]), ["b.example.com", "Hooks, Inc."]);
        assert!(carried(None, &[]).is_empty());
    }

    #[test]
    fn names_are_compared_whole_and_without_case() {
        let chain = WebPkiClientVerifier::no_client_auth();
        let verifier = NamedClients { chain, names: vec!["hooks.example.com".to_owned()] };
        let accepts = |name: &str| {
            let certificate = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            verifier.check_name(certificate.cert.der()).is_ok()
        };
        assert!(accepts("hooks.example.com"));
        assert!(accepts("HOOKS.example.com"));
        for other in ["*.example.com", "example.com", "a.hooks.example.com", "hooks.example.com.evil.net"] {
            assert!(!accepts(other), "{other}");
        }
    }
}
