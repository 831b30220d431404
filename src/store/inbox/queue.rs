//! The group-commit queue: one task takes all the deliveries that wait and writes them in one transaction, so that they
//! share what costs most, the sync of the disk.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::{Accepted, Delivery};
use crate::store::Error;

/// How many deliveries may wait for the disk before the sender is asked to come again: PagerDuty gives up on an
/// answer after 5 s, and a slow disk still commits some hundred groups a second.
const QUEUE: usize = 1024;
/// How many deliveries share a commit at most; beyond this the sync is no longer what costs.
const GROUP: usize = 256;

/// Writes a group of deliveries in one transaction; each database does so in its own way.
#[async_trait]
pub(crate) trait WriteGroup: Send + Sync + 'static {
    async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error>;
}

type Waiting = (Delivery, oneshot::Sender<Result<Accepted, Error>>);

/// Leads to the one task that writes deliveries.
#[derive(Clone, Debug)]
pub(crate) struct Queue(mpsc::Sender<Waiting>);

impl Queue {
    /// Starts the task. It ends with the last copy of the queue.
    pub(crate) fn start(writer: impl WriteGroup) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(QUEUE);
        tokio::spawn(async move {
            let mut group = Vec::with_capacity(GROUP);
            while receiver.recv_many(&mut group, GROUP).await > 0 {
                // A defect that one group meets must not keep out all that come after it.
                if AssertUnwindSafe(write_all(&writer, &mut group)).catch_unwind().await.is_err() {
                    tracing::error!("writing deliveries panicked; their senders are asked to come again");
                    group.clear();
                }
            }
        });
        Self(sender)
    }

    /// [`Error::Busy`] if nobody writes deliveries any more, so that no delivery can be accepted.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.is_closed() { Err(Error::Busy) } else { Ok(()) }
    }

    /// Returns once the delivery is on disk. [`Error::Busy`] if too many wait before it.
    pub(crate) async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error> {
        let (reply, outcome) = oneshot::channel();
        self.0.try_send((delivery, reply)).map_err(|_| Error::Busy)?;
        outcome.await.map_err(|_| Error::Busy)?
    }
}

/// Writes the group and tells each who waits what became of its delivery. A sender may have hung up; its delivery is
/// stored all the same.
async fn write_all(writer: &impl WriteGroup, group: &mut Vec<Waiting>) {
    let deliveries: Vec<&Delivery> = group.iter().map(|(delivery, _)| delivery).collect();
    match writer.write(&deliveries).await {
        Ok(outcomes) => {
            for ((_, reply), outcome) in group.drain(..).zip(outcomes) {
                drop(reply.send(Ok(outcome)));
            }
        }
        // One delivery that the database cannot take must not fail those beside it.
        Err(Error::Database(_)) if group.len() > 1 => {
            for (delivery, reply) in group.drain(..) {
                let outcome = writer.write(&[&delivery]).await;
                drop(reply.send(outcome.map(|outcomes| outcomes[0])));
            }
        }
        // Trying each by itself would only keep them all waiting for a database that is not there.
        Err(error) => {
            tracing::error!(
                deliveries = group.len(),
                error = &error as &dyn std::error::Error,
                "cannot write deliveries"
            );
            for (_, reply) in group.drain(..) {
                drop(reply.send(Err(Error::NotWritten)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Stumbles(AtomicBool);

    #[async_trait]
    impl WriteGroup for Stumbles {
        async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error> {
            assert!(self.0.swap(true, Ordering::Relaxed), "a defect");
            Ok(vec![Accepted::New; deliveries.len()])
        }
    }

    fn delivery() -> Delivery {
        Delivery {
            key: "k".to_owned(),
            received_at: chrono::DateTime::UNIX_EPOCH,
            event_id: None,
            event_type: None,
            webhook_id: None,
            subscription: None,
            marks: std::collections::BTreeSet::default(),
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_group_and_not_the_queue() {
        let queue = Queue::start(Stumbles(AtomicBool::new(false)));
        assert!(matches!(queue.accept(delivery()).await, Err(Error::Busy)));
        assert!(matches!(queue.accept(delivery()).await, Ok(Accepted::New)));
        assert!(queue.check().is_ok());
    }

    #[tokio::test]
    async fn a_queue_that_nobody_empties_is_noticed_without_a_delivery() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        assert!(matches!(Queue(sender).check(), Err(Error::Busy)));
    }
}
