//! From what is wanted to what is there.

pub mod plan;
pub mod scope;
pub mod world;
