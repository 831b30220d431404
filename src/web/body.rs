//! Reads request bodies. Strangers may send them, so each is bounded, and so is what all of them take together.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::error::AppError;

/// The memory, in bytes, that all bodies may take together. PagerDuty's events have a few kilobytes, so this is thousands
/// of them; beyond it, senders are asked to come again.
const BUDGET: usize = 32 * 1024 * 1024;
/// If we close a connection while the sender still sends, the sender may never read our answer. So we read the rest of a
/// refused body and drop it, up to this many bytes and for this long.
const DRAIN: usize = 16 * 1024 * 1024;
const DRAIN_WITHIN: Duration = Duration::from_millis(500);

/// The memory that all bodies may take together.
#[derive(Debug)]
pub(super) struct BodyBudget(Semaphore);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Semaphore::new(BUDGET))
    }
}

/// A body in memory. Dropping it gives its share of the budget back.
pub(super) struct BufferedBody<'b> {
    pub(super) bytes: Bytes,
    _share: Option<SemaphorePermit<'b>>,
}

impl BodyBudget {
    /// Reads a body of at most `largest` bytes. The budget counts what has arrived, so a sender that announces much and
    /// sends nothing costs nobody.
    pub(super) async fn read(&self, mut body: Body, largest: usize) -> Result<BufferedBody<'_>, AppError> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let (mut bytes, mut share) = (BytesMut::new(), None::<SemaphorePermit<'_>>);
        let refusal = loop {
            if announced > largest {
                break AppError::TooLarge(largest);
            }
            let Some(frame) = body.frame().await else {
                return Ok(BufferedBody { bytes: bytes.freeze(), _share: share });
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
        // Whether the rest came in time makes no difference to the answer.
        let _ = timeout(DRAIN_WITHIN, drain(body)).await;
        Err(refusal)
    }
}

async fn drain(mut body: Body) {
    let mut drained = 0;
    while drained < DRAIN {
        match body.frame().await {
            Some(Ok(frame)) => drained += frame.data_ref().map_or(0, Bytes::len),
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
