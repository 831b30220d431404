//! What an endpoint is sent, and by which client.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, ClientBuilder, Proxy, RequestBuilder, header::CONTENT_TYPE, redirect};
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use serde_json::{json, value::RawValue};
use sha2::Sha256;

use super::words::{Data, ResourceFor};
use crate::{
    config::{Endpoint, NoticeFormat},
    model::{NoticeKind, Window, acts_on_text},
    store::StoredNotice,
};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A client with time limits that follows no redirect: the address was given by whoever runs this, and no other counts.
pub(crate) fn client(tls: ClientConfig, proxy: Option<Proxy>) -> reqwest::Result<Client> {
    let builder = Client::builder().no_proxy();
    let builder = proxy.into_iter().fold(builder, ClientBuilder::proxy);
    builder
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("oncall-grants/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN)
        .redirect(redirect::Policy::none())
        .build()
}

/// The request that tells this endpoint of a notice at `now`. Its ID is the same each time.
pub(super) fn request(
    client: &Client,
    endpoint: &Endpoint,
    store_id: &str,
    notice: &StoredNotice,
    now: DateTime<Utc>,
) -> RequestBuilder {
    let post = client.post(endpoint.url.expose_secret()).header(CONTENT_TYPE, "application/json");
    let NoticeFormat::Standard(keys) = &endpoint.format else {
        return post.body(json!({"text": for_slack(&notice.text)}).to_string());
    };
    let data = RawValue::from_string(notice.data.clone()).unwrap_or_else(|_| RawValue::NULL.to_owned());
    let at = notice.at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = format!(r#"{{"type":"{}","timestamp":"{at}","data":{data}}}"#, notice.kind.as_str());
    let (id, seconds) = (format!("msg_{store_id}_{}", notice.seq), now.timestamp());
    let signed = format!("{id}.{seconds}.{body}");
    let signatures: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(key.expose_secret()).expect("HMAC takes keys of any length");
            mac.update(signed.as_bytes());
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        })
        .collect();
    post.header("webhook-id", id)
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signatures.join(" "))
        .body(body)
}

/// The text as Slack shows it unchanged. In its mark-up, `<…>` can call a whole channel together, or hide where a link
/// leads, and names are other people's data.
fn for_slack(text: &str) -> String {
    let mut marked_up = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => marked_up.push_str("&amp;"),
            '<' => marked_up.push_str("&lt;"),
            '>' => marked_up.push_str("&gt;"),
            '\n' => marked_up.push(c),
            c => marked_up.push(if acts_on_text(c) { ' ' } else { c }),
        }
    }
    marked_up
}

/// A notice that shows what notices look like.
pub(crate) fn sample(now: DateTime<Utc>) -> StoredNotice {
    let end = now + chrono::TimeDelta::hours(4);
    let window = Window::new(now, end).expect("four hours");
    let data = Data {
        email: "ana@example.com",
        name: Some("Ana Lima"),
        resources: vec![ResourceFor { resource: "sample-database", window }],
        rules: ["sample"].into(),
        reason: "this is a test of the endpoint; nobody got access",
        trigger: "command",
        pass_id: "sample",
    };
    StoredNotice {
        // No notice of the service has it.
        seq: -now.timestamp_millis(),
        kind: NoticeKind::Granted,
        at: now,
        data: data.to_json().to_string(),
        text: format!(
            "This is a test of oncall-grants, and nobody got access. Notices look like this: Ana Lima can reach sample-database \
             until {}, because they are on call for Payments primary.",
            end.format("%H:%M UTC"),
        ),
    }
}
