//! Lets only holders of the admin token use the operator's routes.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{error::AppError, state::AppState};
use crate::metrics::ByResult;

/// Lets a request through if it carries the admin token.
pub(super) async fn require_admin(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, AppError> {
    if is_admin(&state.admin_token, request.headers()) {
        Ok(next.run(request).await)
    } else {
        record_refused(&state, &request);
        Err(AppError::NotAdmin)
    }
}

/// Counts a request without the admin token, and logs it if it has a wrong one: browsers ask without any first.
fn record_refused(state: &AppState, request: &Request) {
    let has_token = request.headers().contains_key(header::AUTHORIZATION);
    let result = if has_token { "wrong_token" } else { "no_token" };
    state.metrics.admin_refused.get_or_create(&ByResult { result }).inc();
    let count = if has_token { state.wrong_tokens.count() } else { None };
    let Some(count) = count else { return };
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let from = from.map(|ConnectInfo(address)| format!(" from {}", address.ip())).unwrap_or_default();
    let requests = if count == 1 { "request" } else { "requests" };
    tracing::warn!(
        requests.refused = count,
        "refused {count} {requests} with a wrong admin token; the last came{from}, which may be a proxy, for {route}",
    );
}

fn is_admin(token: &SecretString, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| given_token(value.as_bytes()));
    // Digests have one length, so the time that comparing them takes tells nothing about the token's length.
    let expected = Sha256::digest(token.expose_secret());
    given.is_some_and(|given| Sha256::digest(given).as_slice().ct_eq(expected.as_slice()).into())
}

/// The token of a Bearer header, or the password of a Basic one, whatever the user name.
fn given_token(header: &[u8]) -> Option<Vec<u8>> {
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
