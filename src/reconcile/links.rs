//! Which schedule was seen under which escalation policy: in the store for all replicas, and a copy here for webhooks,
//! which must not wait for the store.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    model::Links,
    store::{self, SharedStore},
};

/// The links of the last full pass.
#[derive(Debug)]
pub(super) struct SeenLinks {
    store: SharedStore,
    /// Replaced as a whole, so that a webhook reads it without waiting for whoever makes a new one.
    current: watch::Sender<Arc<Links>>,
}

impl SeenLinks {
    /// The links as the store has them.
    pub(super) async fn load(store: SharedStore) -> Result<Self, store::Error> {
        let current = watch::Sender::new(Arc::new(store.links().await?));
        Ok(Self { store, current })
    }

    pub(super) fn current(&self) -> Arc<Links> {
        Arc::clone(&self.current.borrow())
    }

    /// Takes over what another replica saw.
    pub(super) async fn reload(&self) -> Result<(), store::Error> {
        self.current.send_replace(Arc::new(self.store.links().await?));
        Ok(())
    }

    /// Replaces the links by what a full pass saw.
    pub(super) async fn replace(&self, seen: Links) -> Result<(), store::Error> {
        if seen != *self.current() {
            self.store.set_links(&seen).await?;
            self.current.send_replace(Arc::new(seen));
        }
        Ok(())
    }
}
