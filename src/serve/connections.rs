//! Accepts connections: gives each a place and a deadline, so that a crowd of slow clients can use up neither file
//! descriptors nor memory, nor keep others out.

use std::{
    future::{Ready, ready},
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::http::Request;
use axum_server::accept::Accept;
use futures_util::future::{BoxFuture, Either};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tower::Service;

use super::{activity::Connection, places::Places, stream::Timed};

/// A client that vanished while we work for it is noticed by the system after two minutes or so.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// Accepts connections and hands them to `inner`, which speaks TLS or does nothing.
#[derive(Clone, Debug)]
pub(crate) struct Connections<A> {
    inner: A,
    places: Arc<Places>,
    idle_timeout: Duration,
}

impl<A> Connections<A> {
    /// Accepts for `inner` as many connections as the system allows this process. Each is closed once it was idle for
    /// `idle_timeout`.
    pub(super) fn new(inner: A, idle_timeout: Duration) -> Self {
        Self { inner, places: Arc::new(Places::new()), idle_timeout }
    }

    fn admit(&self, stream: TcpStream) -> io::Result<(Timed, Arc<Connection>)> {
        let place = self.places.take().ok_or_else(|| io::Error::other("all connections are busy"))?;
        let connection = Arc::new(Connection::new(place, self.idle_timeout));
        let stream = Timed::new(stream, Arc::clone(&connection));
        Ok((stream, connection))
    }
}

/// Answers go out at once, and peers that vanish are noticed.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

impl<A: Accept<Timed, Counted<S>>, S> Accept<TcpStream, S> for Connections<A> {
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Either<A::Future, Ready<io::Result<(A::Stream, A::Service)>>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        match set_options(&stream).and_then(|()| self.admit(stream)) {
            Ok((stream, connection)) => {
                Either::Left(self.inner.accept(stream, Counted { service, connection }))
            }
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}

/// A connection's service, which tells it of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    service: S,
    connection: Arc<Connection>,
}

/// A request under way.
struct Underway(Arc<Connection>);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.connection.begin_request(request.version());
        let underway = Underway(Arc::clone(&self.connection));
        let answer = self.service.call(request);
        Box::pin(async move {
            let _underway = underway;
            answer.await
        })
    }
}
