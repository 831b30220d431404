//! v3 webhooks: the envelope, the signature, and one delivery attempt.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) mod subscription;

use crate::crypto::hmac_sha256;

/// One entry of `X-PagerDuty-Signature`: `v1=` and the hex HMAC-SHA256 of the body.
///
/// The key is the text of the secret itself, although the secret looks like base64.
pub fn sign(secret: &str, body: &[u8]) -> String {
    format!("v1={}", hex::encode(hmac_sha256(secret.as_bytes(), body)))
}

/// The whole header: one entry for each secret.
pub fn signature_header(secrets: &[String], body: &[u8]) -> String {
    secrets.iter().map(|secret| sign(secret, body)).collect::<Vec<_>>().join(",")
}

/// What happened, as the envelope tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Unique; the same for every delivery of the event.
    pub id: String,
    /// Such as `incident.triggered`.
    pub event_type: String,
    /// The first part of the type.
    pub resource_type: String,
    /// ISO 8601 with milliseconds.
    pub occurred_at: String,
    /// A reference, or null for automation.
    #[serde(default)]
    pub agent: Value,
    /// Such as `{"name": "PagerDuty"}`, or null.
    #[serde(default)]
    pub client: Value,
    /// Depends on the type.
    pub data: Value,
}

impl Event {
    /// An event with a fresh ID.
    pub fn new(event_type: &str, at: DateTime<Utc>, data: Value) -> Self {
        let random = uuid::Uuid::now_v7().simple().to_string().to_uppercase();
        // The last digits are the random ones; real IDs have 26 characters as well.
        let id = format!("01{}", &random[random.len() - 24..]);
        let resource_type = event_type.split('.').next().unwrap_or_default().into();
        let occurred_at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Self {
            id,
            event_type: event_type.into(),
            resource_type,
            occurred_at,
            agent: Value::Null,
            client: Value::Null,
            data,
        }
    }

    /// The test event.
    pub fn ping(at: DateTime<Utc>) -> Self {
        Self::new("pagey.ping", at, json!({"message": "Hello from your friend Pagey!", "type": "ping"}))
    }

    /// An incident that pages through this policy; `event_type` is one of `incident.*` whose data is an incident.
    pub fn incident(event_type: &str, at: DateTime<Utc>, policy: &str, service: &str) -> Self {
        let reference = |kind: &str, collection: &str, id: &str| {
            json!({
                "html_url": format!("https://acme.pagerduty.com/{collection}/{id}"),
                "id": id,
                "self": format!("https://api.pagerduty.com/{collection}/{id}"),
                "summary": id,
                "type": format!("{kind}_reference"),
            })
        };
        let data = json!({
            "id": "Q1X7PAYLOAD001",
            "type": "incident",
            "self": "https://api.pagerduty.com/incidents/Q1X7PAYLOAD001",
            "html_url": "https://acme.pagerduty.com/incidents/Q1X7PAYLOAD001",
            "number": 4211,
            "status": "triggered",
            "incident_key": "9f0d2b7c5e0a4d1f8a3b6c7d8e9f0a1b",
            "created_at": at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "title": "Card authorisations failing above 5 %",
            "service": reference("service", "services", service),
            "assignees": [],
            "escalation_policy": reference("escalation_policy", "escalation_policies", policy),
            "teams": [],
            "priority": null,
            "urgency": "high",
            "conference_bridge": null,
            "resolve_reason": null,
            "incident_type": {"name": "incident_default"},
        });
        Self::new(event_type, at, data)
    }

    /// The bytes on the wire.
    pub fn body(&self) -> Bytes {
        json!({"event": self}).to_string().into()
    }
}

/// Where deliveries go and how they are signed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// The receiver.
    pub url: String,
    /// One signature for each; none leaves the header out.
    #[serde(skip_serializing)]
    pub secrets: Vec<String>,
    /// What `X-Webhook-Subscription` says.
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
}

/// What the receiver answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// What `X-Webhook-Id` said.
    pub webhook_id: String,
}

/// Posts the body once; repeating a delivery means repeating it with the same `webhook_id`.
pub async fn post(
    client: &reqwest::Client,
    endpoint: &Endpoint,
    body: Bytes,
    webhook_id: &str,
    timeout: Duration,
) -> reqwest::Result<Answer> {
    let mut request = client
        .post(&endpoint.url)
        .timeout(timeout)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .header("User-Agent", "PagerDuty-Webhook/V3.0")
        .header("X-Webhook-Id", webhook_id)
        .header("X-Webhook-Subscription", &endpoint.subscription);
    if !endpoint.secrets.is_empty() {
        request = request.header("X-PagerDuty-Signature", signature_header(&endpoint.secrets, &body));
    }
    for (name, value) in &endpoint.custom_headers {
        request = request.header(name, value);
    }
    let response = request.body(body).send().await?;
    let status = response.status().as_u16();
    Ok(Answer { status, body: response.text().await?, webhook_id: webhook_id.into() })
}

/// A client that follows no redirects, because the sender is not documented to follow any.
pub(crate) fn client() -> reqwest::Client {
    // reqwest wants a TLS provider even for plain HTTP; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.build().expect("a client without special settings can be built")
}
