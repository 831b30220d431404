//! Who may use the operator's routes: whoever shows the admin token.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{error::AppError, router::App};

/// Lets a request through if it carries the admin token.
pub(super) async fn require_admin(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, AppError> {
    if is_admin(&app.admin_token, request.headers()) {
        Ok(next.run(request).await)
    } else {
        Err(AppError::NotAdmin)
    }
}

fn is_admin(token: &SecretString, headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| shown_token(value.as_bytes()));
    // Digests have one length, so comparing them tells nothing about the token's.
    let expected = Sha256::digest(token.expose_secret());
    shown.is_some_and(|shown| Sha256::digest(shown).as_slice().ct_eq(expected.as_slice()).into())
}

/// The token of a Bearer header, or the password of a Basic one, whatever the user name.
fn shown_token(header: &[u8]) -> Option<Vec<u8>> {
    let at = header.iter().position(|byte| *byte == b' ')?;
    let (scheme, credentials) = (&header[..at], header[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(credentials.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(credentials).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn admits(value: &str) -> bool {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
        is_admin(&SecretString::from("s3cret:x"), &headers)
    }

    #[test]
    fn bearer_and_basic_admit_with_the_token_only() {
        assert!(admits("Bearer s3cret:x"));
        assert!(admits("bearer s3cret:x"));
        assert!(admits(&format!("Basic {}", BASE64_STANDARD.encode("anyone:s3cret:x"))));
        for wrong in ["Bearer s3cret", "Bearer", "Bearer ", "s3cret:x", "Basic s3cret:x", "Token s3cret:x"] {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(!admits(&format!("Basic {}", BASE64_STANDARD.encode("s3cret:x"))));
        assert!(!is_admin(&SecretString::from("s3cret:x"), &HeaderMap::new()));
    }
}
