//! The signature of a webhook.

use crate::crypto::hmac_sha256;

/// One entry of `X-PagerDuty-Signature`: `v1=` and the hex HMAC-SHA256 of the body.
///
/// The key is the text of the secret itself, although the secret looks like base64.
pub fn sign(secret: &str, body: &[u8]) -> String {
    format!("v1={}", hex::encode(hmac_sha256(secret.as_bytes(), body)))
}

/// The value of `X-PagerDuty-Signature`: one entry for each secret.
pub(crate) fn signature_header(secrets: &[String], body: &[u8]) -> String {
    secrets.iter().map(|secret| sign(secret, body)).collect::<Vec<_>>().join(",")
}
