//! The status page: who has access to what now and next, how well that is known, and what happened. The service renders
//! it from its store and memory alone; the page works without scripts.

pub(super) mod index;
pub(super) mod sync;
pub(super) mod why;

mod chart;
mod facts;
mod findings;
mod history;
mod layout;
mod notice;
mod query;
mod summary;
mod tables;
mod timeline;
mod webhooks;
