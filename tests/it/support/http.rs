//! Talking to the service over HTTP, and remembering every answer.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use sandbox::pagerduty::{Event, sign};
use serde_json::{Value, json};

use super::{ADMIN_TOKEN, Scene, wait_until};

/// Headers that carry nothing.
pub(crate) const NO_HEADERS: [(&str, &str); 0] = [];
/// A client that waits longer would hide what hangs.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

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

    /// How long a list in the body is.
    pub(crate) fn count(&self, list: &str) -> usize {
        self.json()[list].as_array().unwrap_or_else(|| panic!("no {list} in {}", self.text)).len()
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

pub(super) fn client() -> reqwest::Client {
    // reqwest wants a TLS provider even for plain HTTP; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().expect("a plain client can be built")
}

/// Sends an event, which must be new and of interest, and sends it again if it is put off, as PagerDuty does: a busy disk
/// may take longer than the service waits for it.
pub(super) async fn delivered(mut send: impl AsyncFnMut() -> Answer) {
    let mut put_off = false;
    let answer = wait_until("an event is taken", async || {
        let answer = send().await;
        put_off |= answer.status == 503;
        (answer.status != 503).then_some(answer)
    })
    .await;
    let status = answer.json()["status"].clone();
    // It may have been stored after all.
    assert!(answer.status == 202 && (status == "accepted" || put_off && status == "duplicate"), "{answer:?}");
}

impl Scene {
    /// A request to the service, without any credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url()))
    }

    /// Sends a request and keeps what was answered.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// The same for a service that may be gone.
    pub(crate) async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        self.remember(&format!("{headers:?}\n{text}\n"));
        Ok(Answer { status, headers, text })
    }

    /// `GET` as an operator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(ADMIN_TOKEN)).await
    }

    /// `POST /sync` without a body.
    pub(crate) async fn sync(&self) -> Answer {
        self.send(self.request(Method::POST, "/sync").bearer_auth(ADMIN_TOKEN)).await
    }

    /// `POST /sync` with a body.
    pub(crate) async fn sync_with(&self, body: impl ToString) -> Answer {
        let request = self.request(Method::POST, "/sync").bearer_auth(ADMIN_TOKEN);
        self.send(request.body(body.to_string())).await
    }

    /// A pass that must see and do everything; its report.
    pub(crate) async fn synced(&self) -> Value {
        let answer = self.sync().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    /// Posts a body to the webhook route with any headers.
    pub(crate) async fn post_webhook(
        &self,
        body: impl Into<reqwest::Body>,
        headers: impl IntoIterator<Item = (&str, &str)>,
    ) -> Answer {
        let mut request = self.request(Method::POST, "/webhooks/pagerduty").body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.send(request).await
    }

    /// A delivery of this body with a good signature.
    pub(crate) fn signed(&self, body: impl AsRef<[u8]>) -> RequestBuilder {
        let body = body.as_ref().to_vec();
        let signature = sign(&self.config.webhook_secrets[0], &body);
        let request = self.request(Method::POST, "/webhooks/pagerduty").body(body);
        request.header("X-PagerDuty-Signature", signature)
    }

    /// Posts a body with a good signature.
    pub(crate) async fn post_signed(&self, body: impl AsRef<[u8]>) -> Answer {
        self.send(self.signed(body)).await
    }

    /// Delivers a signed event, which must be new and of interest.
    pub(crate) async fn deliver(&self, event: &Event) {
        delivered(async || self.post_signed(event.body()).await).await;
    }

    /// A fresh event about this schedule.
    pub(crate) fn about(&self, schedule: &str) -> Event {
        Event::new("schedule.updated", self.now(), json!({"id": schedule, "type": "schedule"}))
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
}
