//! What is in PEM files: certificate chains, private keys, authorities. Pure; what is wrong never quotes the file.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_cert::{Certificate, der::Decode};

use super::crypto_provider;

/// Why a PEM file is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It breaks off, or is no PEM at all.
    #[error("the file is no sound PEM text")]
    Damaged,
    /// It may hold other things.
    #[error("the file holds no certificate in PEM text (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// What it holds as a certificate is none.
    #[error("the file holds a certificate that cannot be read")]
    BadCertificate,
    /// It may hold other things.
    #[error("the file holds no private key in PEM text (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// It cannot vouch for others.
    #[error("the file holds a certificate that is no authority")]
    NoAuthority,
    /// The key is another certificate's, or of a kind that we do not speak.
    #[error("the certificate and the private key do not belong together")]
    Apart,
}

/// The certificates, in the order of the file; at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| Flaw::Damaged)?;
    if certificates.is_empty() {
        return Err(Flaw::NoCertificate);
    }
    for certificate in &certificates {
        Certificate::from_der(certificate).map_err(|_| Flaw::BadCertificate)?;
    }
    Ok(certificates)
}

/// The first private key.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| Flaw::NoKey)
}

/// The authorities that may vouch for others.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, Flaw> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem)? {
        roots.add(authority).map_err(|_| Flaw::NoAuthority)?;
    }
    Ok(roots)
}

/// A certificate chain, own certificate first, with its key.
pub fn pair(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<CertifiedKey, Flaw> {
    CertifiedKey::from_der(chain, key, &crypto_provider()).map_err(|_| Flaw::Apart)
}
