//! The tokens that let requests in, compared in constant time.

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The tokens that let requests in.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Opens every route that asks for a token.
    pub(crate) admin: SecretString,
    /// Open `POST /trigger`, and nothing else.
    pub(crate) trigger: Vec<SecretString>,
}

impl Tokens {
    pub(super) fn is_admin(&self, headers: &HeaderMap) -> bool {
        given_token(headers).is_some_and(|given| equal(&given, &self.admin))
    }

    pub(super) fn may_trigger(&self, headers: &HeaderMap) -> bool {
        let Some(given) = given_token(headers) else { return false };
        // All are compared, so that the time tells nothing about which one fits.
        let fits = self.trigger.iter().chain([&self.admin]).filter(|token| equal(&given, token));
        fits.count() > 0
    }
}

/// Digests have one length, so the time that comparing them takes tells nothing about the token's length.
fn equal(given: &[u8], token: &SecretString) -> bool {
    let expected = Sha256::digest(token.expose_secret());
    Sha256::digest(given).as_slice().ct_eq(expected.as_slice()).into()
}

/// The token of a Bearer header, or the password of a Basic one, whatever the user name.
fn given_token(headers: &HeaderMap) -> Option<Vec<u8>> {
    let header = headers.get(header::AUTHORIZATION)?.as_bytes();
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

    fn tokens() -> Tokens {
        Tokens { admin: "s3cret:x".into(), trigger: vec!["look".into(), "look-too".into()] }
    }

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    fn admits(value: &str) -> bool {
        tokens().is_admin(&with(value))
    }

    #[test]
    fn a_trigger_token_triggers_and_does_nothing_else() {
        for right in ["Bearer look", "Bearer look-too", "Bearer s3cret:x"] {
            assert!(tokens().may_trigger(&with(right)), "{right}");
        }
        for wrong in ["Bearer loo", "Bearer look-", "Bearer ", "look"] {
            assert!(!tokens().may_trigger(&with(wrong)), "{wrong}");
        }
        assert!(!admits("Bearer look") && !tokens().may_trigger(&HeaderMap::new()));
        let admin_alone = Tokens { trigger: Vec::new(), ..tokens() };
        assert!(
            admin_alone.may_trigger(&with("Bearer s3cret:x")) && !admin_alone.may_trigger(&with("Bearer "))
        );
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
        assert!(!tokens().is_admin(&HeaderMap::new()));
    }
}
