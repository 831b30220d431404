//! What proves that the decision log was not changed: a hash tree over its entries (RFC 6962), and checkpoints that say
//! how large the tree was and what its root was, signed, for others to keep.
//!
//! A checkpoint tells all entries up to its size: whoever has one finds out if any of them was changed, removed, inserted or
//! put elsewhere, whatever the store says of itself. Entries after the newest checkpoint that left the machine are proved by
//! nothing: whoever has the store and the key can write them anew.

mod checkpoints;
mod key;
mod note;
mod tree;
mod verify;

pub use self::{
    checkpoints::{Error, Evidence},
    key::{InvalidKey, SigningKey},
    note::{Checkpoint, InvalidNote, Signature, origin},
    tree::Tree,
    verify::{Flaw, Proof, verify},
};
