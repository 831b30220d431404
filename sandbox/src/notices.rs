//! A receiver for notices: Standard Webhooks, whose signatures it checks, and Slack's incoming webhooks.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::clock::Clock;
use crate::crypto::hmac_sha256;
use crate::faults::{Faults, answer};
use crate::server::{Connection, Server};

/// A notice is refused if its time differs by more than this many seconds from ours.
const TOLERANCE: i64 = 300;

/// A request as it arrived, whatever was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Where to: every path is an endpoint of its own.
    pub path: String,
    /// The headers, by names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, to the byte.
    pub text: String,
    /// How many of the signatures the secret of the receiver made.
    pub signatures: usize,
    /// What was answered.
    pub status: u16,
}

impl Received {
    /// The body as JSON; null if it is none.
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Receives notices. Paths that begin with `/slack` take what Slack takes; all others want a signature.
#[derive(Clone, Debug)]
pub struct Receiver {
    server: Arc<Server>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    faults: Faults,
    secret: Vec<u8>,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    /// Starts one whose secret is this text, `whsec_` and base64.
    pub async fn start(addr: SocketAddr, clock: Clock, secret: &str) -> io::Result<Self> {
        let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let secret = key.ok_or_else(|| io::Error::other("the secret must be whsec_ and base64"))?;
        let (faults, received) = (Faults::default(), Mutex::default());
        let shared = Arc::new(Shared { clock, faults, secret, received });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        Ok(Self { server: Arc::new(Server::start(addr, router).await?), shared })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// What goes wrong with requests such as `POST /path`.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The server under it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What has arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().clone()
    }

    /// What was taken at this path so far.
    pub fn taken(&self, path: &str) -> Vec<Received> {
        let is_taken = |one: &&Received| one.path == path && (200..300).contains(&one.status);
        self.shared.lock().iter().filter(is_taken).cloned().collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().expect("no panic while held")
    }

    fn signatures(&self, headers: &BTreeMap<String, String>, text: &str) -> usize {
        let header = |name: &str| headers.get(name).map_or("", String::as_str);
        let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
        let age = time.parse().map_or(i64::MAX, |time: i64| (self.clock.now().timestamp() - time).abs());
        if id.is_empty() || age > TOLERANCE {
            return 0;
        }
        let expected = STANDARD.encode(hmac_sha256(&self.secret, format!("{id}.{time}.{text}").as_bytes()));
        let made = header("webhook-signature").split(' ').filter_map(|one| one.strip_prefix("v1,"));
        made.filter(|made| *made == expected).count()
    }
}

fn judge(path: &str, signatures: usize, text: &str) -> (StatusCode, &'static str) {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    if path.starts_with("/slack") {
        let is_text = body["text"].as_str().is_some_and(|text| !text.is_empty());
        return if is_text { (StatusCode::OK, "ok") } else { (StatusCode::BAD_REQUEST, "no_text") };
    }
    if signatures == 0 { (StatusCode::UNAUTHORIZED, "bad signature") } else { (StatusCode::NO_CONTENT, "") }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let connection = request.extensions().get::<Connection>().cloned();
    let connection = connection.expect("the server puts the connection into every request");
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let text = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap_or_default().to_owned())
    };
    let headers: BTreeMap<_, _> = parts.headers.iter().map(header).collect();
    let signatures = shared.signatures(&headers, &text);
    let (status, said) = judge(&path, signatures, &text);
    let mut response = Response::new(Body::from(said));
    *response.status_mut() = status;
    let injection = shared.faults.inject(&format!("{} {path}", parts.method), &text);
    if let Some(action) = injection.before.run().await {
        response = answer::end(action, &connection, response).await;
    }
    let status = response.status().as_u16();
    shared.lock().push(Received { path, headers, text, signatures, status });
    match injection.after.run().await {
        Some(action) => answer::end(action, &connection, response).await,
        None => response,
    }
}
