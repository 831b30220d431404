//! Makes checkpoints of a store's decision log, each from the one before.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Checkpoint, Signature, SigningKey, Tree, note};
use crate::store::{self, LogHead, SharedStore, StoredCheckpoint};

/// So many leaves are read at once: 32 bytes each.
const LEAVES: u32 = 10_000;

/// The decision log of a store, and the key that signs its checkpoints.
#[derive(Clone, Debug)]
pub struct Evidence {
    store: SharedStore,
    key: Option<SigningKey>,
}

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What the store says of its log contradicts itself. To sign that would hide it.
    #[error(
        "the decision log was changed: {0}; nothing is signed before that is cleared up, see `oncall-grants audit verify`"
    )]
    Changed(&'static str),
}

impl Evidence {
    /// The decision log of this store.
    pub fn new(store: SharedStore, key: Option<SigningKey>) -> Self {
        Self { store, key }
    }

    /// The newest checkpoint in the store; if there is none, it is made.
    pub async fn newest(&self, now: DateTime<Utc>) -> Result<StoredCheckpoint, Error> {
        if let Some(newest) = self.store.newest_checkpoint().await? {
            return Ok(newest);
        }
        let made = self.make(now).await?;
        self.store.add_checkpoint(&made).await?;
        Ok(made)
    }

    /// Whether there is something to add: entries of an earlier version, or a checkpoint, since entries were added and the
    /// newest one is `every` old.
    pub async fn is_due(&self, now: DateTime<Utc>, every: TimeDelta) -> Result<bool, Error> {
        let LogHead { size, waiting, .. } = self.store.log_head().await?;
        if waiting > 0 {
            return Ok(true);
        }
        let newest = self.store.newest_checkpoint().await?;
        Ok(newest.map_or(size > 0, |newest| {
            let age = now - newest.at;
            // A clock that was ahead keeps nobody from it.
            size > newest.size && (age >= every || age < TimeDelta::zero())
        }))
    }

    /// Takes in what an earlier version wrote; then makes and stores a checkpoint, if it is due.
    pub async fn add_if_due(
        &self,
        now: DateTime<Utc>,
        every: TimeDelta,
    ) -> Result<Option<StoredCheckpoint>, Error> {
        while self.store.take_in().await? > 0 {}
        if !self.is_due(now, every).await? {
            return Ok(None);
        }
        let made = self.make(now).await?;
        Ok(self.store.add_checkpoint(&made).await?.then_some(made))
    }

    /// A checkpoint of all that is in the log now. Only what was added since the newest one is read.
    pub async fn make(&self, now: DateTime<Utc>) -> Result<StoredCheckpoint, Error> {
        let LogHead { store_id, size, .. } = self.store.log_head().await?;
        let mut tree = match self.store.newest_checkpoint().await? {
            Some(newest) => self.tree_of(&newest)?,
            None => Tree::default(),
        };
        while tree.size() < size {
            let leaves = self.store.leaves(tree.size(), LEAVES).await?;
            for leaf in leaves.iter().take_while(|leaf| leaf.number < size) {
                if leaf.number != tree.size() {
                    return Err(Error::Changed("a hash is missing"));
                }
                tree.push(leaf.hash);
            }
            if leaves.is_empty() {
                return Err(Error::Changed("hashes are missing at its end"));
            }
        }
        if tree.size() > size {
            return Err(Error::Changed("it is shorter than its newest checkpoint"));
        }
        let note = note::write(&store_id, &tree, self.key.as_ref());
        Ok(StoredCheckpoint { size, at: now, note, edge: tree.edge() })
    }

    /// The tree of a stored checkpoint, from which the next one grows. It must be what was signed.
    fn tree_of(&self, stored: &StoredCheckpoint) -> Result<Tree, Error> {
        const CHANGED: Error = Error::Changed("the newest checkpoint in the store is not as it was made");
        let tree = Tree::with_edge(stored.size, &stored.edge).ok_or(CHANGED)?;
        let told: Checkpoint = stored.note.parse().map_err(|_| CHANGED)?;
        let is_forged = self.key.as_ref().is_some_and(|key| told.signature_of(key) == Signature::Forged);
        if told.size != tree.size() || told.root != tree.root() || is_forged {
            return Err(CHANGED);
        }
        Ok(tree)
    }
}
