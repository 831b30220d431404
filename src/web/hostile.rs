//! Tokens as somebody changed them.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use proptest::prelude::*;

use super::tokens::Tokens;
use crate::model::tests::{mutated, runs};

const ADMIN: &str = "s3cret:x";
const TRIGGER: [&str; 2] = ["look", "look-too"];

fn headers() -> Vec<Vec<u8>> {
    let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
    let mut headers =
        vec![basic("anyone:s3cret:x"), basic("look"), basic(":look"), "BEARER \t look".to_owned()];
    headers.extend([ADMIN, TRIGGER[0], TRIGGER[1], "lookx"].map(|token| format!("Bearer {token}")));
    headers.into_iter().map(String::into_bytes).collect()
}

/// Whether the header shows this token, read by other means than the service's: by writing each way in which it may be
/// shown.
fn shows(header: &[u8], token: &str) -> bool {
    let Ok(header) = std::str::from_utf8(header) else { return false };
    let scheme = header.chars().take_while(|c| *c != ' ').collect::<String>().to_lowercase();
    let rest = header.split_once(' ').map(|(_, rest)| rest.trim_matches([' ', '\t']));
    match (scheme.as_str(), rest) {
        ("bearer", Some(rest)) => rest == token,
        ("basic", Some(rest)) => {
            let text = BASE64_STANDARD.decode(rest).unwrap_or_default();
            let user = text.split(|byte| *byte == b':').next().unwrap_or_default();
            text == [user, b":", token.as_bytes()].concat()
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn only_a_token_itself_opens_a_route(value in mutated(headers())) {
        let tokens = Tokens { admin: ADMIN.into(), trigger: TRIGGER.map(Into::into).to_vec() };
        let Ok(header) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, header)]);
        let is_admin = shows(&value, ADMIN);
        prop_assert_eq!(tokens.is_admin(&headers), is_admin);
        let may_trigger = is_admin || TRIGGER.iter().any(|token| shows(&value, token));
        prop_assert_eq!(tokens.may_trigger(&headers), may_trigger);
    }
}
