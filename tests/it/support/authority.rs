//! Certificate authorities, the certificates that they sign, and clients that trust them.

use std::{fs, path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    CipherSuite, ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The end of 2199 in seconds since 1970: when the certificates of these tests expire, unless they have.
pub(crate) const EXPIRES: i64 = 7_258_032_000;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[], Some(name));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages.clear();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate with this DNS name or IP address.
    pub(crate) fn signs(&self, name: &str) -> Identity {
        self.sign(&params(&[name], None))
    }

    /// A certificate with this common name and no other.
    pub(crate) fn signs_common_name(&self, name: &str) -> Identity {
        self.sign(&params(&[], Some(name)))
    }

    /// A certificate that expired long ago.
    pub(crate) fn signs_expired(&self, name: &str) -> Identity {
        let mut params = params(&[name], None);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    /// A certificate that says that it is not for clients.
    pub(crate) fn signs_for_servers(&self, name: &str) -> Identity {
        let mut params = params(&[name], None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client that speaks this version, trusts this authority and shows this identity.
    pub(crate) fn trusted_by(
        &self,
        version: &'static SupportedProtocolVersion,
        identity: Option<&Identity>,
    ) -> ClientConfig {
        self.client(ring::default_provider(), version, identity)
    }

    /// A client that offers what PagerDuty says that its sender offers, as far as it is any good.
    pub(crate) fn trusted_by_pagerduty(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut provider = ring::default_provider();
        provider.cipher_suites.retain(|suite| {
            matches!(
                suite.suite(),
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
                    | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
            )
        });
        self.client(provider, &rustls::version::TLS12, identity)
    }

    fn client(
        &self,
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
        identity: Option<&Identity>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .expect("a known version")
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(vec![identity.certificate()], key).expect("a certificate")
            }
        }
    }
}

impl Identity {
    /// The certificate as it is shown in a handshake.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")
    }

    /// Writes `NAME.pem` and `NAME.key` into this directory.
    pub(crate) fn write(&self, dir: &Path, name: &str) {
        let Self { certificate, key } = self;
        fs::write(dir.join(format!("{name}.pem")), certificate).expect("a writable directory");
        fs::write(dir.join(format!("{name}.key")), key).expect("a writable directory");
    }

    /// The certificate with a key that does not fit.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self { certificate: self.certificate.clone(), key: other.key.clone() }
    }
}

fn params(names: &[&str], common_name: Option<&str>) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2199, 12, 31);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params
}
