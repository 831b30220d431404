//! How the store fares, for all who ask `/readyz` and `/metrics`, who need not show a token: it is asked once a second at
//! most, since passes and webhooks need its one writer and its few connections.

use std::time::{Duration, Instant};

use tokio::{join, sync::Mutex, time::timeout};

use crate::{
    clock,
    store::{Backlog, Error, SharedStore},
};

/// How long an answer holds for those who ask after it.
const HOLDS: Duration = Duration::from_secs(1);
/// A store that takes longer than this to answer takes no webhook in time either.
const WITHIN: Duration = Duration::from_secs(2);

/// How the store fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreHealth {
    /// It has just taken a write.
    pub(super) writable: bool,
    /// The deliveries that wait; none if it did not say.
    pub(super) backlog: Option<Backlog>,
}

/// Asks the store, and keeps its last answer.
#[derive(Debug, Default)]
pub(super) struct StoreCheck(Mutex<Option<(Instant, StoreHealth)>>);

impl StoreCheck {
    /// How the store fares now, or less than a second ago. Those who ask at the same time wait for one answer.
    pub(super) async fn health(&self, store: &SharedStore) -> StoreHealth {
        let mut last = self.0.lock().await;
        if let Some((at, health)) = *last
            && at.elapsed() < HOLDS
        {
            return health;
        }
        let (written, backlog) =
            join!(timeout(WITHIN, store.check_writable(clock::now())), timeout(WITHIN, store.backlog()));
        let written = written.unwrap_or(Err(Error::Slow));
        let health = StoreHealth { writable: written.is_ok(), backlog: backlog.ok().and_then(Result::ok) };
        let was_writable = last.is_none_or(|(_, health)| health.writable);
        match written {
            Err(error) if was_writable => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store cannot be written");
            }
            Ok(()) if !was_writable => tracing::info!("the store can be written again"),
            Ok(()) | Err(_) => {}
        }
        *last = Some((Instant::now(), health));
        health
    }
}
