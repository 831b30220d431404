//! The HTTP/1.1 and plaintext HTTP/2 server under both stand-ins. A test can cut its connections, stop and restart it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
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
    connections: Arc<Mutex<CancellationToken>>,
    task: JoinHandle<()>,
}

/// The connection that a request came over, in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Counts the connections of this process.
    pub(crate) number: u64,
    cut: CancellationToken,
}

impl Connection {
    /// Drops the connection without another byte.
    pub(crate) async fn cut(&self) -> Infallible {
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

    /// Drops every open connection; clients may connect again.
    pub fn cut_connections(&self) {
        if let Some(running) = &*self.lock() {
            let mut connections = running.connections.lock().expect("no panic while held");
            std::mem::take(&mut *connections).cancel();
        }
    }

    /// Closes the port and every connection: clients that connect are refused.
    pub async fn stop(&self) {
        let running = self.lock().take();
        if let Some(running) = running {
            running.close();
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

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("no panic while the server is held")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.lock().take() {
            running.close();
        }
    }
}

impl Running {
    fn start(listener: TcpListener, router: Router) -> Self {
        let stop = CancellationToken::new();
        let connections = Arc::new(Mutex::new(CancellationToken::new()));
        let task = tokio::spawn({
            let (stop, connections) = (stop.clone(), connections.clone());
            async move {
                loop {
                    let accepted = tokio::select! {
                        () = stop.cancelled() => return,
                        accepted = listener.accept() => accepted,
                    };
                    let Ok((stream, _)) = accepted else { continue };
                    let cut = connections.lock().expect("no panic while held").child_token();
                    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(serve(stream, router.clone(), Connection { number, cut }));
                }
            }
        });
        Self { stop, connections, task }
    }

    /// Closes the port and every connection.
    fn close(&self) {
        self.stop.cancel();
        self.connections.lock().expect("no panic while held").cancel();
    }
}

async fn serve(stream: TcpStream, router: Router, connection: Connection) {
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
