//! The JSON of references and resources.

pub(super) mod policy;
pub(super) mod reference;
pub(super) mod schedule;
pub(super) mod subscription;
pub(super) mod user;
pub(super) mod view;
