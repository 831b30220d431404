//! The status snapshot in the store: what passes saw, and what this process alone noticed, for people on any replica.

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::snapshot::{STATUS_SNAPSHOT, StatusSnapshot, WrongSecret};
use crate::{
    clock,
    store::{self, SharedStore},
};

/// Anybody can send webhooks that are refused; more often than this they lead to no write.
const WRITE_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Reads and replaces the snapshot.
#[derive(Debug)]
pub(crate) struct Snapshots {
    store: SharedStore,
    /// Set by webhooks, written by passes.
    noticed: Mutex<Noticed>,
}

/// A wrong secret that this process noticed.
#[derive(Debug, Default)]
struct Noticed {
    newest: Option<WrongSecret>,
    /// When the newest came that the store knows of.
    stored: Option<DateTime<Utc>>,
}

impl Snapshots {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self { store, noticed: Mutex::default() }
    }

    /// What the newest passes saw, also those of other replicas; nothing before the first.
    pub(crate) async fn read(&self) -> Result<StatusSnapshot, store::Error> {
        let mut snapshot = STATUS_SNAPSHOT.read(&self.store, clock::now()).await?.unwrap_or_default();
        let here = self.noticed.lock().newest.clone();
        if here.as_ref().map(|here| here.at) > snapshot.wrong_secret.as_ref().map(|there| there.at) {
            snapshot.wrong_secret = here;
        }
        Ok(snapshot)
    }

    /// Replaces the snapshot; only for whoever holds the lease, or what another one saw would be lost.
    pub(crate) async fn replace(&self, snapshot: StatusSnapshot) -> Result<(), store::Error> {
        STATUS_SNAPSHOT.write(&self.store, &snapshot, None).await?;
        self.noticed.lock().stored = snapshot.wrong_secret.map(|wrong| wrong.at);
        Ok(())
    }

    /// Records a webhook in the name of our own subscription that was signed with a secret that we do not have.
    pub(crate) fn record_wrong_secret(&self, subscription: &str, at: DateTime<Utc>) {
        self.noticed.lock().newest = Some(WrongSecret { subscription: subscription.to_owned(), at });
    }

    /// Whether something was noticed here that the store should know without waiting for the next pass, which may run
    /// elsewhere.
    pub(crate) fn is_ahead_of_store(&self) -> bool {
        let noticed = self.noticed.lock();
        let newest = noticed.newest.as_ref().map(|wrong| wrong.at);
        newest.is_some_and(|at| noticed.stored.is_none_or(|stored| at - stored >= WRITE_EVERY))
    }
}
