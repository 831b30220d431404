//! Reads certificate chains, private keys and authorities from PEM text. Pure; no error quotes the text.

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_cert::{Certificate, der::Decode};

use super::crypto_provider;

/// Why a PEM file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemError {
    /// It is cut off, or no PEM text at all.
    #[error("the file is no sound PEM text")]
    Damaged,
    /// It holds no certificate, though perhaps other things.
    #[error("the file holds no certificate in PEM text (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// One of its certificates cannot be parsed.
    #[error("the file holds a certificate that cannot be read")]
    BadCertificate,
    /// It holds no private key, though perhaps other things.
    #[error("the file holds no private key in PEM text (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// Its private key needs a password, which nobody could type in.
    #[error(
        "the file holds a private key that is encrypted with a password; give it without (openssl pkey -in … -out …)"
    )]
    EncryptedKey,
    /// One of its certificates may not sign others.
    #[error("the file holds a certificate that is no authority")]
    NoAuthority,
    /// The key is of a kind that our TLS cannot sign with.
    #[error(
        "the private key is of a kind that is not supported: use ECDSA with P-256 or P-384, Ed25519, or RSA with 2048 bits \
         or more (not P-521)"
    )]
    UnsupportedKey,
    /// The key belongs to another certificate.
    #[error("the certificate and the private key do not belong together")]
    KeyMismatch,
}

/// The certificates, in the order of the file; at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| PemError::Damaged)?;
    if certificates.is_empty() {
        return Err(PemError::NoCertificate);
    }
    for certificate in &certificates {
        Certificate::from_der(certificate).map_err(|_| PemError::BadCertificate)?;
    }
    Ok(certificates)
}

/// The first private key.
pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let is_encrypted = || {
        let text = String::from_utf8_lossy(pem);
        text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
    };
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        _ if is_encrypted() => PemError::EncryptedKey,
        pem::Error::NoItemsFound => PemError::NoKey,
        _ => PemError::Damaged,
    })
}

/// The certificates as authorities that may sign others.
pub(crate) fn authorities(pem: &[u8]) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem)? {
        roots.add(authority).map_err(|_| PemError::NoAuthority)?;
    }
    Ok(roots)
}

/// A certificate chain, own certificate first, with its key.
pub(crate) fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, PemError> {
    crypto_provider().key_provider.load_private_key(key.clone_key()).map_err(|_| PemError::UnsupportedKey)?;
    CertifiedKey::from_der(chain, key, &crypto_provider()).map_err(|_| PemError::KeyMismatch)
}
