//! What machines and operators ask over HTTP: listings, explanations, passes on request, health.

pub(super) mod explain;
pub(super) mod health;
pub(super) mod listings;
pub(super) mod sync;
pub(super) mod trigger;
