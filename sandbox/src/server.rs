//! The HTTP/1.1 and plaintext HTTP/2 server under both stand-ins. It can be cut, stopped and started again.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// A server on a fixed address; dropping it closes everything.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    router: Router,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    /// The parent of the open connections' tokens; replaced when all are cut.
    connections: std::sync::Arc<Mutex<CancellationToken>>,
    task: JoinHandle<()>,
}

/// The connection that a request came over, in the request's extensions.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Counts all connections of this process.
    pub number: u64,
    /// The other end.
    pub peer: SocketAddr,
    cut: CancellationToken,
}

impl Connection {
    /// Drops the whole connection without another byte.
    pub async fn cut(&self) -> Infallible {
        self.cut.cancel();
        // Returning would give hyper something to send before the connection is dropped.
        std::future::pending().await
    }
}

impl Server {
    /// Binds and serves; port 0 picks a free port.
    pub async fn start(addr: SocketAddr, router: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let running = Running::start(listener, router.clone());
        Ok(Self { addr, router, running: Mutex::new(Some(running)) })
    }

    /// The address that was bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Drops every open connection; new ones are welcome.
    pub fn cut_connections(&self) {
        if let Some(running) = &*self.lock() {
            let mut connections = running.connections.lock().expect("no panic while held");
            std::mem::take(&mut *connections).cancel();
        }
    }

    /// Closes the port and every connection: connecting is refused from here on.
    pub async fn stop(&self) {
        let running = self.lock().take();
        if let Some(running) = running {
            running.stop.cancel();
            running.connections.lock().expect("no panic while held").cancel();
            let _ = running.task.await;
        }
    }

    /// Serves again on the same address after [`stop`](Self::stop).
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.addr).await?;
        *self.lock() = Some(Running::start(listener, self.router.clone()));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("no panic while the server is held")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.lock().take() {
            running.stop.cancel();
            running.connections.lock().expect("no panic while held").cancel();
        }
    }
}

impl Running {
    fn start(listener: TcpListener, router: Router) -> Self {
        let stop = CancellationToken::new();
        let connections = std::sync::Arc::new(Mutex::new(CancellationToken::new()));
        let task = tokio::spawn({
            let (stop, connections) = (stop.clone(), connections.clone());
            async move {
                loop {
                    let accepted = tokio::select! {
                        () = stop.cancelled() => return,
                        accepted = listener.accept() => accepted,
                    };
                    let Ok((stream, peer)) = accepted else { continue };
                    let cut = connections.lock().expect("no panic while held").child_token();
                    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(hold(stream, router.clone(), Connection { number, peer, cut }));
                }
            }
        });
        Self { stop, connections, task }
    }
}

async fn hold(stream: TcpStream, router: Router, connection: Connection) {
    // Without this, small answers wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let cut = connection.cut.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        router.clone().oneshot(request)
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        result = serving => if let Err(error) = result {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// A body that breaks off in the middle.
pub(crate) struct Truncated(Option<Bytes>);

impl Truncated {
    /// The first half of `whole`, then an error that makes the server drop the message.
    pub(crate) fn half_of(whole: &Bytes) -> Self {
        Self(Some(whole.slice(..whole.len() / 2)))
    }
}

impl http_body::Body for Truncated {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(match self.0.take() {
            Some(bytes) => Ok(Frame::data(bytes)),
            None => Err(io::Error::other("the answer was cut off on purpose")),
        }))
    }
}
