//! The group-commit queue: one task takes all the deliveries that wait and writes them in one transaction, so that they
//! share what costs most, the sync of the disk.

use async_trait::async_trait;
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
                write_all(&writer, &mut group).await;
            }
        });
        Self(sender)
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
