//! The signature of a request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::NaiveDate;

use crate::crypto::{hmac_sha256, sha256};

/// The value of `x-sdm-signature`, or nothing if the key is no standard base64 with padding.
///
/// `secret_key` is base64 text, `method` reads `AccountGrants.Create`, `body` is the message without its gRPC frame.
pub fn sign(secret_key: &str, date: NaiveDate, method: &str, body: &[u8]) -> Option<String> {
    let secret = BASE64_STANDARD.decode(secret_key.trim()).ok()?;
    let day = hmac_sha256(&secret, date.format("%Y-%m-%d").to_string().as_bytes());
    let key = hmac_sha256(&day, b"sdm_api_v1");
    let hash = sha256(&[method.as_bytes(), b"\n", body]);
    Some(BASE64_STANDARD.encode(hmac_sha256(&key, &hash)))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        secret_base64: String,
        utc_date: chrono::NaiveDate,
        method: String,
        request_base64: String,
        signature_base64: String,
    }

    #[test]
    fn all_vectors_are_signed_alike() {
        let text = include_str!("../../../tests/fixtures/strongdm/signing-vectors.json");
        let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
        assert_eq!(vectors.len(), 12);
        for vector in vectors {
            let body = BASE64_STANDARD.decode(&vector.request_base64).unwrap();
            let signed = super::sign(&vector.secret_base64, vector.utc_date, &vector.method, &body);
            assert_eq!(signed.as_deref(), Some(vector.signature_base64.as_str()), "{}", vector.name);
        }
    }
}
