//! Computes everything anew that the store has of the decision log, and compares it with checkpoints.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};

use super::{Checkpoint, Signature, SigningKey, Tree, origin};
use crate::store::{self, Hash, LOG_PAGE, LogHead, LogPage, SharedStore, leaf_hash};

/// What was found to be as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How many entries there are.
    pub entries: i64,
    /// The root of the tree over them.
    pub root: Hash,
    /// So many entries were pruned: of them, only the hashes were verified.
    pub pruned: i64,
    /// They were made before.
    pub pruned_before: DateTime<Utc>,
    /// The newest checkpoint in the store, to which the entries lead; none if there is none.
    pub newest: Option<Checkpoint>,
    /// So many entries of an earlier version have no number yet: they are not part of the log.
    pub waiting: i64,
}

/// The first thing that is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The text of an entry is not that which was hashed.
    #[error("entry {0} was changed: its text does not have the hash that was stored when it was written")]
    Text(i64),
    /// Listings show something else than the text of the entry says.
    #[error("entry {0} was changed: what listings show of it is not what its text says")]
    Shown(i64),
    /// An entry is not there.
    #[error("entry {0} is missing")]
    Missing(i64),
    /// An entry is not part of the tree.
    #[error("entry {0} was inserted: it has no hash in the log")]
    Inserted(i64),
    /// The entries do not lead to a checkpoint.
    #[error("the first {size} entries do not lead to {which}: one of them, and its hash, was changed")]
    Root {
        /// How many it tells of.
        size: i64,
        /// The checkpoint.
        which: String,
    },
    /// A checkpoint tells of more entries than there are.
    #[error("entry {first} is missing, and all after it: {which} tells of {size} entries")]
    Truncated {
        /// The first that is not there.
        first: i64,
        /// How many the checkpoint tells of.
        size: i64,
        /// The checkpoint.
        which: String,
    },
    /// A checkpoint is not one of this log.
    #[error("{which} is of another log: {found}, and this is {own}")]
    OtherLog {
        /// The checkpoint.
        which: String,
        /// The name in it.
        found: String,
        /// Our name.
        own: String,
    },
    /// A signature was not made by the key that it names.
    #[error("{0} carries a signature that our key did not make")]
    Forged(String),
    /// What the store has as a checkpoint is none.
    #[error("{0} is not as it was made")]
    Unreadable(String),
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries, root {}", self.entries, STANDARD.encode(self.root))
    }
}

/// Verifies the log against the newest checkpoint in the store and `kept`, ones that were kept elsewhere, each with
/// what it is to be called. Signatures that name `key` are checked as well.
pub async fn verify(
    store: &SharedStore,
    kept: &[(String, Checkpoint)],
    key: Option<&SigningKey>,
) -> Result<Proof, Flaw> {
    // First: what is added meanwhile does not count.
    let newest = store.newest_checkpoint().await?;
    let head = store.log_head().await?;
    let mut checkpoints = kept.to_vec();
    let mut stored = None;
    if let Some(newest) = newest {
        let which = format!("the newest checkpoint in the store, of {} entries", newest.size);
        let told: Checkpoint = newest.note.parse().map_err(|_| Flaw::Unreadable(which.clone()))?;
        // From this edge the next checkpoint grows.
        let edge = Tree::with_edge(newest.size, &newest.edge);
        if told.size != newest.size || edge.is_none_or(|edge| edge.root() != told.root) {
            return Err(Flaw::Unreadable(which));
        }
        checkpoints.push((which, told.clone()));
        stored = Some(told);
    }
    let own = origin(&head.store_id);
    for (which, told) in &checkpoints {
        if told.origin != own {
            let (which, found) = (which.clone(), told.origin.clone());
            return Err(Flaw::OtherLog { which, found, own });
        }
        if key.is_some_and(|key| told.signature_of(key) == Signature::Forged) {
            return Err(Flaw::Forged(which.clone()));
        }
    }
    let (tree, pruned) = follow(store, &head, &checkpoints).await?;
    if let Some(number) = store.stray_entry().await? {
        return Err(Flaw::Inserted(number));
    }
    Ok(Proof {
        entries: tree.size(),
        root: tree.root(),
        pruned,
        pruned_before: store.log_head().await?.pruned,
        newest: stored,
        waiting: head.waiting,
    })
}

/// Builds the tree from the beginning, and compares it with each checkpoint on the way. Says as well how many entries were
/// pruned.
async fn follow(
    store: &SharedStore,
    head: &LogHead,
    checkpoints: &[(String, Checkpoint)],
) -> Result<(Tree, i64), Flaw> {
    let end = head.size.max(head.leaves);
    let (mut tree, mut missing) = (Tree::default(), 0);
    compare(&tree, checkpoints)?;
    while tree.size() < end {
        let page = store.log_page(tree.size(), LOG_PAGE).await?;
        let LogPage { leaves, entries, pruned } = page;
        let mut entries = entries.into_iter().peekable();
        if leaves.is_empty() {
            break;
        }
        for leaf in leaves {
            let number = tree.size();
            if number == end {
                break;
            }
            if leaf.number != number {
                return Err(Flaw::Missing(number));
            }
            match entries.next_if(|entry| entry.number == number) {
                Some(entry) if leaf_hash(&entry.text) != leaf.hash => return Err(Flaw::Text(number)),
                Some(entry) if !entry.is_as_shown() => return Err(Flaw::Shown(number)),
                Some(entry) if entry.at() != leaf.at => return Err(Flaw::Text(number)),
                Some(_) => {}
                None if leaf.at < pruned => missing += 1,
                None => return Err(Flaw::Missing(number)),
            }
            // The database lets nobody number two alike, unless somebody took that from it.
            if let Some(again) = entries.next_if(|entry| entry.number <= number) {
                return Err(Flaw::Inserted(again.number));
            }
            tree.push(leaf.hash);
            compare(&tree, checkpoints)?;
        }
    }
    let longest = checkpoints.iter().max_by_key(|(_, told)| told.size);
    if let Some((which, Checkpoint { size, .. })) = longest.filter(|(_, told)| told.size > tree.size()) {
        return Err(Flaw::Truncated { first: tree.size(), size: *size, which: which.clone() });
    }
    if tree.size() < head.size {
        return Err(Flaw::Missing(tree.size()));
    }
    if tree.size() > head.size {
        return Err(Flaw::Inserted(head.size));
    }
    Ok((tree, missing))
}

fn compare(tree: &Tree, checkpoints: &[(String, Checkpoint)]) -> Result<(), Flaw> {
    for (which, told) in checkpoints {
        if told.size == tree.size() && told.root != tree.root() {
            return Err(Flaw::Root { size: told.size, which: which.clone() });
        }
    }
    Ok(())
}
