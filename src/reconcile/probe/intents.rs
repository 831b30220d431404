//! The grants of probes: intended in the store before they are made, forgotten once they are gone. They are no part of the
//! ledger, since no rule wants them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    clock,
    model::{ForeignGrant, GrantId, Pair, Window},
    store::{self, Fact, SharedStore},
    strongdm::{self, Client, RemoteGrant},
};

/// What probes have made, or were about to make.
const PROBE_GRANTS: Fact<Vec<Intent>> = Fact::named("probe_grants");

/// How late a call can take effect whose answer was lost.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// A grant that a probe makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::reconcile) struct Intent {
    pub(super) pair: Pair,
    /// To the second; when it was chosen, strongDM had no grant for the pair.
    pub(super) window: Window,
    /// Known once strongDM answered.
    pub(super) id: Option<GrantId>,
    pub(super) at: DateTime<Utc>,
}

impl Intent {
    /// Whether this grant is the one that was intended.
    pub(in crate::reconcile) fn is(
        &self,
        ForeignGrant { id, pair, window, groups: _ }: &ForeignGrant,
    ) -> bool {
        self.id.as_ref().map_or(self.pair == *pair && self.window == *window, |known| known == id)
    }

    /// The same of a grant of its pair.
    fn made(&self, found: &RemoteGrant) -> bool {
        (found.start, found.end) == (Some(self.window.start()), Some(self.window.end()))
    }
}

/// What is intended and not known to be gone.
pub(in crate::reconcile) async fn intended(store: &SharedStore) -> Result<Vec<Intent>, store::Error> {
    Ok(PROBE_GRANTS.read(store, clock::now()).await?.unwrap_or_default())
}

pub(super) async fn write(store: &SharedStore, intents: &Vec<Intent>) -> Result<(), store::Error> {
    PROBE_GRANTS.write(store, intents, None).await
}

/// Removes what earlier probes left in strongDM. What cannot be removed now stays intended; returns how many that are.
pub(super) async fn remove(store: &SharedStore, strongdm: &Client) -> Result<usize, store::Error> {
    let mut left = Vec::new();
    for intent in intended(store).await? {
        if let Err(error) = remove_one(store, strongdm, &intent).await {
            tracing::warn!(%error, "a grant that a probe made is not removed yet; the next start tries again");
            left.push(intent);
        }
    }
    write(store, &left).await?;
    Ok(left.len())
}

#[derive(Debug, thiserror::Error)]
enum NotRemoved {
    #[error(transparent)]
    Strongdm(#[from] strongdm::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("its answer was lost, and it may still turn up")]
    MayTurnUp,
}

async fn remove_one(store: &SharedStore, strongdm: &Client, intent: &Intent) -> Result<(), NotRemoved> {
    let Intent { pair, window, id, at } = intent;
    if let Some(id) = id {
        return Ok(strongdm.delete_grant(id).await?);
    }
    let now = clock::now();
    if window.end() <= now {
        return Ok(());
    }
    for found in strongdm.grants_of(&pair.account, &pair.resource).await? {
        if intent.made(&found) && !store.is_ours(&found.id).await? {
            return Ok(strongdm.delete_grant(&found.id).await?);
        }
    }
    if now - *at < LATE { Err(NotRemoved::MayTurnUp) } else { Ok(()) }
}
