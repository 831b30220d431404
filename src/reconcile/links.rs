//! What the last answers showed together: in the store for all replicas, and a copy here for webhooks, which must not
//! wait for the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;

use super::scope::Seen;
use crate::{
    clock,
    model::{IncidentId, Links, RememberedPart, ServiceId},
    store::{self, SharedStore},
};

/// What the last passes saw together.
#[derive(Debug)]
pub(super) struct SeenLinks {
    store: SharedStore,
    /// Replaced as a whole, so that a webhook reads it without waiting for whoever makes a new one.
    current: watch::Sender<Seen>,
}

impl SeenLinks {
    /// The links as the store has them.
    pub(super) async fn load(store: SharedStore) -> Result<Self, store::Error> {
        let current = watch::Sender::new(Seen::default());
        let links = Self { store, current };
        links.reload().await?;
        Ok(links)
    }

    pub(super) fn current(&self) -> Seen {
        self.current.borrow().clone()
    }

    /// Takes over what another replica saw.
    pub(super) async fn reload(&self) -> Result<(), store::Error> {
        let parts = self.store.incident_parts(clock::now(), &BTreeSet::new()).await?;
        let links = Arc::new(self.store.links().await?);
        self.current.send_replace(Seen { links, incidents: Arc::new(by_incident(parts.iter())) });
        Ok(())
    }

    /// Replaces the links by what a full pass saw.
    pub(super) async fn replace(&self, seen: Links) -> Result<(), store::Error> {
        if seen != *self.current().links {
            self.store.set_links(&seen).await?;
            self.current.send_modify(|current| current.links = Arc::new(seen));
        }
        Ok(())
    }

    /// Adds incidents in which a pass found somebody.
    pub(super) fn add<'p>(&self, parts: impl Iterator<Item = &'p RememberedPart>) {
        let new = by_incident(parts);
        self.current.send_modify(|current| {
            let known = Arc::make_mut(&mut current.incidents);
            for (incident, services) in new {
                known.entry(incident).or_default().extend(services);
            }
        });
    }
}

fn by_incident<'p>(
    parts: impl Iterator<Item = &'p RememberedPart>,
) -> BTreeMap<IncidentId, BTreeSet<ServiceId>> {
    let mut found: BTreeMap<IncidentId, BTreeSet<ServiceId>> = BTreeMap::new();
    for part in parts {
        found.entry(part.incident.id.clone()).or_default().insert(part.service.clone());
    }
    found
}
