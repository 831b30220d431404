//! Reading bodies of strangers: bounded each, and all together.

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::AppError;

/// What unread bodies may take of memory together. PagerDuty's events have a few kilobytes, so this is thousands of
/// them; beyond it, senders are asked to come again.
const TOGETHER: usize = 32 * 1024 * 1024;

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
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        largest: usize,
    ) -> Result<Held<'_>, AppError> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > largest) {
            return Err(AppError::TooLarge(largest));
        }
        let (mut bytes, mut share) = (BytesMut::new(), None::<SemaphorePermit<'_>>);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| AppError::BadRequest("the body broke off".to_owned()))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if bytes.len() + chunk.len() > largest {
                return Err(AppError::TooLarge(largest));
            }
            let more = u32::try_from(chunk.len()).ok().and_then(|size| self.0.try_acquire_many(size).ok());
            let Some(more) = more else {
                return Err(AppError::Unavailable("too many bodies at once".to_owned()));
            };
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Held { bytes: bytes.freeze(), _share: share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_bounded_and_gives_its_share_back() {
        let budget = BodyBudget(Semaphore::new(10));
        let read = async |text: &'static str| budget.read(&HeaderMap::new(), Body::from(text), 8).await;
        assert!(matches!(read("123456789").await, Err(AppError::TooLarge(8))));
        let first = read("12345678").await.unwrap();
        assert!(matches!(read("123").await, Err(AppError::Unavailable(_))));
        assert_eq!(first.bytes, "12345678");
        drop(first);
        assert_eq!(read("123").await.unwrap().bytes, "123");
    }
}
