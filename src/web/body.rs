//! Reading a request's body up to a limit, so that a sender of too much gets to see the answer.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::error::AppError;

/// A connection that is closed while the sender still sends breaks off, and the answer with it. So what exceeds the
/// limit is read and dropped, up to this much and this long.
const DROPPED: usize = 16 * 1024 * 1024;
const DROPPED_WITHIN: Duration = Duration::from_millis(500);

/// The whole body, if it is not larger than `limit`.
pub(super) async fn read(mut body: Body, limit: usize) -> Result<Bytes, AppError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::new();
    while announced <= limit {
        let Some(frame) = body.frame().await else { return Ok(whole.freeze()) };
        let frame = frame.map_err(|_| AppError::BadRequest("the body broke off".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            break;
        }
        whole.extend_from_slice(&data);
    }
    // Whether all of it came makes no difference to the answer.
    let _ = timeout(DROPPED_WITHIN, drop_rest(body)).await;
    Err(AppError::TooLarge(limit))
}

async fn drop_rest(mut body: Body) {
    let mut dropped = 0;
    while dropped < DROPPED {
        match body.frame().await {
            Some(Ok(frame)) => dropped += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}
