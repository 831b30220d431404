//! Talking to the service over HTTP.

use std::{fmt::Debug, str::FromStr};

use oncall_grants::PassReport;
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use sandbox::pagerduty::{Event, sign};
use serde_json::Value;

use super::{ADMIN_TOKEN, PATIENCE, Service, wait_for, wait_until};

/// The header in which PagerDuty signs.
pub(crate) const SIGNATURE: &str = "X-PagerDuty-Signature";
/// A signature that no secret made.
pub(crate) const FORGED: [(&str, &str); 1] = [(SIGNATURE, "v1=00")];
/// Headers that carry nothing.
pub(crate) const NO_HEADERS: [(&str, &str); 0] = [];

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} {}", self.status, self.text))
    }

    /// The body as the report of a pass.
    pub(crate) fn report(&self) -> PassReport {
        report(&self.text)
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts the shape that all errors share.
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        let body = self.json();
        let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["error", "message"], "{}", self.text);
        assert_eq!(body["error"], code);
        assert!(body["message"].as_str().is_some_and(|message| message.len() > 5), "{}", self.text);
    }
}

/// The report that `POST /sync` answers and `sync --format json` prints. How it is written, `report.rs` says.
pub(crate) fn report(json: &str) -> PassReport {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}

/// What all clients of the tests have in common.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    // reqwest wants a TLS provider even for plain HTTP; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A client that waits longer would hide what hangs.
    reqwest::Client::builder().timeout(PATIENCE).no_proxy()
}

/// Sends a request and reads the whole answer.
pub(crate) async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

impl Service {
    /// Talks to it by this client from now on.
    pub(crate) fn use_client(&mut self, client: reqwest::Client) {
        self.http = client;
    }

    /// A request, without any credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url()))
    }

    /// Sends a request, which must be answered.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// The same for a service that may be gone.
    pub(crate) async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let answer = answer(request).await?;
        self.remember(&format!("{:?}\n{}\n", answer.headers, answer.text));
        Ok(answer)
    }

    /// `GET` as an operator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(ADMIN_TOKEN)).await
    }

    /// A request for a pass, as an operator.
    pub(crate) fn sync_request(&self) -> RequestBuilder {
        self.request(Method::POST, "/sync").bearer_auth(ADMIN_TOKEN)
    }

    /// `POST /sync` without a body.
    pub(crate) async fn sync(&self) -> Answer {
        self.send(self.sync_request()).await
    }

    /// `POST /sync` with a body.
    pub(crate) async fn sync_with(&self, body: impl ToString) -> Answer {
        self.send(self.sync_request().body(body.to_string())).await
    }

    /// A pass that must see and do everything; its report.
    pub(crate) async fn synced(&self) -> PassReport {
        let answer = self.sync().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.report()
    }

    /// Waits until a pass can be had that sees and does everything: a service may need a moment until it notices that
    /// its store is back.
    pub(crate) async fn syncs_again(&self) {
        wait_until("a pass is complete", async || self.sync().await.status == StatusCode::OK).await;
    }

    /// A request to the webhook route, without a signature.
    pub(crate) fn webhook_request(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, "/webhooks/pagerduty").body(body)
    }

    /// Posts a body to the webhook route with any headers.
    pub(crate) async fn post_webhook(
        &self,
        body: impl Into<reqwest::Body>,
        headers: impl IntoIterator<Item = (&str, &str)>,
    ) -> Answer {
        let mut request = self.webhook_request(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.send(request).await
    }

    /// A request with a body that this secret signs.
    pub(crate) fn signed_request(&self, secret: &str, body: impl AsRef<[u8]>) -> RequestBuilder {
        let body = body.as_ref().to_vec();
        let signature = sign(secret, &body);
        self.webhook_request(body).header(SIGNATURE, signature)
    }

    /// A request with this event, signed by the first of the configured secrets.
    pub(crate) fn signed_event(&self, event: &Event) -> RequestBuilder {
        self.signed_request(&self.config.webhook_secrets[0], event.body())
    }

    /// Posts a body that this secret signs.
    pub(crate) async fn post_signed_by(&self, secret: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send(self.signed_request(secret, body)).await
    }

    /// Posts a body that the first of the configured secrets signs.
    pub(crate) async fn post_signed(&self, body: impl AsRef<[u8]>) -> Answer {
        self.post_signed_by(&self.config.webhook_secrets[0], body).await
    }

    /// Posts a webhook in the name of a subscription, but not signed by it; it is refused.
    pub(crate) async fn forge(&self, subscription: &str) {
        let [forged] = FORGED;
        let answer = self.post_webhook("{}", [forged, ("X-Webhook-Subscription", subscription)]).await;
        answer.assert_error(401, "bad_signature");
    }

    /// Delivers an event, which must be new and of interest. Delivers it again if it is put off, as PagerDuty does: a
    /// busy disk may take longer than the service waits for it.
    pub(crate) async fn deliver(&self, event: &Event) {
        let mut was_put_off = false;
        let answer = wait_for("an event is taken", async || {
            let answer = self.post_signed(event.body()).await;
            was_put_off |= answer.status == 503;
            (answer.status != 503).then_some(answer)
        })
        .await;
        let status = answer.json()["status"].clone();
        // It may have been stored after all.
        let is_taken = status == "accepted" || was_put_off && status == "duplicate";
        assert!(answer.status == 202 && is_taken, "{answer:?}");
    }

    /// Waits until every accepted delivery was served by a pass.
    pub(crate) async fn all_served(&self) {
        wait_until("all deliveries are served", async || {
            let waits = |event: &Value| event["status"] == "accepted" && event["pass_id"].is_null();
            !self.events().await.iter().any(waits)
        })
        .await;
    }

    /// Waits until `/readyz` answers this status.
    pub(crate) async fn ready_becomes(&self, status: u16) {
        let what = format!("/readyz answers {status}");
        wait_until(&what, async || self.get("/readyz").await.status == status).await;
    }

    /// Waits until the status page contains these words.
    pub(crate) async fn page_says(&self, words: &str) {
        let what = format!("the page says {words:?}");
        wait_until(&what, async || self.get("/").await.text.contains(words)).await;
    }

    /// Waits until it no longer does.
    pub(crate) async fn page_no_longer_says(&self, words: &str) {
        let what = format!("the page no longer says {words:?}");
        wait_until(&what, async || !self.get("/").await.text.contains(words)).await;
    }

    /// Our grants, as the service lists them.
    pub(crate) async fn grants(&self) -> Vec<Value> {
        self.list("/api/grants").await
    }

    /// The newest deliveries.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.list("/api/events?limit=500").await
    }

    /// The newest entries of the audit.
    pub(crate) async fn audit(&self) -> Vec<Value> {
        self.list("/api/audit?limit=500").await
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        body.as_array().or_else(|| body["items"].as_array()).expect("a list").clone()
    }

    /// Whether this event has arrived.
    pub(crate) async fn has_received(&self, event: &Event) -> bool {
        self.events().await.iter().any(|known| known["event_id"] == *event.id)
    }

    /// The value of a sample among the metrics, by its name without the prefix and its labels in the order of the text;
    /// none if there is no such sample.
    pub(crate) async fn metric<T: FromStr<Err: Debug>>(&self, sample: &str) -> Option<T> {
        let text = self.get("/metrics").await.text;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("oncall_grants_")?.strip_prefix(sample)?.strip_prefix(' '));
        value.map(|value| value.parse().expect("a number"))
    }
}
