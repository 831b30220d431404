//! Carrying out the end that a fault puts to a call.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};

use super::Action;
use crate::server::{Connection, Truncated};
use crate::strongdm::status;

/// Ends a call as told; `answer` is what it would have been without the fault.
pub(crate) async fn end(
    action: Action,
    connection: &Connection,
    now: DateTime<Utc>,
    answer: Response<Body>,
) -> Response<Body> {
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
        Action::Grpc { code, message, reset_in_secs } => {
            let reset_at = reset_in_secs.map(|secs| now + TimeDelta::seconds(secs));
            status::fault(code, message, reset_at).into_http()
        }
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
