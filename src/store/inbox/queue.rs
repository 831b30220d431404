//! The queue in front of the disk: one task writes deliveries, as many as wait, in one commit.

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::{Accepted, Delivery};
use crate::store::Error;

/// How many deliveries may wait for the disk before the sender is asked to come again: PagerDuty gives up on an
/// answer after 5 s, and a slow disk still commits some hundred groups a second.
const QUEUE: usize = 1024;
/// How many deliveries share a commit at most; beyond this the sync is no longer what costs.
const GROUP: usize = 256;

/// A way to write a group of deliveries in one transaction.
#[async_trait]
pub(crate) trait WriteGroup: Send + Sync + 'static {
    async fn write(&self, deliveries: &[&Delivery]) -> Result<Vec<Accepted>, Error>;
}

type Waiting = (Delivery, oneshot::Sender<Result<Accepted, Error>>);

/// The way to the one task that writes deliveries.
#[derive(Clone, Debug)]
pub(crate) struct Queue(mpsc::Sender<Waiting>);

impl Queue {
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

    /// Waits until the delivery is durable.
    pub(crate) async fn accept(&self, delivery: Delivery) -> Result<Accepted, Error> {
        let (reply, outcome) = oneshot::channel();
        self.0.try_send((delivery, reply)).map_err(|_| Error::Busy)?;
        outcome.await.map_err(|_| Error::Busy)?
    }
}

/// Writes the group and answers all who wait. A sender may have hung up; its delivery is stored all the same.
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
