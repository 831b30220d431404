//! The status page: who has access to what now and next, how well that is known, and what happened. Rendered here
//! from the store alone; works without scripts.

mod chart;
mod facts;
mod findings;
mod history;
mod layout;
mod summary;
mod sync;
mod tables;
mod timeline;
mod webhooks;
mod why;

mod index;
mod query;

pub(super) use self::{index::*, sync::*, why::*};
