//! The status page: who has access to what now and next, how well that is known, and what happened. The service renders
//! it from its store and memory alone, a bounded part of each list at a time; the page works without scripts.

pub(super) mod index;
pub(super) mod sync;
pub(super) mod why;

mod about;
mod access;
mod changes;
mod chart;
mod controls;
mod endpoints;
mod facts;
mod findings;
mod history;
mod incidents;
mod layout;
mod limits;
mod notice;
mod paging;
mod person;
pub(crate) mod picture;
mod query;
pub(super) mod review;
mod summary;
mod tables;
mod timeline;
mod webhooks;
