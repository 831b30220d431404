//! Limits the number of connections, so that a crowd of slow clients cannot use up all file descriptors and memory.

use std::{
    future::{Ready, ready},
    io,
    sync::Arc,
    task::{Context, Poll},
};

use axum_server::accept::Accept;
use futures_util::future::Either;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

/// The connections that are accepted at once. PagerDuty and a load balancer need a few dozen; the rest is for clients
/// that do nothing until their time is up.
const MOST: usize = 8192;
/// Descriptors that are not for clients: the store, the upstreams, the log.
const RESERVED: u64 = 256;

/// Accepts connections up to a limit, and closes those above it at once.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit<A> {
    inner: A,
    free: Arc<Semaphore>,
}

impl<A> ConnectionLimit<A> {
    /// Limits what `inner` accepts to what the system allows this process.
    pub(crate) fn new(inner: A) -> Self {
        let descriptors = raise_descriptor_limit(MOST as u64 + RESERVED);
        let limit = usize::try_from(descriptors.saturating_sub(RESERVED)).unwrap_or(MOST).clamp(64, MOST);
        Self { inner, free: Arc::new(Semaphore::new(limit)) }
    }
}

/// Lets this process have up to `wanted` file descriptors, and answers how many it may have now. The usual soft limit of
/// 1024 is there for programs that use select(2).
fn raise_descriptor_limit(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let reachable = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    if current >= reachable {
        return current;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), ..limit }).map_or(current, |()| reachable)
}

impl<A: Accept<I, Counted<S>>, I, S> Accept<I, S> for ConnectionLimit<A> {
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Either<A::Future, Ready<io::Result<(A::Stream, A::Service)>>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => {
                Either::Left(self.inner.accept(stream, Counted { service, _permit: Arc::new(permit) }))
            }
            Err(_) => Either::Right(ready(Err(io::Error::other("too many connections")))),
        }
    }
}

/// A connection's service; the connection counts until all clones of this are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    service: S,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl<S: Service<R>, R> Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}
