//! Accepts connections: gives each a place and a deadline, so that a crowd of slow clients can use up neither file
//! descriptors nor memory, nor keep others out.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::HttpBody as Body, http::Request};
use axum_server::accept::Accept;
use futures_util::future::{BoxFuture, Either};
use http_body::{Frame, SizeHint};
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

/// The body of a connection's request, which tells it that it has not arrived.
#[derive(Debug)]
pub(crate) struct Arriving<B> {
    body: B,
    connection: Arc<Connection>,
}

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        self.connection.needs_no_body();
    }
}

impl<B: Body + Unpin> Body for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Pending => self.connection.waits_for_body(),
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(None | Some(Err(_))) => self.connection.needs_no_body(),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
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
    S: Service<Request<Arriving<B>>, Future: Send + 'static>,
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
        let request = request.map(|body| Arriving { body, connection: Arc::clone(&self.connection) });
        let answer = self.service.call(request);
        Box::pin(async move {
            let _underway = underway;
            answer.await
        })
    }
}
