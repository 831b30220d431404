//! Reading bodies of strangers: bounded each, and all together.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::error::AppError;

/// What unread bodies may take of memory together. PagerDuty's events have a few kilobytes, so this is thousands of
/// them; beyond it, senders are asked to come again.
const TOGETHER: usize = 32 * 1024 * 1024;
/// A connection that is closed while the sender still sends breaks off, and the answer with it. So what exceeds a limit
/// is read and dropped, up to this much and this long.
const DROPPED: usize = 16 * 1024 * 1024;
const DROPPED_WITHIN: Duration = Duration::from_millis(500);

/// The memory that bodies may take together.
#[derive(Debug)]
pub(super) struct BodyBudget(Semaphore);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Semaphore::new(TOGETHER))
    }
}

/// A body and its share of the budget, which is free again when this is dropped.
pub(super) struct Held<'b> {
    pub(super) bytes: Bytes,
    _share: Option<SemaphorePermit<'b>>,
}

impl BodyBudget {
    /// Reads a body of at most `largest` bytes. What is counted is what arrived, so announcing much costs nobody.
    pub(super) async fn read(&self, mut body: Body, largest: usize) -> Result<Held<'_>, AppError> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let (mut bytes, mut share) = (BytesMut::new(), None::<SemaphorePermit<'_>>);
        let refusal = loop {
            if announced > largest {
                break AppError::TooLarge(largest);
            }
            let Some(frame) = body.frame().await else {
                return Ok(Held { bytes: bytes.freeze(), _share: share });
            };
            let frame = frame.map_err(|_| AppError::BadRequest("the body broke off".to_owned()))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if bytes.len() + chunk.len() > largest {
                break AppError::TooLarge(largest);
            }
            let more = u32::try_from(chunk.len()).ok().and_then(|size| self.0.try_acquire_many(size).ok());
            let Some(more) = more else { break AppError::Unavailable("too many bodies at once".to_owned()) };
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            bytes.extend_from_slice(&chunk);
        };
        drop((bytes, share));
        // Whether all of it came makes no difference to the answer.
        let _ = timeout(DROPPED_WITHIN, drop_rest(body)).await;
        Err(refusal)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_bounded_and_gives_its_share_back() {
        let budget = BodyBudget(Semaphore::new(10));
        let read = async |text: &'static str| budget.read(Body::from(text), 8).await;
        assert!(matches!(read("123456789").await, Err(AppError::TooLarge(8))));
        let first = read("12345678").await.unwrap();
        assert!(matches!(read("123").await, Err(AppError::Unavailable(_))));
        assert_eq!(first.bytes, "12345678");
        drop(first);
        assert_eq!(read("123").await.unwrap().bytes, "123");
    }
}
