//! The key that signs checkpoints: Ed25519, in a PEM file.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use sha2::{Digest, Sha256};

/// Ed25519, as signed notes name it.
const ALGORITHM: u8 = 1;
/// A line of a PEM file.
const LINE: usize = 64;

/// A key that signs checkpoints. Its `Debug` output shows no secret.
#[derive(Clone, Debug)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

/// The text holds no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds no Ed25519 key in PEM; make one with `oncall-grants audit keygen`")]
pub struct InvalidKey;

impl SigningKey {
    /// Makes a key; returns it as the text of a PEM file.
    pub fn generate() -> Result<String, ring::error::Unspecified> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
        let base64 = STANDARD.encode(document.as_ref());
        let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
        for line in base64.as_bytes().chunks(LINE) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// The key in the text of a PEM file.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| InvalidKey)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(|pair| Self(Arc::new(pair))).map_err(|_| InvalidKey)
    }

    /// What others need to check its signatures, under this name: the verifier key of a signed note.
    pub fn verifier(&self, name: &str) -> String {
        let id = hex::encode(self.id(name));
        format!("{name}+{id}+{}", STANDARD.encode(self.typed()))
    }

    /// Tells it, under this name, from other keys.
    pub(super) fn id(&self, name: &str) -> [u8; 4] {
        let hash: [u8; 32] =
            Sha256::new().chain_update(name).chain_update("\n").chain_update(self.typed()).finalize().into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    pub(super) fn sign(&self, text: &str) -> Vec<u8> {
        self.0.sign(text.as_bytes()).as_ref().to_vec()
    }

    pub(super) fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0.public_key());
        key.verify(text.as_bytes(), signature).is_ok()
    }

    fn typed(&self) -> Vec<u8> {
        [&[ALGORITHM], self.0.public_key().as_ref()].concat()
    }
}
