//! A server that answers each request by a function, and remembers what it was asked.

use std::{
    fmt::Display,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri},
};
use futures_util::stream;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::net::TcpListener;
use url::{Url, form_urlencoded};

use crate::pagerduty::{App, Auth, Client, Connection, Scope, Tokens, client::retry::RetryPolicy};

pub(super) const TOKEN: &str = "y_NotARealToken";

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Counted from 0.
    pub(super) number: usize,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Asked {
    /// All values of one query parameter.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.query.iter().filter(|(key, _)| key == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    cut: bool,
    delay: Duration,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: false, delay: Duration::ZERO }
    }

    pub(super) fn ok(body: impl Into<String>) -> Self {
        Self::new(200, body)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The connection breaks after the body's text.
    pub(super) fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    pub(super) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

struct Shared {
    answer: Box<dyn Fn(&Asked) -> Reply + Send + Sync>,
    asked: Mutex<Vec<Asked>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

pub(super) struct Server {
    shared: Arc<Shared>,
    base: Url,
}

impl Server {
    pub(super) async fn answering(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            asked: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { shared, base }
    }

    pub(super) async fn always(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::answering(move |_| Reply::new(status, body.clone())).await
    }

    pub(super) fn client(&self) -> Client {
        self.client_with(quick())
    }

    pub(super) fn client_authorized_by(&self, auth: Auth) -> Client {
        let client = Client::new(tls(), None, self.base.clone(), auth).unwrap();
        Client { retry: quick(), ..client }
    }

    pub(super) fn client_with(&self, retry: RetryPolicy) -> Client {
        let client = Client::new(tls(), None, self.base.clone(), Auth::Key(TOKEN.into())).unwrap();
        Client { retry, ..client }
    }

    /// A client that asks as an OAuth app, whose tokens come from this server as well. A second of their life is a
    /// millisecond.
    pub(super) fn app_client(&self) -> Client {
        self.app_client_with(Duration::from_millis(1))
    }

    /// The same, where a second of their life is so long.
    pub(super) fn app_client_with(&self, second: Duration) -> Client {
        let app = App {
            identity_url: self.base.clone(),
            client_id: "app-id".into(),
            client_secret: "app-secret&=".into(),
            region: "us",
            subdomain: "acme".to_owned(),
            scopes: [Scope::ReadOnCalls, Scope::ReadUsers].into(),
        };
        let connection = Connection::new(tls(), None).unwrap();
        let tokens = Tokens::with_second(app, connection, second);
        self.client_authorized_by(Auth::App(tokens))
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }
}

/// Milliseconds where the real bounds are seconds.
pub(super) fn quick() -> RetryPolicy {
    RetryPolicy {
        first_delay: Duration::from_millis(1),
        attempt: Duration::from_secs(5),
        second: Duration::from_millis(1),
        ..RetryPolicy::default()
    }
}

pub(super) fn tls() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let at_once = shared.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    let asked = {
        let mut all = shared.asked.lock().unwrap();
        let number = all.len();
        all.push(Asked {
            number,
            method,
            path: uri.path().to_owned(),
            query,
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        all[number].clone()
    };
    let reply = (shared.answer)(&asked);
    tokio::time::sleep(reply.delay).await;
    shared.at_once.fetch_sub(1, Ordering::SeqCst);
    response(reply)
}

fn response(reply: Reply) -> Response<Body> {
    let Reply { status, headers, body, cut, delay: _ } = reply;
    let body = if cut {
        Body::from_stream(stream::iter([Ok(body), Err(io::Error::other("the line broke"))]))
    } else {
        Body::from(body)
    };
    let mut response = Response::builder().status(status).body(body).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).unwrap();
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}
