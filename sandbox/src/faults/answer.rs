//! Carries out the fault that ends a call.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use http_body::Frame;
use tonic::{Code, Status};

use super::fault::Action;
use crate::server::Connection;

/// Ends a call; `answer` is what it would have been without the fault.
pub(crate) async fn end(action: Action, connection: &Connection, answer: Response<Body>) -> Response<Body> {
    match action {
        // These two only ever make a call wait.
        Action::Delay { .. } | Action::Stall => answer,
        Action::Http { status, body, headers } => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() =
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
                {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        // The details that tell of a reset are strongDM's own; its guard adds them.
        Action::Grpc { code, message, .. } => Status::new(Code::from(code), message).into_http(),
        Action::Cut => match connection.cut().await {},
        Action::Truncate => truncate(answer).await,
        Action::InvalidJson => Response::new(Body::from("<html>Something went wrong</html>")),
    }
}

async fn truncate(answer: Response<Body>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    // The full length is promised, so that the client can tell that something is missing.
    parts.headers.insert(CONTENT_LENGTH, whole.len().into());
    Response::from_parts(parts, Body::new(Truncated::half_of(&whole)))
}

/// A body that breaks off in the middle.
struct Truncated(Option<Bytes>);

impl Truncated {
    /// The first half of `whole`, then an error that makes the server drop the message.
    fn half_of(whole: &Bytes) -> Self {
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
