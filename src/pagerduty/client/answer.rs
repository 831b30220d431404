//! What is read from an answer whatever was asked: PagerDuty's quota and clock, the body, the text of an error.

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;

use super::observer::RateLimit;
use crate::{clock, pagerduty::wire::ErrorBody};

/// Answers have at most a few hundred kilobytes; a much larger one is not PagerDuty's.
const MAX_BODY: usize = 16 << 20;
/// The most characters of PagerDuty's error text that are kept.
const MAX_ERROR_TEXT: usize = 300;

/// The status and headers of an answer; all are unset until it comes.
#[derive(Default)]
pub(super) struct Head {
    pub(super) status: Option<StatusCode>,
    /// How many requests PagerDuty allows in a window.
    pub(super) limit: Option<u64>,
    /// How many requests PagerDuty still allows in its current window.
    pub(super) remaining: Option<u64>,
    /// In how many seconds the next window begins.
    pub(super) reset: Option<u64>,
    /// After how many seconds PagerDuty, or a gateway before it, wants to be asked again.
    pub(super) retry_after: Option<u64>,
    /// The time on PagerDuty's clock.
    pub(super) date: Option<DateTime<Utc>>,
}

impl Head {
    pub(super) fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
        let number = |value: &HeaderValue| text(value)?.parse().ok();
        let date = |value: &HeaderValue| Some(DateTime::parse_from_rfc2822(&text(value)?).ok()?.to_utc());
        let server_date = headers.get(DATE).and_then(date);
        // A date is one of the server's clock, which ours may not agree with.
        let seconds_until = |at: DateTime<Utc>| {
            u64::try_from((at - server_date.unwrap_or_else(clock::now)).num_seconds()).ok()
        };
        let retry_after = |value: &HeaderValue| number(value).or_else(|| date(value).and_then(seconds_until));
        Self {
            status: Some(status),
            limit: headers.get("ratelimit-limit").and_then(number),
            remaining: headers.get("ratelimit-remaining").and_then(number),
            reset: headers.get("ratelimit-reset").and_then(number),
            retry_after: headers.get(RETRY_AFTER).and_then(retry_after),
            date: server_date,
        }
    }

    /// What it says of a limit. Who is refused has nothing left, also where no header says so.
    pub(super) fn rate_limit(&self) -> Option<RateLimit> {
        let refused = self.status == Some(StatusCode::TOO_MANY_REQUESTS);
        let remaining = self.remaining.or_else(|| refused.then_some(0))?;
        Some(RateLimit { limit: self.limit, remaining })
    }
}

/// The whole body; none if it is larger than any answer of PagerDuty.
pub(super) async fn read_body(mut response: Response) -> reqwest::Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

/// What the body of an error says, shortened, on one line and without the token; empty if it says nothing.
pub(super) fn error_text(body: &[u8], token: &str) -> String {
    let Ok(ErrorBody { error }) = serde_json::from_slice(body) else { return String::new() };
    let mut parts: Vec<String> = error.message.into_iter().collect();
    collect_texts(&error.errors, &mut parts);
    // First, or the token might be put together by it.
    let mut text: String = parts.join(": ").chars().filter(|c| !c.is_control()).collect();
    if !token.is_empty() {
        text = text.replace(token, "…");
    }
    text.chars().take(MAX_ERROR_TEXT).collect()
}

fn collect_texts(errors: &Value, parts: &mut Vec<String>) {
    match errors {
        Value::String(text) => parts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, parts)),
        Value::Object(fields) => {
            for (field, errors) in fields {
                parts.push(field.clone());
                collect_texts(errors, parts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
