//! One attempt to deliver a webhook to a receiver.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::signature::signature_header;

/// The receiver of webhooks, and how they are signed for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// The URL of the receiver.
    pub url: String,
    /// One signature for each secret; without any, the signature header is left out.
    #[serde(skip_serializing)]
    pub secrets: Vec<String>,
    /// The value of `X-Webhook-Subscription`.
    pub subscription: String,
    /// Further headers.
    #[serde(default)]
    pub custom_headers: Vec<(String, String)>,
}

impl Endpoint {
    /// An endpoint with one secret.
    pub fn new(url: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secrets: vec![secret.into()],
            subscription: "PWSUB01".into(),
            custom_headers: Vec::new(),
        }
    }

    /// Posts the body once. A retry posts it again under the same `webhook_id`.
    pub(crate) async fn post(
        &self,
        client: &reqwest::Client,
        body: Bytes,
        webhook_id: &str,
        timeout: Duration,
    ) -> reqwest::Result<Answer> {
        let mut request = client
            .post(&self.url)
            .timeout(timeout)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json")
            .header("User-Agent", "PagerDuty-Webhook/V3.0")
            .header("X-Webhook-Id", webhook_id)
            .header("X-Webhook-Subscription", &self.subscription);
        if !self.secrets.is_empty() {
            request = request.header("X-PagerDuty-Signature", signature_header(&self.secrets, &body));
        }
        for (name, value) in &self.custom_headers {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await?;
        let status = response.status().as_u16();
        Ok(Answer { status, body: response.text().await?, webhook_id: webhook_id.into() })
    }
}

/// The answer of the receiver.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The value of `X-Webhook-Id`.
    pub webhook_id: String,
}

/// The HTTP client of all deliveries. It follows no redirects, because PagerDuty is not documented to follow any.
pub(crate) fn client() -> reqwest::Client {
    // reqwest wants a TLS provider even for plain HTTP; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.build().expect("a client without special settings can be built")
}
