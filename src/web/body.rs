//! Reads request bodies. Strangers may send them, so each is bounded in size and time, and so is what all of them take
//! together: whoever sends slowly makes room for whoever comes later.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};

use super::error::AppError;

/// The memory, in bytes, that all bodies may take together. PagerDuty's events have a few kilobytes, so this is thousands
/// of them.
const BUDGET: usize = 32 * 1024 * 1024;
/// If we close a connection while the sender still sends, the sender may never read our answer. So we read the rest of a
/// refused body and drop it, up to this many bytes and for this long.
const DRAIN: usize = 16 * 1024 * 1024;
const DRAIN_WITHIN: Duration = Duration::from_millis(500);

/// For the body of an operator's request, which has shown the admin token.
pub(super) const OPERATOR_WITHIN: Duration = Duration::from_secs(10);

/// The most that a body may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// In bytes.
    pub(super) size: usize,
    /// From the end of the request's head to the body's last byte.
    pub(super) time: Duration,
}

/// The memory that all bodies may take together.
#[derive(Debug)]
pub(super) struct BodyBudget {
    limit: usize,
    bodies: Mutex<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    /// The bytes of all bodies in memory.
    held: usize,
    begun: u64,
    /// Those that are not complete, by age.
    arriving: BTreeMap<u64, Arriving>,
}

#[derive(Debug)]
struct Arriving {
    size: usize,
    displaced: Arc<Notify>,
}

/// A body in memory. Dropping it gives its share of the budget back.
pub(super) struct BufferedBody<'b> {
    pub(super) bytes: Bytes,
    budget: &'b BodyBudget,
}

impl Drop for BufferedBody<'_> {
    fn drop(&mut self) {
        self.budget.bodies.lock().held -= self.bytes.len();
    }
}

impl Default for BodyBudget {
    fn default() -> Self {
        Self::of(BUDGET)
    }
}

impl BodyBudget {
    fn of(limit: usize) -> Self {
        Self { limit, bodies: Mutex::default() }
    }

    /// Reads a body. The budget counts what has arrived, so a sender that announces much and sends nothing costs nobody.
    pub(super) async fn read(&self, mut body: Body, limits: Limits) -> Result<BufferedBody<'_>, AppError> {
        let share = self.begin();
        let refusal = tokio::select! {
            biased;
            () = share.displaced.notified() => too_many(),
            read = timeout(limits.time, collect(&mut body, limits.size, &share)) => match read {
                Ok(Ok(bytes)) => return share.complete(bytes),
                Ok(Err(refusal)) => refusal,
                // Not 408: PagerDuty takes an answer 4xx for a refusal, and would not send it again.
                Err(_) => return Err(AppError::Unavailable("the body did not arrive in time".to_owned())),
            },
        };
        drop(share);
        drain(body).await;
        Err(refusal)
    }

    fn begin(&self) -> Share<'_> {
        let mut bodies = self.bodies.lock();
        bodies.begun += 1;
        Share { budget: self, number: bodies.begun, displaced: Arc::default() }
    }
}

fn too_many() -> AppError {
    AppError::Unavailable("too many bodies at once".to_owned())
}

/// The share of the budget that a body has while it arrives.
struct Share<'b> {
    budget: &'b BodyBudget,
    number: u64,
    /// Told once the body lost its share.
    displaced: Arc<Notify>,
}

impl<'b> Share<'b> {
    /// Takes so many bytes more than it `has`. If there are no more, the bodies that have been arriving for longest lose
    /// theirs: those of a sender that means it are complete within milliseconds.
    fn grow(&self, has: usize, more: usize) -> Result<(), AppError> {
        let mut bodies = self.budget.bodies.lock();
        if bodies.arriving.remove(&self.number).is_none() && has > 0 {
            return Err(too_many());
        }
        while bodies.held + more > self.budget.limit {
            let Some((_, oldest)) = bodies.arriving.pop_first() else {
                bodies.held -= has;
                return Err(too_many());
            };
            bodies.held -= oldest.size;
            oldest.displaced.notify_one();
        }
        bodies.held += more;
        let displaced = Arc::clone(&self.displaced);
        bodies.arriving.insert(self.number, Arriving { size: has + more, displaced });
        Ok(())
    }

    /// The whole body, unless it lost its share at the last moment.
    fn complete(self, bytes: Bytes) -> Result<BufferedBody<'b>, AppError> {
        let budget = self.budget;
        let kept = budget.bodies.lock().arriving.remove(&self.number).is_some();
        if kept || bytes.is_empty() { Ok(BufferedBody { bytes, budget }) } else { Err(too_many()) }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut bodies = self.budget.bodies.lock();
        if let Some(own) = bodies.arriving.remove(&self.number) {
            bodies.held -= own.size;
        }
    }
}

async fn collect(body: &mut Body, largest: usize, share: &Share<'_>) -> Result<Bytes, AppError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > largest {
        return Err(AppError::TooLarge(largest));
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Not 400, for PagerDuty takes that for a refusal: we may have cut it off ourselves, to make room.
        let frame = frame.map_err(|_| AppError::Unavailable("the body broke off".to_owned()))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if bytes.len() + chunk.len() > largest {
            return Err(AppError::TooLarge(largest));
        }
        share.grow(bytes.len(), chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads a body that is not wanted, so that its sender reads the answer. Whether all of it came in time makes no
/// difference to that.
pub(super) async fn drain(mut body: Body) {
    let rest = async {
        let mut drained = 0;
        while drained < DRAIN {
            match body.frame().await {
                Some(Ok(frame)) => drained += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    };
    let _ = timeout(DRAIN_WITHIN, rest).await;
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    const LIMITS: Limits = Limits { size: 8, time: Duration::from_mins(1) };

    #[tokio::test]
    async fn a_body_is_bounded_and_gives_its_share_back() {
        let budget = BodyBudget::of(10);
        let read = async |text: &'static str| budget.read(Body::from(text), LIMITS).await;
        assert!(matches!(read("123456789").await, Err(AppError::TooLarge(8))));
        let first = read("12345678").await.unwrap();
        assert!(matches!(read("123").await, Err(AppError::Unavailable(_))), "complete bodies are kept");
        assert_eq!(first.bytes, "12345678");
        drop(first);
        assert_eq!(read("123").await.unwrap().bytes, "123");
        assert_eq!(budget.bodies.lock().held, 0);
    }

    #[tokio::test]
    async fn a_stalled_body_makes_room_for_a_later_one() {
        let budget = BodyBudget::of(10);
        let stalled = |text: &'static str| {
            let begun = stream::iter([Ok::<_, std::io::Error>(text)]);
            Box::pin(budget.read(Body::from_stream(begun.chain(stream::pending())), LIMITS))
        };
        let (mut oldest, mut older) = (stalled("1234"), stalled("5678"));
        assert!((&mut oldest).now_or_never().is_none() && (&mut older).now_or_never().is_none());
        assert_eq!(budget.read(Body::from("123456"), LIMITS).await.unwrap().bytes, "123456");
        assert!(matches!(oldest.await, Err(AppError::Unavailable(_))));
        assert!((&mut older).now_or_never().is_none(), "nobody needed its share");
        drop(older);
        assert_eq!(budget.bodies.lock().held, 0);
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_in_time_is_to_be_sent_again() {
        let budget = BodyBudget::default();
        let stalled = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
        let answer = budget.read(stalled, Limits { time: Duration::from_millis(1), ..LIMITS }).await;
        assert!(matches!(answer, Err(AppError::Unavailable(_))));
    }
}
